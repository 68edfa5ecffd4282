// Time beyond a threshold within the accepted step: the definitions of `qspx.integrate.crossings`.

/// A threshold: level `column`, its sign (-1 where the time below counts) and value.
struct Threshold {
    whole column;
    real sign, value;
};

QSPX_DEVICE Threshold threshold_of(const Job& job, const Work& w, whole i)
{
    const whole parameter = job.threshold_of[i];
    return {job.columns[i], job.signs[i], parameter >= 0 ? w.theta[parameter] : job.thresholds[i]};
}

/// Share of the step at which the level crosses the threshold, between shares a and b with levels `first` and `last`
/// above it, of different sign: Newton's method in a bracket.
QSPX_APART real crossing(const Patient& p, Work& w, const Threshold& c, real a, real b, real first, real last)
{
    const real width = (real)(p.end - p.t);
    real x = a + (b - a) * (first / (first - last)), low = a, high = b, moved = 2 * (b - a);
    for (int count = 0; count < MOST_ITERATIONS; count++) {
        look_slopes(p, w, x);
        const real g = c.sign * (w.level[c.column] - c.value), slope = c.sign * w.tilt[c.column] * width;
        if ((g > 0) == (last > 0))
            high = x;
        else
            low = x;
        const real newton = x - g / slope;
        const bool fast = newton >= low && newton <= high && 2 * F(fabs)(g) <= F(fabs)(moved * slope);
        const real found = fast ? newton : R(0.5) * (low + high);
        moved = found - x;
        x = found;
        if (!(F(fabs)(moved) > CLOSEST)) break;
    }
    return x;
}

/// Time of the step for which summary i counts, after `examine`. NaN where the observable is not finite.
QSPX_DEVICE instant time_beyond(const Job& job, const Patient& p, Work& w, whole i)
{
    const Threshold c = threshold_of(job, w, i);
    real total = 0;
    for (int point = 0; point < POINTS - 1; point++) {
        const real a = w.share[point][c.column], b = w.share[point + 1][c.column];
        const real first = c.sign * (w.at_point[point][c.column] - c.value);
        const real last = c.sign * (w.at_point[point + 1][c.column] - c.value);
        if (!is_finite(first) || !is_finite(last)) return QSPX_NOT_A_NUMBER;
        if (first > 0 && last > 0)
            total += b - a;
        else if (first > 0)
            total += crossing(p, w, c, a, b, first, last) - a;
        else if (last > 0)
            total += b - crossing(p, w, c, a, b, first, last);
    }
    return (instant)total * (p.end - p.t);
}
