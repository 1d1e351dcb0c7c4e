#include "runtime/store/RunFile.h"

#include "runtime/record/Files.h"
#include "runtime/record/Sketch.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace rtorch::store {
namespace {

std::optional<std::string> contentOf(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return std::nullopt;
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::optional<Json> readObject(const std::filesystem::path &path,
                               std::vector<std::string> &problems) {
  std::optional<std::string> text = contentOf(path);
  if (!text)
    return std::nullopt;
  Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object())
    return json;
  problems.push_back(path.filename().string() + " is no JSON object");
  return std::nullopt;
}

std::string textOf(const Json &object, const char *name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

int64_t integerOf(const Json &object, const char *name) {
  auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>()
                                                             : 0;
}

MetricSummary summaryOf(const Json &object) {
  auto at = [&](const char *name) {
    auto found = object.find(name);
    return found == object.end() ? std::numeric_limits<double>::quiet_NaN()
                                 : numberOf(*found);
  };
  return {static_cast<uint64_t>(integerOf(object, "count")),
          at("last"),
          at("min"),
          at("max"),
          at("mean"),
          at("p50"),
          at("p90"),
          at("p99")};
}

/// The summaries of metrics.jsonl, as the writer would have made them.
std::map<std::string, MetricSummary> summarize(const std::vector<Json> &records) {
  struct Stream {
    record::Sketch sketch;
    MetricSummary summary{0, 0, INFINITY, -INFINITY, 0, 0, 0, 0};
    double sum = 0;
  };
  std::map<std::string, Stream> streams;
  for (const Json &record : records) {
    auto value = record.find("v");
    if (value == record.end())
      continue;
    Stream &stream = streams[textOf(record, "k")];
    double number = numberOf(*value);
    stream.sketch.add(number);
    stream.sum += number;
    MetricSummary &summary = stream.summary;
    ++summary.count;
    summary.last = number;
    summary.least = std::fmin(summary.least, number);
    summary.greatest = std::fmax(summary.greatest, number);
  }
  std::map<std::string, MetricSummary> result;
  for (auto &[name, stream] : streams) {
    stream.summary.mean = stream.sum / static_cast<double>(stream.summary.count);
    stream.summary.p50 = stream.sketch.quantile(0.5);
    stream.summary.p90 = stream.sketch.quantile(0.9);
    stream.summary.p99 = stream.sketch.quantile(0.99);
    result[name] = stream.summary;
  }
  return result;
}

} // namespace

double numberOf(const Json &value) {
  if (value.is_number())
    return value.get<double>();
  if (value == "Infinity")
    return std::numeric_limits<double>::infinity();
  if (value == "-Infinity")
    return -std::numeric_limits<double>::infinity();
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<Json> readLines(const std::filesystem::path &path,
                            std::vector<std::string> &problems) {
  std::vector<Json> lines;
  std::optional<std::string> text = contentOf(path);
  std::string name = path.filename().string();
  if (!text) {
    problems.push_back(name + " is missing");
    return lines;
  }
  size_t at = 0, number = 0;
  for (size_t end; (end = text->find('\n', at)) != std::string::npos; at = end + 1) {
    ++number;
    Json line =
        Json::parse(text->begin() + static_cast<ptrdiff_t>(at),
                    text->begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    if (!line.is_object()) {
      problems.push_back(name + ":" + std::to_string(number) + " is no JSON object");
      continue;
    }
    int64_t seq = line.contains("seq") ? integerOf(line, "seq") : -1;
    int64_t before = lines.empty() ? -1 : integerOf(lines.back(), "seq");
    if (seq != before + 1)
      problems.push_back(name + ":" + std::to_string(number) + " has the seq " +
                         std::to_string(seq) + ", expected " +
                         std::to_string(before + 1));
    lines.push_back(std::move(line));
  }
  if (at != text->size())
    problems.push_back(name + " ends in a torn line of " +
                       std::to_string(text->size() - at) + " bytes");
  return lines;
}

/// The facts of a run. One whose writer has gone is read again: it may have ended after
/// the first look.
static std::optional<Json> readFacts(RunFile &run) {
  std::optional<Json> facts = readObject(run.directory / "run.json", run.problems);
  auto status = [&] { return facts ? textOf(*facts, "status") : "unreadable"; };
  run.status = status();
  if (run.status == "running" &&
      !record::WriterLock::isHeld(run.directory / "writer.lock")) {
    facts = readObject(run.directory / "run.json", run.problems);
    run.status = status() == "running" ? "lost" : status();
  }
  return facts;
}

RunFile readRun(const std::filesystem::path &directory) {
  RunFile run;
  run.directory = directory;
  run.id = directory.filename().string();
  std::optional<Json> facts = readFacts(run);
  if (!facts) {
    if (run.problems.empty())
      run.problems.push_back("run.json is missing");
    return run;
  }
  run.facts = std::move(*facts);
  run.kind = textOf(run.facts, "kind");
  run.model = textOf(run.facts, "model");
  run.startedNs = integerOf(run.facts, "started_ns");
  run.endedNs = integerOf(run.facts, "ended_ns");
  auto summary = readObject(directory / "summary.json", run.problems);
  if (summary && summary->contains("metrics")) {
    for (const auto &[name, metric] : (*summary)["metrics"].items())
      if (metric.is_object())
        run.metrics[name] = summaryOf(metric);
  } else if (run.status != "running") {
    std::vector<std::string> torn; // told by verify
    run.metrics = summarize(readLines(directory / "metrics.jsonl", torn));
  }
  return run;
}

} // namespace rtorch::store
