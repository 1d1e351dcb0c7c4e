#include "tools/rtorch-run/Record.h"

#include "runtime/layout/LayoutKind.h"

#include <algorithm>
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
      {"inputs", options.inputs},
      {"weights", options.weights}};
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
                      const CallFigures &call) {
  int64_t views = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    count(results[i]);
    views += info.results[i].is_view ? 1 : 0;
  }
  results_["first_s"] = call.seconds;
  results_["first_check_s"] = double(call.checkNs) / 1e9;
  results_["views"] = views;
  results_["argument_copies"] = call.copies;
  results_["copied_bytes"] = call.copiedBytes;
  if (record::Run *run = recording_.run())
    run->event("first", {{"seconds", call.seconds}});
}

void RunRecord::latency(const CallFigures &call) {
  record::Run *run = recording_.run();
  if (!run)
    return;
  run->metric("latency_s", call.seconds);
  checks_.push_back(call.checkNs);
}

void RunRecord::profile(std::span<const rtorch_span> spans) {
  record::Run *run = recording_.run();
  if (!run)
    return;
  int64_t origin = INT64_MAX;
  for (const rtorch_span &span : spans)
    origin = std::min(origin, span.begin_ns);
  for (const rtorch_span &span : spans)
    run->event("launch", {{"launch", int64_t(span.launch)},
                          {"thread", int64_t(span.thread)},
                          {"name", std::string(span.name)},
                          {"kernel", std::string(span.kernel)},
                          {"source", std::string(span.source)},
                          {"begin_ns", span.begin_ns - origin},
                          {"end_ns", span.end_ns - origin}});
}

void RunRecord::memory(const MemoryInfo &memory) {
  results_["peak_bytes"] = memory.peak;
  results_["arena_bytes"] = memory.arena;
}

void RunRecord::finish(const Error *error) {
  if (!checks_.empty()) {
    auto middle = checks_.begin() + ptrdiff_t(checks_.size() / 2);
    std::ranges::nth_element(checks_, middle);
    results_["check_s"] = double(*middle) / 1e9;
  }
  record::Fields results;
  if (error)
    results.emplace_back("error", error->code + ": " + error->message);
  for (const auto &[name, value] : results_.items())
    results.emplace_back(name, raw(value));
  results.emplace_back("layouts", raw(layouts_));
  recording_.finish(error == nullptr, results);
}

} // namespace rtorch::run
