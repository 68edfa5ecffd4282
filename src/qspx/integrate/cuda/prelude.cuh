// What the text needs from where it is compiled: CUDA (NVRTC or nvcc), or g++ or clang for the host, where a call of the
// kernel is one thread. `real`, `R` (a literal of that type) and `F` (the name of a function of it) come before.

typedef double instant; // times keep their digits whatever `real` is
typedef long long whole;

#ifdef __CUDACC__
#define QSPX_DEVICE static __device__ __forceinline__
#define QSPX_PROGRAM static __device__ __noinline__
#define QSPX_APART QSPX_PROGRAM // what is seldom called: inlined, it takes registers from every step
#define QSPX_TABLE static __constant__ const
#define QSPX_KERNEL extern "C" __global__
#define QSPX_INFINITE __longlong_as_double(0x7ff0000000000000LL)
#define QSPX_NOT_A_NUMBER __longlong_as_double(0x7ff8000000000000LL)
#else
#include <math.h>
#define QSPX_DEVICE static inline
#define QSPX_PROGRAM static
#define QSPX_APART QSPX_PROGRAM
#define QSPX_TABLE static const
#define QSPX_KERNEL extern "C"
#define QSPX_INFINITE ((double)INFINITY)
#define QSPX_NOT_A_NUMBER ((double)NAN)
#endif

typedef unsigned long long counter;

/// The number of the next patient.
QSPX_DEVICE whole next_of(counter* queue)
{
#ifdef __CUDACC__
    return (whole)atomicAdd(queue, 1ULL);
#else
    return (whole)__atomic_fetch_add(queue, 1ULL, __ATOMIC_RELAXED);
#endif
}

/// Maximum and minimum; NaN where either is.
template <class T> QSPX_DEVICE T larger(T a, T b) { return a > b || a != a ? a : b; }
template <class T> QSPX_DEVICE T smaller(T a, T b) { return a < b || a != a ? a : b; }

template <class T> QSPX_DEVICE bool is_finite(T x) { return x - x == 0; }
