#include "runtime/store/Store.h"

#include <algorithm>
#include <cmath>

namespace rtorch::store {
bool isMainNumber(const std::string &number) {
  for (const char *name : {"latency_s", "load_s", "first_s", "total_s", "compile_s",
                           "peak_memory_bytes", "peak_bytes", "file_bytes"})
    if (number == name || number.starts_with(std::string(name) + "."))
      return true;
  return false;
}

namespace {

/// Runs that ended well, the oldest first, whose model has the name.
std::vector<RunFile> runsOfModel(Store &store, const std::string &name) {
  std::vector<RunFile> runs;
  for (const RunRow &row : store.list({.kind = {}, .model = name, .status = "done"}))
    if (row.model == name)
      runs.push_back(store.find(row.id));
  std::ranges::reverse(runs);
  return runs;
}

/// Compilations, the oldest first, that know a kernel of that name.
std::vector<RunFile> runsOfKernel(Store &store, const std::string &name) {
  std::vector<RunFile> runs;
  for (const RunRow &row :
       store.list({.kind = "compile", .model = {}, .status = "done"})) {
    RunFile run = store.find(row.id);
    if (numbersOf(run).contains("kernels." + name))
      runs.push_back(std::move(run));
  }
  std::ranges::reverse(runs);
  return runs;
}

void addPoint(Trend &trend, const RunFile &run, double value, const RunFile *before) {
  TrendPoint point{run.id, run.startedNs, value, std::nullopt, {}};
  if (before) {
    const double ratio = value / trend.points.back().value;
    if (std::isfinite(ratio))
      point.ratio = ratio;
    point.changed = compare({*before, run}).facts;
  }
  trend.points.push_back(std::move(point));
}

} // namespace

std::vector<Trend> trend(Store &store, const std::string &name,
                         const std::string &metric, size_t limit) {
  std::vector<RunFile> runs = runsOfModel(store, name);
  const bool ofKernel = runs.empty();
  if (ofKernel)
    runs = runsOfKernel(store, name);
  const auto isWanted = [&](const std::string &number) {
    if (ofKernel)
      return number == "kernels." + name;
    return metric.empty() ? isMainNumber(number)
                          : number.find(metric) != std::string::npos;
  };
  std::map<std::pair<std::string, std::string>, std::vector<std::pair<size_t, double>>>
      found;
  for (size_t i = 0; i < runs.size(); ++i)
    for (const auto &[number, value] : numbersOf(runs[i]))
      if (isWanted(number))
        found[{runs[i].kind, number}].emplace_back(i, value);
  std::vector<Trend> trends;
  for (const auto &[key, values] : found) {
    Trend &each = trends.emplace_back(Trend{key.first, key.second, {}});
    const size_t skipped =
        limit != 0 && values.size() > limit ? values.size() - limit : 0;
    const RunFile *before = nullptr;
    for (size_t i = skipped; i < values.size(); ++i) {
      const auto [run, value] = values[i];
      addPoint(each, runs[run], value, before);
      before = &runs[run];
    }
  }
  return trends;
}

} // namespace rtorch::store
