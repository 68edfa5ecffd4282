// What a thread holds of its patient. Arrays of the run are laid out with the patients last, so that neighbouring
// threads read neighbouring numbers.

constexpr int START = 1, EDGE = 2; // why a patient needs a first step
// no array is empty
constexpr int GIVEN = PARAMETERS > 0 ? PARAMETERS : 1, SIGHTS = LEVELS > 0 ? LEVELS : 1, MARKED = MARKS ? N : 1;
// start, two turning points, middle, two turning points, end: an observable is monotone between them
constexpr int POINTS = 7, NODE_APART = 3;

/// What fits in registers.
struct Patient {
    whole row, steps;
    int status, fresh, stop_number, sample_number;
    instant t, end, h; // of the step: its start and end; and the next size
    instant stop, next_time;
    bool next_before;
    // 1 + the number of the dose whose steady state is run in, else 0; in the part of a period that leads to the mark;
    // past the first part of the period; distance of the states at the ends of the last two periods
    whole run_in;
    bool to_mark, later;
    real gap;
};

/// Vectors: the state, a step with its stages, what is looked at inside it, and the patient's numbers.
struct Work {
    real theta[GIVEN], fixed[FIXED], seen_fixed[SEEN_FIXED];
    real y[N], y1[N], inside[N], slope[N], right[N], change[N], infusion[N];
    real stage[STAGES][N], row[ROWS][N];
    real factors[FACTORS], guard[1];
    // initial state; at the end of the last period; before a steady state that is added to it
    real origin[MARKED], previous[MARKED], saved[MARKED];
    real look_y[N], look_dy[N], look_ddy[N], level[SEEN];
    real tilt[SIGHTS], bend[SIGHTS], top[SIGHTS], low[SIGHTS];
    // of the points, in the order of time: shares of the step, and the levels there
    real share[POINTS][SIGHTS], at_point[POINTS][SIGHTS], node_tilt[3][SIGHTS];
    real area[SIGHTS];
    instant at[SIGHTS];
};

/// Entry `i` of this patient in an array of the run.
QSPX_DEVICE whole place(const Job& job, const Patient& p, whole i) { return i * job.rows + p.row; }

/// Whether a steady state is run in: time has gone back, and nothing is looked at.
QSPX_DEVICE bool runs_in(const Patient& p) { return MARKS && p.run_in > 0; }
