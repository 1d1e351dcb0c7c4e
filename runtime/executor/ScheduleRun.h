// Walks the steps of a schedule and launches what they say.
#pragma once

#include "runtime/executor/Module.h"
#include "runtime/executor/ShapePlan.h"
#include "runtime/executor/WorkerPool.h"

#include <vector>

namespace rtorch::executor {

/// One thread's part of one launch, told to the profile hook.
struct LaunchSpan {
  size_t launch = 0;   // index into the schedule
  unsigned thread = 0; // 0 is the caller
  int64_t begin = 0;   // steady clock, nanoseconds
  int64_t end = 0;
};

/// Called by the thread that runs the module; once a round for launches in loops.
struct ProfileHook {
  void (*call)(void *user, const format::Manifest &manifest,
               const LaunchSpan &span) = nullptr;
  void *user = nullptr;
};

/// One run of the whole schedule. Memory is bound in the plan already.
class ScheduleRun final {
public:
  /// `scratch` is memory for `threads` threads; `spans` has an entry for each of them
  /// where there is a hook.
  ScheduleRun(const Module &module, ShapePlan &plan, unsigned threads,
              Parallel parallel, std::byte *scratch, const ProfileHook &profile,
              std::vector<ThreadSpan> &spans)
      : module_(module), plan_(plan), team_(threads, parallel), threads_(threads),
        scratch_(scratch), profile_(profile), spans_(spans) {}

  core::Status run();

private:
  core::Status runSteps(size_t begin, size_t end);
  core::Status runLoop(const format::Step &loop, size_t body);
  core::Status launch(size_t index);

  const Module &module_;
  ShapePlan &plan_;
  Team team_;
  unsigned threads_;
  std::byte *scratch_;
  const ProfileHook &profile_;
  std::vector<ThreadSpan> &spans_;
};

} // namespace rtorch::executor
