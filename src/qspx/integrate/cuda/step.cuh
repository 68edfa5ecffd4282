// One Rosenbrock step, its error, the step sizes, and the step's continuous output.

/// Time at `share` of the step, for the programs.
QSPX_DEVICE real time_at(const Patient& p, real share) { return (real)(p.t + (instant)share * (p.end - p.t)); }

/// `w.y1`, `w.stage` and `w.guard` of the step from `p.t` to `p.end`, given the rates at its start in `w.slope`.
QSPX_DEVICE void step(const Patient& p, Work& w)
{
    const real t = (real)p.t, width = (real)(p.end - p.t), inverse = 1 / width;
    factor(t, w.y, w.theta, w.fixed, inverse / GAMMA, w.factors, w.guard);
#if QSPX_DRIFTS
    drift(t, w.y, w.theta, w.fixed, w.change);
    for (int q = 0; q < N; q++) w.change[q] *= width;
#endif
    for (int i = 0; i < STAGES; i++) {
        if (i > 0) {
            for (int q = 0; q < N; q++) {
                real moved = 0, pulled = 0;
                for (int j = 0; j < i; j++) {
                    moved += A[i][j] * w.stage[j][q];
                    pulled += C[i][j] * w.stage[j][q];
                }
                w.inside[q] = w.y[q] + moved;
                w.right[q] = inverse * pulled + w.infusion[q];
            }
            rates(time_at(p, ALPHA[i]), w.inside, w.theta, w.fixed, w.slope);
        }
        for (int q = 0; q < N; q++) {
            real right = i > 0 ? w.slope[q] + w.right[q] : w.slope[q];
#if QSPX_DRIFTS
            if (GAMMA_I[i] != 0) right += GAMMA_I[i] * w.change[q];
#endif
            w.right[q] = right;
        }
        solve(w.factors, w.right, w.theta, w.fixed, w.stage[i]);
    }
    for (int q = 0; q < N; q++) w.y1[q] = w.inside[q] + w.stage[STAGES - 1][q];
}

/// Norm of the error of the step: infinite where the step is of no use, at least 10 where a concentration became
/// negative.
QSPX_DEVICE real error(const Job& job, const Work& w)
{
    real total = 0, finite = 0;
    bool negative = false;
    for (int q = 0; q < N; q++) {
        const real size = F(fabs)(w.y[q]);
        const real scale = job.atol[q] + job.rtol * larger(size, F(fabs)(w.y1[q]));
        const real e = w.stage[STAGES - 1][q] / scale;
        total += e * e;
        finite += w.y1[q] * 0; // NaN once any of them is not finite
        // a long step over a sharp binding layer can land on a branch with negative concentrations: never accept one
        if (w.y1[q] < -10 * (job.atol[q] + job.rtol * size) && job.nonnegative[q] > 0) negative = true;
    }
    const bool useful = is_finite(finite) && w.guard[0] >= SMALLEST_GUARD;
    const real norm = useful ? F(sqrt)(total / N) : (real)QSPX_INFINITE;
    return negative && norm < 10 ? 10 : norm;
}

/// 0.9 norm**(-1/order) in [0.2, 6].
QSPX_DEVICE real step_factor(real norm)
{
    const real safe = is_finite(norm) ? larger(norm, R(1e-30)) : R(1e30);
    return larger(smaller(R(0.9) * F(pow)(safe, R(-1.0) / ORDER), R(6.0)), R(0.2));
}

/// Step over which y changes by 1 % of itself, from the rates in `w.slope`, within 1e-12 and 0.1 of the run.
QSPX_DEVICE instant first_step(const Job& job, const Work& w)
{
    const real span = (real)(job.t1 - job.t0);
    real of_y = 0, of_slope = 0;
    for (int q = 0; q < N; q++) {
        const real scale = job.atol[q] + job.rtol * F(fabs)(w.y[q]);
        const real a = w.y[q] / scale, b = w.slope[q] / scale;
        of_y += a * a;
        of_slope += b * b;
    }
    const real d0 = F(sqrt)(of_y / N), d1 = F(sqrt)(of_slope / N);
    const bool usable = d0 > R(1e-5) && d1 > R(1e-5) && is_finite(d0) && is_finite(d1);
    const real guess = usable ? R(0.01) * d0 / d1 : R(1e-6) * span;
    return (instant)larger(smaller(guess, R(0.1) * span), R(1e-12) * span);
}

/// The rows K of the dense output of the step, into `w.row`.
QSPX_DEVICE void dense_rows(Work& w)
{
    for (int l = 0; l < ROWS; l++)
        for (int q = 0; q < N; q++) {
            real sum = 0;
            for (int j = 0; j < STAGES; j++) sum += H[l][j] * w.stage[j][q];
            w.row[l][q] = sum;
        }
}

/// State q at `share` of the step and its first derivatives by time (0 to 2 of them), from `w.row`.
template <int derivatives> QSPX_DEVICE void curve(const Patient& p, Work& w, int q, real share)
{
    real bend = w.row[ROWS - 1][q], first = 0, second = 0;
    for (int l = ROWS - 2; l >= 0; l--) { // Horner's scheme, and its derivatives
        second = 2 * first + share * second;
        first = bend + share * first;
        bend = w.row[l][q] + share * bend;
    }
    const real y0 = w.y[q], y1 = w.y1[q], rest = 1 - share, width = (real)(p.end - p.t);
    w.look_y[q] = rest * y0 + share * (y1 + rest * bend);
    if (derivatives > 0) w.look_dy[q] = (y1 - y0 + (rest - share) * bend + share * rest * first) / width;
    if (derivatives > 1)
        w.look_ddy[q] = (2 * (rest - share) * first - 2 * bend + share * rest * second) / (width * width);
}
