#include "runtime/store/Store.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace rtorch::store {
namespace {

/// Members that name the run or its process.
bool isOfTheRunItself(const std::string &name) {
  static const std::set<std::string> names{"id",           "schema",  "started_ns",
                                           "ended_ns",     "process", "results",
                                           "host.boot_id", "events",  "records"};
  return names.contains(name);
}

/// "host.cpu": leaves of objects by their paths.
void flatten(const Json &json, const std::string &prefix,
             std::map<std::string, std::string> &leaves) {
  for (const auto &[key, value] : json.items()) {
    std::string name = prefix + key;
    if (isOfTheRunItself(name))
      continue;
    if (value.is_object())
      flatten(value, name + ".", leaves);
    else
      leaves[name] = value.is_string() ? value.get<std::string>() : value.dump();
  }
}

/// Numbers of "results", by their paths.
void numbers(const Json &json, const std::string &prefix,
             std::map<std::string, double> &values) {
  for (const auto &[key, value] : json.items()) {
    if (value.is_number())
      values[prefix + key] = value.get<double>();
    else if (value.is_object())
      numbers(value, prefix + key + ".", values);
  }
}

} // namespace

std::map<std::string, double> numbersOf(const RunFile &run) {
  std::map<std::string, double> values;
  if (auto results = run.facts.find("results");
      results != run.facts.end() && results->is_object())
    numbers(*results, "", values);
  for (const auto &[name, metric] : run.metrics)
    values[name] = metric.p50;
  return values;
}

namespace {

double change(const MetricDelta &delta) {
  return delta.ratio && *delta.ratio > 0 ? std::abs(std::log(*delta.ratio)) : -1;
}

} // namespace

Comparison compare(const std::vector<RunFile> &runs) {
  Comparison result;
  std::vector<std::map<std::string, std::string>> facts(runs.size());
  std::vector<std::map<std::string, double>> values(runs.size());
  std::set<std::string> factNames, valueNames;
  for (size_t i = 0; i < runs.size(); ++i) {
    flatten(runs[i].facts, "", facts[i]);
    values[i] = numbersOf(runs[i]);
    for (const auto &[name, value] : facts[i])
      factNames.insert(name);
    for (const auto &[name, value] : values[i])
      valueNames.insert(name);
  }
  for (const std::string &name : factNames) {
    Difference row{name, {}};
    for (const auto &each : facts)
      row.values.push_back(each.contains(name) ? each.at(name) : "-");
    if (std::ranges::adjacent_find(row.values, std::not_equal_to<>()) !=
        row.values.end())
      result.facts.push_back(std::move(row));
  }
  for (const std::string &name : valueNames) {
    MetricDelta row{name, {}, std::nullopt};
    for (const auto &each : values)
      row.values.push_back(each.contains(name) ? each.at(name) : std::nan(""));
    double ratio = row.values.back() / row.values.front();
    if (std::isfinite(ratio))
      row.ratio = ratio;
    result.metrics.push_back(std::move(row));
  }
  std::ranges::stable_sort(result.metrics, std::greater<>(), change);
  return result;
}

} // namespace rtorch::store
