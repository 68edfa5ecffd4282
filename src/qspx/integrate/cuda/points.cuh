// Where the observables turn within the accepted step: an observable is monotone between the points.

/// Where the cubic Hermite polynomial through values v and slopes s (per unit interval) is level.
QSPX_DEVICE void turning_points(real v0, real v1, real s0, real s1, real* found)
{
    const real a = 3 * (s0 + s1 - 2 * (v1 - v0)), b = 2 * (3 * (v1 - v0) - 2 * s0 - s1), c = s0;
    const real root = F(sqrt)(larger(b * b - 4 * a * c, R(0.0)));
    const real q = R(-0.5) * (b + (b >= 0 ? root : -root));
    found[0] = q / (a == 0 ? 1 : a);
    found[1] = c / (q == 0 ? 1 : q);
}

/// Shares of the step at the turning points of level j in half 0 or 1. One that is not there repeats the half's start.
QSPX_DEVICE void place_turns(const Patient& p, Work& w, int j, int half)
{
    const int first = NODE_APART * half, last = first + NODE_APART;
    const real width = R(0.5) * (real)(p.end - p.t), level = w.at_point[first][j];
    real turns[2];
    turning_points(level, w.at_point[last][j], w.node_tilt[half][j] * width, w.node_tilt[half + 1][j] * width, turns);
    for (int r = 0; r < 2; r++) { // an end of the half is a node already
        const bool between = turns[r] > 0 && turns[r] < 1;
        turns[r] = R(0.5) * (between ? turns[r] + half : (real)half);
        w.at_point[first + 1 + r][j] = level;
    }
    w.share[first + 1][j] = smaller(turns[0], turns[1]);
    w.share[first + 2][j] = larger(turns[0], turns[1]);
}

/// Fill `w.share` and `w.at_point`. In each half of the step the turning points are those of the cubic through exact
/// levels and slopes; the levels there are those of the solution.
QSPX_DEVICE void examine(const Patient& p, Work& w)
{
    for (int node = 0; node < 3; node++) {
        look_slopes(p, w, R(0.5) * node);
        for (int j = 0; j < LEVELS; j++) {
            w.share[NODE_APART * node][j] = R(0.5) * node;
            w.at_point[NODE_APART * node][j] = w.level[j];
            w.node_tilt[node][j] = w.tilt[j];
        }
    }
    for (int j = 0; j < LEVELS; j++)
        for (int half = 0; half < 2; half++) place_turns(p, w, j, half);
    for (int point = 1; point < POINTS - 1; point++) {
        const int start = NODE_APART * (point / NODE_APART);
        if (point == start) continue;
        for (int j = 0; j < LEVELS; j++)
            if (w.share[point][j] > w.share[start][j]) {
                look_levels(p, w, w.share[point][j]);
                w.at_point[point][j] = w.level[j];
            }
    }
}
