/* CVODE over many patients; rates and Jacobian are printed in from the model. SUNDIALS 6 or later. */
#include <cvodes/cvodes.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#ifdef SPARSE
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_sparse.h>
#else
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>
#endif

typedef struct {
  const double *theta, *fixed;
} Patient;

static int rates(double t, N_Vector y_, N_Vector dy_, void *data) {
  const double *restrict y = N_VGetArrayPointer(y_);
  double *restrict dy = N_VGetArrayPointer(dy_);
  const double *restrict theta = ((Patient *)data)->theta, *restrict fixed = ((Patient *)data)->fixed;
  (void)t; (void)y; (void)theta; (void)fixed;
  /*RATES*/
  return 0;
}

#ifdef SPARSE
static const sunindextype pointers[] = {/*POINTERS*/}, rows[] = {/*ROWS*/};
#endif

static int jacobian(double t, N_Vector y_, N_Vector dy_, SUNMatrix J_, void *data, N_Vector a, N_Vector b, N_Vector c) {
  const double *restrict y = N_VGetArrayPointer(y_);
  const double *restrict theta = ((Patient *)data)->theta, *restrict fixed = ((Patient *)data)->fixed;
  (void)t; (void)y; (void)theta; (void)fixed; (void)dy_; (void)a; (void)b; (void)c;
#ifdef SPARSE
  double *restrict J = SUNSparseMatrix_Data(J_);
  sunindextype *p = SUNSparseMatrix_IndexPointers(J_), *r = SUNSparseMatrix_IndexValues(J_);
  for (sunindextype k = 0; k < (sunindextype)(sizeof(pointers) / sizeof(*pointers)); k++) p[k] = pointers[k];
  for (sunindextype k = 0; k < (sunindextype)(sizeof(rows) / sizeof(*rows)); k++) r[k] = rows[k];
#else
  double *restrict J = SUNDenseMatrix_Data(J_);
  SUNMatZero(J_);
#endif
  /*JACOBIAN*/
  return 0;
}

/* Returns the number of patients that did not finish; their states stay as they were given. */
int run(int patients, int n, int parameters, int fixed, int doses, int samples, const double *theta,
        const double *fixed_values, const double *initial, const double *jumps, const double *edges,
        const double *times, double rtol, double atol, double *states, double *steps) {
  SUNContext context;
  SUNContext_Create(0, &context);
  N_Vector y = N_VNew_Serial(n, context);
  double *v = N_VGetArrayPointer(y);
#ifdef SPARSE
  SUNMatrix J = SUNSparseMatrix(n, n, sizeof(rows) / sizeof(*rows), CSC_MAT, context);
  SUNLinearSolver factors = SUNLinSol_KLU(y, J, context);
#else
  SUNMatrix J = SUNDenseMatrix(n, n, context);
  SUNLinearSolver factors = SUNLinSol_Dense(y, J, context);
#endif
  void *solver = CVodeCreate(CV_BDF, context);
  Patient patient;
  CVodeInit(solver, rates, 0.0, y);
  CVodeSStolerances(solver, rtol, atol);
  CVodeSetLinearSolver(solver, factors, J);
  CVodeSetJacFn(solver, jacobian);
  CVodeSetUserData(solver, &patient);
  CVodeSetMaxNumSteps(solver, 100000);
  int failed = 0;
  for (int i = 0; i < patients; i++) {
    patient.theta = theta + (long)i * parameters;
    patient.fixed = fixed_values + (long)i * fixed;
    for (int q = 0; q < n; q++) v[q] = initial[(long)i * n + q];
    int sample = 0, flag = 0;
    for (int d = 0; d < doses && flag >= 0; d++) {
      double t = edges[d];
      for (int q = 0; q < n; q++) v[q] += jumps[((long)i * doses + d) * n + q];
      CVodeReInit(solver, t, y);
      CVodeSetStopTime(solver, edges[d + 1]);
      while (flag >= 0 && sample < samples && times[sample] < edges[d + 1]) {
        flag = CVode(solver, times[sample], y, &t, CV_NORMAL);
        if (flag >= 0)
          for (int q = 0; q < n; q++) states[((long)i * samples + sample) * n + q] = v[q];
        sample++;
      }
      if (flag >= 0) flag = CVode(solver, edges[d + 1], y, &t, CV_NORMAL);
      long taken = 0;
      CVodeGetNumSteps(solver, &taken);
      steps[i] += taken;
    }
    failed += flag < 0;
  }
  CVodeFree(&solver);
  SUNLinSolFree(factors);
  SUNMatDestroy(J);
  N_VDestroy(y);
  SUNContext_Free(&context);
  return failed;
}
