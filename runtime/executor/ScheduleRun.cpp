#include "runtime/executor/ScheduleRun.h"

#include "runtime/executor/FloatEnvironment.h"
#include "runtime/format/Text.h"

#include <algorithm>

namespace rtorch::executor {

using core::ErrorCode;
using core::Result;
using core::Status;
using format::Manifest;
using format::Step;
using format::text;

static core::Error kernelError(const Manifest &manifest, const format::Launch &launch,
                               int32_t code) {
  if (code < 1 || size_t(code) > launch.errors.size())
    return core::makeError(ErrorCode::RunFailed,
                           text("kernel '", manifest.kernels[launch.kernel].name,
                                "' of '", launch.name, "' failed with ", code));
  const format::ErrorSite &site = launch.errors[size_t(code) - 1];
  core::Error error = core::makeError(ErrorCode::RunFailed, site.message);
  if (!site.node.empty())
    error.message += text("; raised by '", site.node, "'");
  if (!site.source.empty())
    error.message += text(" at ", site.source);
  error.node = site.node;
  error.source = site.source;
  return error;
}

Status ScheduleRun::run() {
  const FloatEnvironment environment;
  return runSteps(0, module_.manifest().steps.size());
}

/// The nesting is bounded: the manifest was checked.
Status ScheduleRun::runSteps(size_t begin, size_t end) {
  const Manifest &manifest = module_.manifest();
  while (begin < end) {
    const Step &step = manifest.steps[begin++];
    Status status;
    if (step.kind == Step::Kind::Launch) {
      status = launch(step.index);
    } else if (step.kind == Step::Kind::Loop) {
      status = runLoop(step, begin);
      begin += step.body;
    } else {
      Result<bool> holds = plan_.condition(module_, step.condition.front());
      const size_t middle = begin + step.body, last = middle + step.otherwise;
      if (!holds.ok())
        return std::move(holds).takeStatus();
      status = *holds ? runSteps(begin, middle) : runSteps(middle, last);
      begin = last;
    }
    if (!status.ok())
      return status;
  }
  return {};
}

Status ScheduleRun::runLoop(const Step &loop, size_t body) {
  const int64_t trips = plan_.value(loop.trips);
  for (int64_t round = 0;; ++round) {
    // Behind the last round, too: what follows may ask how many there were.
    if (Status status = plan_.setRound(module_, loop.index, round); !status.ok())
      return status;
    if (round >= trips)
      return {};
    if (!loop.condition.empty()) {
      Result<bool> holds = plan_.condition(module_, loop.condition.front());
      if (!holds.ok())
        return std::move(holds).takeStatus();
      if (!*holds)
        return {};
    }
    if (Status status = runSteps(body, body + loop.body); !status.ok())
      return status;
  }
}

Status ScheduleRun::launch(size_t index) {
  const Manifest &manifest = module_.manifest();
  if (Status status = plan_.updateLaunch(module_, index); !status.ok())
    return status;
  Job job;
  job.kernel = module_.launches()[index].kernel;
  job.frame = &plan_.frame(index);
  job.grid = plan_.grid(index);
  job.scratch = scratch_;
  job.scratch_stride = size_t(plan_.scratchBytes());
  if (profile_.call) {
    std::ranges::fill(spans_, ThreadSpan());
    job.spans = spans_.data();
  }
  const int32_t code = team_.run(job);
  for (unsigned t = 0; profile_.call && t < threads_; ++t)
    if (spans_[t].end != 0)
      profile_.call(profile_.user, manifest,
                    {index, t, spans_[t].begin, spans_[t].end});
  return code == 0 ? Status() : kernelError(manifest, manifest.schedule[index], code);
}

} // namespace rtorch::executor
