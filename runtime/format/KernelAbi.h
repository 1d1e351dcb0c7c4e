/* The binary interface between compiled kernels and whatever runs them.
 *
 * Frozen: a change of anything here is a new RTORCH_KERNEL_ABI. Kernels import
 * nothing; all they know of the world is the frame and the scratch memory. */
#ifndef RTORCH_RUNTIME_FORMAT_KERNELABI_H
#define RTORCH_RUNTIME_FORMAT_KERNELABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RTORCH_KERNEL_ABI 1

/* Scratch and arena memory is aligned to this many bytes. */
#define RTORCH_ALIGNMENT 64

/* Arguments of one launch. */
typedef struct rtorch_frame {
  /* Base pointer of each operand, offset already applied, in the order of the
   * kernel's operands (results after inputs). */
  void *const *buffers;
  /* Values of the kernel's size arguments, in elements where they are strides. */
  const int64_t *values;
} rtorch_frame;

/* Runs the grid tiles [begin, end). Tiles do not depend on each other and may
 * run at the same time on several threads, each with scratch memory of its own.
 * Returns 0, or the 1-based number of the error site (see Launch::errors) that
 * a tile hit; the other tiles' results are then unspecified. */
typedef int32_t (*rtorch_kernel)(const rtorch_frame *frame, int64_t begin, int64_t end,
                                 void *scratch);

#ifdef __cplusplus
}
#endif

#endif
