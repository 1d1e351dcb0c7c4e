/* Runs a kernel's grid on one or two threads: the caller and a worker that spins, as
 * between the launches of one model call. */
#include "runtime/format/KernelAbi.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct {
  rtorch_kernel kernel;
  const rtorch_frame *frame;
  int64_t tiles;
  void *scratch[2];
  atomic_long next;
  atomic_int round, done;
  int started;
} job;

static void work(int thread) {
  for (;;) {
    long tile = atomic_fetch_add(&job.next, 1);
    if (tile >= job.tiles)
      return;
    job.kernel(job.frame, tile, tile + 1, job.scratch[thread]);
  }
}

static void *worker(void *unused) {
  int seen = 0;
  (void)unused;
  for (;;) {
    while (atomic_load_explicit(&job.round, memory_order_acquire) == seen)
      __builtin_ia32_pause();
    ++seen;
    work(1);
    atomic_store_explicit(&job.done, seen, memory_order_release);
  }
  return NULL;
}

/* Runs `repeat` launches of the grid. `scratch` serves the caller; the worker's memory
 * is `scratch_bytes` further on. */
void bench_run(rtorch_kernel kernel, void *const *buffers, const int64_t *values,
               int64_t tiles, char *scratch, int64_t scratch_bytes, int threads,
               int64_t repeat) {
  rtorch_frame frame = {buffers, values};
  if (threads == 1) {
    for (int64_t i = 0; i < repeat; ++i)
      kernel(&frame, 0, tiles, scratch);
    return;
  }
  if (!job.started) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, worker, NULL) != 0)
      abort();
    job.started = 1;
  }
  for (int64_t i = 0; i < repeat; ++i) {
    job.kernel = kernel;
    job.frame = &frame;
    job.tiles = tiles;
    job.scratch[0] = scratch;
    job.scratch[1] = scratch + scratch_bytes;
    atomic_store(&job.next, 0);
    int round = atomic_fetch_add_explicit(&job.round, 1, memory_order_release) + 1;
    work(0);
    while (atomic_load_explicit(&job.done, memory_order_acquire) != round)
      __builtin_ia32_pause();
  }
}
