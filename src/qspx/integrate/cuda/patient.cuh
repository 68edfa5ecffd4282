// A patient at the start and at the end.

/// A negative lag would lose the dose.
QSPX_DEVICE void reject_early_doses(const Job& job, Patient& p)
{
    for (whole e = 0; e < job.events; e++)
        if (!(job.start[place(job, p, e)] >= job.t0)) p.status = NONFINITE;
}

/// Patient `p.row` at the start of the run.
QSPX_DEVICE void load(const Job& job, Patient& p, Work& w)
{
    for (int q = 0; q < PARAMETERS; q++) w.theta[q] = job.theta[place(job, p, q)];
    prologue(w.theta, w.fixed);
    seen_prologue(w.theta, w.seen_fixed);
    initial(w.theta, w.seen_fixed, w.y);
    if (MARKS) copy(w.origin, w.y);
    p.t = p.end = job.t0;
    p.h = 0;
    p.gap = 0;
    p.status = OK;
    p.steps = p.run_in = p.stop_number = p.sample_number = 0;
    p.to_mark = p.later = false;
    next_sample(job, p);
    if (SAMPLES > 0) samples_now(job, p, w, true);
    for (whole i = 0; i < job.summaries; i++) clear_endpoints(job, place(job, p, SLOTS * i));
    at_stop(job, p, w);
    p.fresh = START;
    reject_early_doses(job, p);
}

QSPX_DEVICE void write(const Job& job, const Patient& p)
{
    job.status[p.row] = p.status;
    job.steps[p.row] = p.steps;
    job.end_time[p.row] = p.t;
}
