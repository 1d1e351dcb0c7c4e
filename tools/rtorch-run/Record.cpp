#include "tools/rtorch-run/Record.h"

#include "runtime/layout/LayoutKind.h"

#include <filesystem>

namespace rtorch::run {
namespace {

record::Json raw(const Json &json) {
  // A path may hold bytes that are no UTF-8.
  return {json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

record::Fields factsOf(const Options &options) {
  std::error_code ignored;
  const Json subject{
      {"path", std::filesystem::absolute(options.module, ignored).string()},
      {"hash", tools::hashOfModule(options.module)},
      {"inputs", options.inputs}};
  const Json choices{{"threads", options.threads},
                     {"repeat", options.repeat},
                     {"relayout", options.relayout},
                     {"quantile_error", options.record.epsilon}};
  return {{"model", std::filesystem::path(options.module).stem().string()},
          {"subject", raw(subject)},
          {"options", raw(choices)},
          {"versions", raw(Json{{"rtorch", rtorch_version()}})}};
}

} // namespace

RunRecord::RunRecord(const Options &options)
    : recording_("rtorch-run", "run", factsOf(options), options.record) {}

void RunRecord::loaded(const ModuleInfo &info, double seconds) {
  results_["module"] = info.model;
  results_["target_cpu"] = info.cpu;
  results_["load_s"] = seconds;
  results_["launches"] = info.launches;
}

void RunRecord::count(const Value &value) {
  if (!value.isTensor())
    return;
  const Tensor &tensor = value.tensor();
  Json &counter = layouts_[layout::layoutKind(tensor.sizes(), tensor.strides())];
  counter = counter.is_null() ? 1 : counter.get<int64_t>() + 1;
}

void RunRecord::arguments(std::span<const Value> values) {
  for (const Value &value : values)
    count(value);
}

void RunRecord::first(const ModuleInfo &info, std::span<const Value> results,
                      double seconds, uint32_t copies) {
  int64_t views = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    count(results[i]);
    views += info.results[i].is_view ? 1 : 0;
  }
  results_["first_s"] = seconds;
  results_["views"] = views;
  results_["argument_copies"] = copies;
  if (record::Run *run = recording_.run())
    run->event("first", {{"seconds", seconds}});
}

void RunRecord::latency(double seconds) {
  if (record::Run *run = recording_.run())
    run->metric("latency_s", seconds);
}

void RunRecord::memory(const MemoryInfo &memory) {
  results_["peak_bytes"] = memory.peak;
  results_["arena_bytes"] = memory.arena;
}

void RunRecord::finish(const Error *error) {
  record::Fields results;
  if (error)
    results.emplace_back("error", error->code + ": " + error->message);
  for (const auto &[name, value] : results_.items())
    results.emplace_back(name, raw(value));
  results.emplace_back("layouts", raw(layouts_));
  recording_.finish(error == nullptr, results);
}

} // namespace rtorch::run
