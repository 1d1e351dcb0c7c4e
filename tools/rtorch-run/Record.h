// What a run leaves in the experiment store.
#pragma once

#include "tools/rtorch-run/Command.h"
#include "tools/rtorch-run/Support.h"

namespace rtorch::run {

/// Collects what `execute` tells, and writes it if the run is recorded. Counters belong
/// to this run: they begin at 0.
class RunRecord {
public:
  explicit RunRecord(const Options &options);

  void loaded(const ModuleInfo &info, double seconds);
  void arguments(std::span<const Value> values);
  void first(const ModuleInfo &info, std::span<const Value> results, double seconds,
             uint32_t copies);
  void latency(double seconds);
  void memory(const MemoryInfo &memory);
  /// `error` is null after success.
  void finish(const Error *error);

private:
  void count(const Value &value);

  tools::Recording recording_;
  Json results_ = Json::object();
  Json layouts_ = Json::object();
};

} // namespace rtorch::run
