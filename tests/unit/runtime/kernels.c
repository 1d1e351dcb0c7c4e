/* Kernels of the runtime's tests, built as a shared object without any library. */
#include "runtime/format/KernelAbi.h"

#define KERNEL __attribute__((visibility("default"))) int32_t

/* buffers: x, y; values: n, tile. y = 2 x + 1. */
KERNEL scale(const rtorch_frame *frame, int64_t begin, int64_t end, void *scratch) {
  const float *x = frame->buffers[0];
  float *y = frame->buffers[1];
  const int64_t n = frame->values[0], tile = frame->values[1];
  (void)scratch;
  for (int64_t i = begin * tile; i < end * tile && i < n; ++i)
    y[i] = 2 * x[i] + 1;
  return 0;
}

/* buffers: ids, table, out; values: n, rows, width. One tile for each id. */
KERNEL gather(const rtorch_frame *frame, int64_t begin, int64_t end, void *scratch) {
  const int64_t *ids = frame->buffers[0];
  const float *table = frame->buffers[1];
  float *out = frame->buffers[2];
  const int64_t rows = frame->values[1], width = frame->values[2];
  (void)scratch;
  for (int64_t i = begin; i < end; ++i) {
    if (ids[i] < -rows || ids[i] >= rows)
      return 1;
    const int64_t row = ids[i] < 0 ? ids[i] + rows : ids[i];
    for (int64_t j = 0; j < width; ++j)
      out[i * width + j] = table[row * width + j];
  }
  return 0;
}

/* buffers: x, total; values: n. total += x. */
KERNEL accumulate(const rtorch_frame *frame, int64_t begin, int64_t end,
                  void *scratch) {
  const float *x = frame->buffers[0];
  float *total = frame->buffers[1];
  (void)begin, (void)end, (void)scratch;
  for (int64_t i = 0; i < frame->values[0]; ++i)
    total[i] += x[i];
  return 0;
}

/* buffers: x, y; values: width. One tile for each row: the row's running sums, by way
 * of scratch memory. Sums depend on their order, so wrong sharing would show. */
KERNEL running_sums(const rtorch_frame *frame, int64_t begin, int64_t end,
                    void *scratch) {
  const float *x = frame->buffers[0];
  float *y = frame->buffers[1], *sums = scratch;
  const int64_t width = frame->values[0];
  for (int64_t row = begin; row < end; ++row) {
    float sum = 0;
    for (int64_t j = 0; j < width; ++j)
      sums[j] = sum += x[row * width + j] * 0.1f;
    for (int64_t j = 0; j < width; ++j)
      y[row * width + j] = sums[j];
  }
  return 0;
}

/* No buffers: returns values[0]. */
KERNEL fail(const rtorch_frame *frame, int64_t begin, int64_t end, void *scratch) {
  (void)begin, (void)end, (void)scratch;
  return (int32_t)frame->values[0];
}
