// What a thread holds of its patient. Arrays of the run are laid out with the patients last, so that neighbouring
// threads read neighbouring numbers.

constexpr int START = 1, EDGE = 2; // why a patient needs a first step
// no array is empty
constexpr int GIVEN = PARAMETERS > 0 ? PARAMETERS : 1, SIGHTS = LEVELS > 0 ? LEVELS : 1;

/// What fits in registers.
struct Patient {
    whole row, steps;
    int status, fresh, stop_number, sample_number;
    instant t, end, h; // of the step: its start and end; and the next size
    instant stop, next_time;
};

/// Vectors: the state, a step with its stages, what is looked at inside it, and the patient's numbers.
struct Work {
    real theta[GIVEN], fixed[FIXED], seen_fixed[SEEN_FIXED];
    real y[N], y1[N], inside[N], slope[N], right[N], change[N], infusion[N];
    real stage[STAGES][N], row[ROWS][N];
    real factors[FACTORS], guard[1];
    real look_y[N], look_dy[N], look_ddy[N], level[SEEN];
    real tilt[SIGHTS], bend[SIGHTS], top[SIGHTS], low[SIGHTS];
    real node_level[3][SIGHTS], node_tilt[3][SIGHTS], inner[4][SIGHTS];
    real area[SIGHTS];
    instant at[SIGHTS];
};

/// Entry `i` of this patient in an array of the run.
QSPX_DEVICE whole place(const Job& job, const Patient& p, whole i) { return i * job.rows + p.row; }
