// Looking at the solution: samples, and what endpoints are made of, on the method's continuous output.

template <int derivatives> QSPX_DEVICE void curves(const Patient& p, Work& w, const int* states, int count, real share)
{
    for (int k = 0; k < count; k++) curve<derivatives>(p, w, states[k], share);
}

QSPX_DEVICE void look_samples(const Patient& p, Work& w, real share)
{
    curves<0>(p, w, SAMPLES_READ, SAMPLES_READ_COUNT, share);
    samples(time_at(p, share), w.look_y, w.theta, w.seen_fixed, w.level);
}

QSPX_DEVICE void look_levels(const Patient& p, Work& w, real share)
{
    curves<0>(p, w, LEVELS_READ, LEVELS_READ_COUNT, share);
    levels(time_at(p, share), w.look_y, w.theta, w.seen_fixed, w.level);
}

QSPX_DEVICE void look_slopes(const Patient& p, Work& w, real share)
{
    curves<1>(p, w, SLOPES_READ, SLOPES_READ_COUNT, share);
    slopes(time_at(p, share), w.look_y, w.look_dy, w.theta, w.seen_fixed, w.level, w.tilt);
}

QSPX_DEVICE void look_bends(const Patient& p, Work& w, real share)
{
    curves<2>(p, w, BENDS_READ, BENDS_READ_COUNT, share);
    bends(time_at(p, share), w.look_y, w.look_dy, w.look_ddy, w.theta, w.seen_fixed, w.tilt, w.bend);
}

/// The last entry of a patient's `time` is infinite.
QSPX_DEVICE void next_sample(const Job& job, Patient& p)
{
    const whole i = place(job, p, p.sample_number);
    p.next_time = job.time[i];
    p.next_before = job.before[i] > 0;
}

/// `w.level` as the next sample.
QSPX_DEVICE void store_sample(const Job& job, Patient& p, const Work& w)
{
    const whole first = (whole)p.sample_number * SAMPLES;
    for (int i = 0; i < SAMPLES; i++) job.values[place(job, p, first + i)] = w.level[i];
    p.sample_number++;
    next_sample(job, p);
}

/// Whether the next sample lies in the accepted step; one at its end waits for the doses given then, unless it is to be
/// before them.
QSPX_DEVICE bool sample_due(const Patient& p)
{
    return SAMPLES > 0 && (p.next_time < p.end || (p.next_time == p.end && p.next_before));
}

QSPX_DEVICE void samples_inside(const Job& job, Patient& p, Work& w)
{
    while (sample_due(p)) {
        look_samples(p, w, (real)((p.next_time - p.t) / (p.end - p.t)));
        store_sample(job, p, w);
    }
}

/// Samples of the state `w.y`; with `early` only those before the doses given now.
QSPX_DEVICE void samples_now(const Job& job, Patient& p, Work& w, bool early = false)
{
    while (p.next_time == p.t && (p.next_before || !early)) {
        samples((real)p.t, w.y, w.theta, w.seen_fixed, w.level);
        store_sample(job, p, w);
    }
}
