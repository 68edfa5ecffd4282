// Endpoints of the accepted steps: the same definitions as `qspx.integrate.endpoints`. The running endpoints of a
// patient are in `job.endpoints`, five per summary.

constexpr int LARGEST = 0, LARGEST_AT = 1, SMALLEST = 2, AREA = 3, LAST = 4;

/// Before the first step.
QSPX_DEVICE void clear_endpoints(const Job& job, whole first)
{
    instant* ends = job.endpoints + first;
    ends[LARGEST * job.rows] = -QSPX_INFINITE;
    ends[SMALLEST * job.rows] = QSPX_INFINITE;
    ends[LARGEST_AT * job.rows] = ends[AREA * job.rows] = ends[LAST * job.rows] = 0;
}

/// Where the cubic Hermite polynomial through values v and slopes s (per unit interval) is level.
QSPX_DEVICE void turning_points(real v0, real v1, real s0, real s1, real* found)
{
    const real a = 3 * (s0 + s1 - 2 * (v1 - v0)), b = 2 * (3 * (v1 - v0) - 2 * s0 - s1), c = s0;
    const real root = F(sqrt)(larger(b * b - 4 * a * c, R(0.0)));
    const real q = R(-0.5) * (b + (b >= 0 ? root : -root));
    found[0] = q / (a == 0 ? 1 : a);
    found[1] = c / (q == 0 ? 1 : q);
}

/// Largest and smallest of the three nodes, and where to look between them: the turning points of the cubics.
QSPX_DEVICE void start_from_nodes(const Patient& p, Work& w, int j)
{
    const instant half = (p.end - p.t) / 2, times[3] = {p.t, p.t + half, p.end};
    w.top[j] = w.low[j] = w.node_level[0][j];
    w.at[j] = p.t;
    for (int node = 1; node < 3; node++) {
        const real level = w.node_level[node][j];
        if (level > w.top[j]) {
            w.top[j] = level;
            w.at[j] = times[node];
        }
        w.low[j] = smaller(w.low[j], level);
    }
    for (int i = 0; i < 2; i++) {
        const real scale = (real)half;
        real turns[2];
        turning_points(
            w.node_level[i][j], w.node_level[i + 1][j], w.node_tilt[i][j] * scale, w.node_tilt[i + 1][j] * scale, turns);
        for (int r = 0; r < 2; r++) { // an end of the interval is a node already
            const bool between = turns[r] > 0 && turns[r] < 1;
            w.inner[2 * i + r][j] = between ? R(0.5) * (turns[r] + i) : (real)QSPX_NOT_A_NUMBER;
        }
    }
}

/// One Newton step to where the level's slope is zero, unless that leaves the step.
QSPX_DEVICE void refine(const Patient& p, Work& w, int j)
{
    const instant at = w.at[j];
    if (!(at > p.t && at < p.end)) return;
    look_bends(p, w, (real)((at - p.t) / (p.end - p.t)));
    const real bend = w.bend[j], move = w.tilt[j] / (bend == 0 ? 1 : bend);
    const instant found = at - (instant)(is_finite(move) ? move : 0);
    if (found > p.t && found < p.end) w.at[j] = found;
}

QSPX_DEVICE void extremes(const Patient& p, Work& w)
{
    for (int node = 0; node < 3; node++) {
        look_slopes(p, w, R(0.5) * node);
        for (int j = 0; j < LEVELS; j++) {
            w.node_level[node][j] = w.level[j];
            w.node_tilt[node][j] = w.tilt[j];
        }
    }
    for (int j = 0; j < LEVELS; j++) start_from_nodes(p, w, j);
    for (int c = 0; c < 4; c++)
        for (int j = 0; j < LEVELS; j++) {
            const real share = w.inner[c][j];
            if (share != share) continue;
            look_levels(p, w, share);
            if (w.level[j] > w.top[j]) {
                w.top[j] = w.level[j];
                w.at[j] = p.t + (instant)share * (p.end - p.t);
            }
            w.low[j] = smaller(w.low[j], w.level[j]);
        }
    if (TIMES_OF)
        for (int j = 0; j < LEVELS; j++) refine(p, w, j);
}

QSPX_DEVICE void areas(const Patient& p, Work& w)
{
    const real width = (real)(p.end - p.t);
    for (int j = 0; j < LEVELS; j++) w.area[j] = 0;
    for (int node = 0; node < 3; node++) {
        look_levels(p, w, NODES[node]);
        for (int j = 0; j < LEVELS; j++) w.area[j] += WEIGHTS[node] * width * w.level[j];
    }
}

/// Whether the accepted step lies in window i.
QSPX_DEVICE bool lies_in(const Job& job, const Patient& p, whole i)
{
    return p.t >= job.windows[2 * i] && p.end <= job.windows[2 * i + 1];
}

QSPX_DEVICE void record(const Job& job, const Patient& p, const Work& w, whole i)
{
    const whole column = job.columns[i];
    instant* ends = job.endpoints + place(job, p, 5 * i);
    if (EXTREMES) {
        const instant top = (instant)w.top[column];
        if (top > ends[LARGEST * job.rows]) {
            ends[LARGEST_AT * job.rows] = w.at[column];
            ends[LARGEST * job.rows] = top;
        }
        instant& low = ends[SMALLEST * job.rows];
        low = smaller(low, (instant)w.low[column]);
    }
    if (AREAS) ends[AREA * job.rows] += (instant)w.area[column];
}

/// Endpoints after the accepted step.
QSPX_DEVICE void update_endpoints(const Job& job, const Patient& p, Work& w)
{
    bool lies = false, ends = false;
    for (whole i = 0; i < job.summaries; i++) {
        lies |= lies_in(job, p, i);
        ends |= p.end == job.windows[2 * i + 1];
    }
    if (lies) {
        if (EXTREMES) extremes(p, w);
        if (AREAS) areas(p, w);
        for (whole i = 0; i < job.summaries; i++)
            if (lies_in(job, p, i)) record(job, p, w, i);
    }
    if (LASTS && ends) {
        levels((real)p.end, w.y1, w.theta, w.seen_fixed, w.level);
        for (whole i = 0; i < job.summaries; i++)
            if (p.end == job.windows[2 * i + 1])
                job.endpoints[place(job, p, 5 * i + LAST)] = (instant)w.level[job.columns[i]];
    }
}
