// The process-wide worker threads and what they work on.
//
// A run reserves workers for its whole duration (a Team) and hands each launch to them.
// Workers take tiles from a counter, and so does the caller, which never waits for a
// worker that has not begun: a sleeping worker costs nothing but its wake-up call.
#pragma once

#include "runtime/format/KernelAbi.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtorch::executor {

/// When a thread began and ended its part of a launch (steady clock, nanoseconds).
struct ThreadSpan {
  int64_t begin = 0;
  int64_t end = 0; // 0: the thread took no tile
};

/// One launch: all tiles of a grid.
struct Job {
  rtorch_kernel kernel = nullptr;
  const rtorch_frame *frame = nullptr;
  int64_t grid = 0;
  int64_t chunk = 1; // tiles that are taken at once
  /// Scratch memory of thread i: scratch + i * scratch_stride.
  std::byte *scratch = nullptr;
  size_t scratch_stride = 0;
  ThreadSpan *spans = nullptr; // one per thread, or null: not measured

  alignas(64) std::atomic<int64_t> next = 0;  // the first tile not yet taken
  alignas(64) std::atomic<int32_t> error = 0; // what a kernel returned

  /// Takes tiles until none are left or one has failed.
  void work(unsigned thread);
};

/// Threads that a caller brings: runs task(argument, i) for each i below `threads` and
/// returns when all have returned.
struct Parallel {
  void (*call)(void *user, uint32_t threads,
               void (*task)(void *argument, uint32_t thread), void *argument) = nullptr;
  void *user = nullptr;
};

struct Worker;

/// Workers reserved by one caller. Not for use from several threads.
class Team final {
public:
  /// Nothing is reserved before the first parallel launch. `threads` includes the
  /// caller.
  explicit Team(unsigned threads, Parallel parallel = {})
      : threads_(threads), parallel_(parallel) {}
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;
  ~Team();

  /// Runs all tiles of the job and returns the kernel's error or 0. `job` must have
  /// room for `threads` threads. A grid of one tile, or a team of one thread, runs on
  /// the caller without any synchronisation.
  int32_t run(Job &job);

private:
  void reserve();

  unsigned threads_;
  Parallel parallel_;
  bool reserved_ = false;
  unsigned workers_ = 0;
  Worker *first_ = nullptr; // a list through Worker::next
};

/// Threads of a run that does not say how many: the CPUs that the process had when it
/// was first asked.
unsigned defaultThreads();

/// Number of worker threads that exist now; for tests.
unsigned workerCount();

/// Steady clock in nanoseconds.
int64_t nowNanoseconds();

} // namespace rtorch::executor
