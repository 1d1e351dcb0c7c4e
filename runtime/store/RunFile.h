// Reading a run's directory, whatever state its writer left it in.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace rtorch::store {

using Json = nlohmann::ordered_json;

/// What is known of one metric.
struct MetricSummary {
  uint64_t count = 0;
  double last = 0, least = 0, greatest = 0, mean = 0, p50 = 0, p90 = 0, p99 = 0;
};

/// A run as its files tell. `problems` says what is missing, torn or inconsistent; the
/// rest is what could be read.
struct RunFile {
  std::string id;
  std::filesystem::path directory;
  /// "running", "done", "failed", "lost" (its process ended without a word) or
  /// "unreadable" (no run.json).
  std::string status;
  std::string kind, model;
  int64_t startedNs = 0, endedNs = 0;
  Json facts = Json::object();
  std::map<std::string, MetricSummary> metrics;
  std::vector<std::string> problems;

  double seconds() const {
    return endedNs > startedNs ? static_cast<double>(endedNs - startedNs) * 1e-9 : 0;
  }
};

/// Reads run.json and summary.json; the summary of a lost run is made from its metrics.
RunFile readRun(const std::filesystem::path &directory);

/// Complete lines of a .jsonl file in order. A torn last line, gaps of "seq" and lines
/// that are no JSON objects go to `problems`.
std::vector<Json> readLines(const std::filesystem::path &path,
                            std::vector<std::string> &problems);

/// What the number says, with "NaN", "Infinity" and "-Infinity" as numbers.
double numberOf(const Json &value);

} // namespace rtorch::store
