// What a run leaves in the experiment store.
#pragma once

#include "tools/rtorch-run/Command.h"
#include "tools/rtorch-run/Support.h"

#include <vector>

namespace rtorch::run {

/// What one call of the module took.
struct CallFigures {
  double seconds = 0;
  int64_t checkNs = 0; // of the contract's check
  uint32_t copies = 0; // of arguments
  int64_t copiedBytes = 0;
};

/// Collects what `execute` tells, and writes it if the run is recorded. Counters belong
/// to this run: they begin at 0.
class RunRecord {
public:
  explicit RunRecord(const Options &options);

  void loaded(const ModuleInfo &info, double seconds);
  void arguments(std::span<const Value> values);
  void first(const ModuleInfo &info, std::span<const Value> results,
             const CallFigures &call);
  void latency(const CallFigures &call);
  /// The launches of a profiled run.
  void profile(std::span<const rtorch_span> spans);
  void memory(const MemoryInfo &memory);
  /// `error` is null after success.
  void finish(const Error *error);

private:
  void count(const Value &value);

  tools::Recording recording_;
  Json results_ = Json::object();
  Json layouts_ = Json::object();
  std::vector<int64_t> checks_; // of the runs after the first, nanoseconds
};

} // namespace rtorch::run
