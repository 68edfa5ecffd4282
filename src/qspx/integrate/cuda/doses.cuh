// What happens at stops: doses, resets, and run-ins to steady states, as in `qspx.integrate.marks`.

QSPX_DEVICE void copy(real* to, const real* source)
{
    for (int q = 0; q < N; q++) to[q] = source[q];
}

/// Next stop, boluses given now, and the infusions that run from now on.
QSPX_DEVICE void go_on(const Job& job, Patient& p, Work& w)
{
    while (!(job.stop[place(job, p, p.stop_number)] > p.t)) p.stop_number++; // the last one is infinite
    p.stop = job.stop[place(job, p, p.stop_number)];
    p.fresh = 0;
    for (int q = 0; q < N; q++) w.infusion[q] = 0;
    for (whole e = 0; e < job.events; e++) {
        const whole i = place(job, p, e), species = job.species[i];
        const instant start = job.start[i], end = job.end[i];
        if (start == p.t) w.y[species] += job.jump[i];
        if (start == p.t || end == p.t || (MARKS && job.mark[i] == p.t)) p.fresh = EDGE;
        if (start <= p.t && p.t < end) w.infusion[species] += job.rate[i];
    }
}

// steady states: `i` is the place of the dose

QSPX_DEVICE instant part_end(const Job& job, whole i) { return job.turn[i] - job.interval[i] + job.part[i]; }

/// Infusion rate and next stop.
QSPX_DEVICE void in_period(const Job& job, Patient& p, Work& w, whole i)
{
    const bool first = !p.later && job.part[i] > 0;
    for (int q = 0; q < N; q++) w.infusion[q] = 0;
    w.infusion[job.species[i]] = job.rate[i] * (job.times_over[i] + (first ? 1 : 0));
    const instant last = p.to_mark ? job.mark[i] : job.turn[i];
    p.stop = first ? smaller(part_end(job, i), last) : last;
    p.fresh = EDGE;
}

QSPX_DEVICE void begin_period(const Job& job, Patient& p, Work& w, whole i)
{
    p.later = false;
    p.t = job.turn[i] - job.interval[i];
    w.y[job.species[i]] += job.jump[i];
    in_period(job, p, w, i);
}

/// Resets and the next steady state of the events behind `after`; then doses, where there is none.
QSPX_DEVICE void pass_marks(const Job& job, Patient& p, Work& w, whole after)
{
    whole found = -1;
    for (whole e = after + 1; e < job.events; e++) {
        const whole i = place(job, p, e), kind = job.kind[i];
        if (job.mark[i] != p.t) continue;
        if (kind == RESET) copy(w.y, w.origin);
        if ((kind == STEADY || kind == ADDED_STEADY) && found < 0) found = e;
    }
    if (found < 0) {
        go_on(job, p, w);
        return;
    }
    copy(w.saved, w.y);
    copy(w.y, w.origin);
    copy(w.previous, w.origin);
    p.gap = (real)QSPX_INFINITE;
    p.run_in = found + 1;
    p.to_mark = false;
    begin_period(job, p, w, place(job, p, found));
}

/// Whether the state at the end of a period is the steady state; keeps it for the next.
QSPX_DEVICE bool converged(const Job& job, Patient& p, Work& w)
{
    real total = 0;
    for (int q = 0; q < N; q++) {
        const real scale = job.atol[q] + job.rtol * larger(F(fabs)(w.y[q]), F(fabs)(w.previous[q]));
        const real d = (w.y[q] - w.previous[q]) / scale;
        total += d * d;
        w.previous[q] = w.y[q];
    }
    const real gap = F(sqrt)(total / N), share = gap / p.gap;
    const real still = share < 1 ? gap * share / (1 - share) : gap;
    if (gap == 0 || (is_finite(p.gap) && still <= CONVERGED)) return true;
    p.gap = gap;
    return false;
}

/// The end of a period, or of a part of it.
QSPX_DEVICE void go_on_in_run_in(const Job& job, Patient& p, Work& w)
{
    const whole e = p.run_in - 1, i = place(job, p, e);
    const bool at_turn = !p.to_mark && p.t == job.turn[i], found = at_turn && converged(job, p, w);
    if ((p.to_mark && p.t == job.mark[i]) || (found && job.turn[i] == job.mark[i])) {
        if (job.kind[i] == ADDED_STEADY)
            for (int q = 0; q < N; q++) w.y[q] = w.saved[q] + (w.y[q] - w.origin[q]);
        p.run_in = 0;
        pass_marks(job, p, w, e);
    } else if (!p.later && job.part[i] > 0 && p.t == part_end(job, i) && !at_turn) {
        p.later = true;
        in_period(job, p, w, i);
    } else {
        p.to_mark = found;
        begin_period(job, p, w, i);
    }
}

/// Where the patient goes on from a stop.
QSPX_APART void at_stop(const Job& job, Patient& p, Work& w)
{
    if (!MARKS)
        go_on(job, p, w);
    else if (p.run_in > 0)
        go_on_in_run_in(job, p, w);
    else
        pass_marks(job, p, w, -1);
}
