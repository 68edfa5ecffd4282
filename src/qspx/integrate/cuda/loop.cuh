// The adaptive run: every thread takes a patient from the queue, solves it to its end, and takes the next one. What is
// computed for a patient depends on nothing but the patient.

QSPX_DEVICE instant smallest_step(const Job& job, instant t)
{
    return 16 * (instant)R(2.220446049250313e-16) * larger(fabs(t), (instant)R(1e-6) * (job.t1 - job.t0));
}

/// Samples and endpoints of the accepted step, before the state moves to its end.
QSPX_DEVICE void look(const Job& job, Patient& p, Work& w)
{
    if (runs_in(p) || (!sample_due(p) && LEVELS == 0)) return;
    dense_rows(w);
    samples_inside(job, p, w);
    if (LEVELS > 0) update_endpoints(job, p, w);
}

/// First step of a patient that starts, or that passes a dose, an end of an infusion or a mark.
QSPX_DEVICE void begin(const Job& job, Patient& p, const Work& w)
{
    real total = 0;
    for (int q = 0; q < N; q++) total += w.y[q] * 0 + w.slope[q] * 0;
    for (int q = 0; q < PARAMETERS; q++) total += w.theta[q] * 0;
    p.h = first_step(job, w);
    if (p.fresh == EDGE && p.h < smallest_step(job, p.t)) p.status = DT_MIN;
    if (p.fresh == START && !is_finite(total)) p.status = NONFINITE;
    p.fresh = 0;
}

QSPX_DEVICE bool finished(const Job& job, const Patient& p) { return p.t >= job.t1 && !runs_in(p); }

/// One step: accepted or to be repeated with a smaller one, and what that makes of the patient.
QSPX_DEVICE void advance(const Job& job, Patient& p, Work& w)
{
    const bool reaches = p.t + (instant)R(1.01) * p.h >= p.stop;
    p.end = reaches ? p.stop : p.t + p.h;
    step(p, w);
    const real norm = error(job, w), factor = step_factor(norm);
    const instant used = p.end - p.t, longer = used * (instant)factor;
    const bool accepted = norm <= 1;
    if (accepted) {
        look(job, p, w);
        p.h = reaches ? larger(p.h, longer) : longer;
        p.t = p.end;
        for (int q = 0; q < N; q++) w.y[q] = w.y1[q];
        if (reaches) at_stop(job, p, w);
        if (SAMPLES > 0 && !runs_in(p)) samples_now(job, p, w);
    } else {
        p.h = used * (instant)smaller(factor, R(0.9));
    }
    p.steps++;
    // a patient at an edge has yet to choose the step
    if (p.h < smallest_step(job, p.t) && p.fresh == 0)
        p.status = is_finite(norm) ? DT_MIN : NONFINITE;
    else if (!finished(job, p) && p.steps >= job.max_steps)
        p.status = MAX_STEPS;
}

QSPX_DEVICE void solve_queue(const Job& job)
{
    Patient p;
    Work w;
    bool wanting = true;
    for (;;) {
        if (wanting) {
            p.row = next_of(job.queue);
            if (p.row >= job.rows) return;
            load(job, p, w);
        }
        rates((real)p.t, w.y, w.theta, w.fixed, w.slope);
        for (int q = 0; q < N; q++) w.slope[q] += w.infusion[q];
        if (p.fresh) begin(job, p, w);
        if (p.status == OK) advance(job, p, w);
        wanting = p.status != OK || finished(job, p);
        if (wanting) write(job, p);
    }
}
