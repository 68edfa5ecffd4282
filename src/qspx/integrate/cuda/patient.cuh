// A patient at the start, at its doses, and at the end.

/// Next stop, boluses given now, and the infusions that run from now on.
QSPX_DEVICE void at_stop(const Job& job, Patient& p, Work& w)
{
    while (!(job.stop[place(job, p, p.stop_number)] > p.t)) p.stop_number++; // the last one is infinite
    p.stop = job.stop[place(job, p, p.stop_number)];
    for (int q = 0; q < N; q++) w.infusion[q] = 0;
    for (whole e = 0; e < job.events; e++) {
        const whole i = place(job, p, e);
        const instant start = job.start[i], end = job.end[i];
        const whole species = job.species[i];
        if (start == p.t) {
            w.y[species] += job.jump[i];
            p.fresh = EDGE;
        }
        if (end == p.t) p.fresh = EDGE;
        if (start <= p.t && p.t < end) w.infusion[species] += job.rate[i];
    }
}

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
    p.t = p.end = job.t0;
    p.h = 0;
    p.status = OK;
    p.steps = p.stop_number = p.sample_number = 0;
    next_sample(job, p);
    for (whole i = 0; i < job.summaries; i++) clear_endpoints(job, place(job, p, 5 * i));
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
