// Endpoints of the accepted steps: the same definitions as `qspx.integrate.endpoints`. The running endpoints of a
// patient are in `job.endpoints`, `SLOTS` per summary.

/// Before the first step.
QSPX_DEVICE void clear_endpoints(const Job& job, whole first)
{
    for (int slot = 0; slot < SLOTS; slot++) job.endpoints[first + slot * job.rows] = 0;
    job.endpoints[first + LARGEST * job.rows] = -QSPX_INFINITE;
    job.endpoints[first + SMALLEST * job.rows] = QSPX_INFINITE;
}

/// Largest and smallest of level j, with one more point; the smallest is NaN where any is.
QSPX_DEVICE void extreme(Work& w, int j, int point, instant time)
{
    const real level = w.at_point[point][j];
    if (level > w.top[j]) {
        w.top[j] = level;
        w.at[j] = time;
    }
    w.low[j] = smaller(w.low[j], level);
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
    const instant width = p.end - p.t;
    for (int j = 0; j < LEVELS; j++) {
        w.top[j] = w.low[j] = w.at_point[0][j];
        w.at[j] = p.t;
        // the nodes first, so that one of them wins over a turning point of the same level
        extreme(w, j, NODE_APART, p.t + width / 2);
        extreme(w, j, 2 * NODE_APART, p.end);
        for (int point = 1; point < POINTS - 1; point++)
            if (point != NODE_APART) extreme(w, j, point, p.t + (instant)w.share[point][j] * width);
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

QSPX_DEVICE void record(const Job& job, const Patient& p, Work& w, whole i)
{
    const whole column = job.columns[i];
    instant* ends = job.endpoints + place(job, p, SLOTS * i);
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
    if (THRESHOLDS && job.signs[i] != 0) ends[BEYOND * job.rows] += time_beyond(job, p, w, i);
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
        if (EXTREMES || THRESHOLDS) examine(p, w);
        if (EXTREMES) extremes(p, w);
        if (AREAS) areas(p, w);
        for (whole i = 0; i < job.summaries; i++)
            if (lies_in(job, p, i)) record(job, p, w, i);
    }
    if (LASTS && ends) {
        levels((real)p.end, w.y1, w.theta, w.seen_fixed, w.level);
        for (whole i = 0; i < job.summaries; i++)
            if (p.end == job.windows[2 * i + 1])
                job.endpoints[place(job, p, SLOTS * i + LAST)] = (instant)w.level[job.columns[i]];
    }
}
