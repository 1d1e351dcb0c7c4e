#include "runtime/include/rtorch/record.hpp"

#include "runtime/record/Files.h"
#include "runtime/record/Host.h"
#include "runtime/record/JsonText.h"
#include "runtime/record/Sketch.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <map>
#include <random>

namespace rtorch::record {
namespace {

/// Of run.json, and of the lines of both .jsonl files.
constexpr int64_t kSchema = 1;

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// "20261122-091500-3fa94c21": UTC, and what keeps runs of one second apart.
std::string newId() {
  std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[48];
  size_t length = std::strftime(text, sizeof text, "%Y%m%d-%H%M%S-", &utc);
  std::snprintf(text + length, sizeof text - length, "%08x", std::random_device()());
  return text;
}

struct Metric {
  explicit Metric(double epsilon) : sketch(epsilon) {}
  Sketch sketch;
  uint64_t count = 0;
  double last = 0, sum = 0;
  double least = std::numeric_limits<double>::infinity(), greatest = -least;

  void add(double value) {
    sketch.add(value);
    ++count;
    last = value;
    sum += value;
    least = std::fmin(least, value);
    greatest = std::fmax(greatest, value);
  }
  Fields summary(double epsilon) const {
    return {{"count", count},
            {"last", last},
            {"min", least},
            {"max", greatest},
            {"mean", sum / static_cast<double>(count)},
            {"p50", sketch.quantile(0.5)},
            {"p90", sketch.quantile(0.9)},
            {"p99", sketch.quantile(0.99)},
            {"epsilon", epsilon}};
  }
};

} // namespace

std::filesystem::path defaultStore() {
  auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return std::filesystem::path(value ? value : "");
  };
  if (std::getenv("RTORCH_STORE"))
    return variable("RTORCH_STORE");
  if (auto data = variable("XDG_DATA_HOME"); data.is_absolute())
    return data / "rtorch";
  if (auto home = variable("HOME"); home.is_absolute())
    return home / ".local" / "share" / "rtorch";
  return {};
}

struct Run::State {
  std::string id;
  std::filesystem::path directory;
  double epsilon = 0.001;
  Fields facts;
  int64_t started = 0;
  uint64_t events = 0, records = 0;
  LineFile eventFile, metricFile;
  WriterLock lock;
  std::map<std::string, Metric, std::less<>> metrics;
  std::string firstError;

  void note(std::string error) {
    if (firstError.empty())
      firstError = std::move(error);
  }
  std::string open(const std::filesystem::path &store);
  std::string openFiles();
  std::string writeFacts(std::string_view status, const Fields &more);
};

std::string Run::State::open(const std::filesystem::path &store) {
  std::error_code code;
  std::filesystem::path runs = store / "runs";
  std::filesystem::create_directories(runs, code);
  if (code)
    return "cannot create '" + runs.string() + "': " + code.message();
  for (int attempt = 0; attempt < 100; ++attempt) {
    id = newId();
    directory = runs / ("." + id); // readers pass it over until it is complete
    if (std::filesystem::create_directory(directory, code))
      break;
    if (code)
      return "cannot create '" + directory.string() + "': " + code.message();
  }
  std::string error = openFiles();
  if (error.empty()) {
    std::filesystem::rename(directory, runs / id, code);
    if (!code) {
      directory = runs / id;
      return {};
    }
    error = "cannot name '" + (runs / id).string() + "': " + code.message();
  }
  std::filesystem::remove_all(directory, code); // no run is there in part
  return error;
}

std::string Run::State::openFiles() {
  std::string error = lock.acquire(directory / "writer.lock");
  if (error.empty())
    error = eventFile.open(directory / "events.jsonl");
  if (error.empty())
    error = metricFile.open(directory / "metrics.jsonl");
  return error.empty() ? writeFacts("running", {}) : error;
}

std::string Run::State::writeFacts(std::string_view status, const Fields &more) {
  Fields all{{"schema", kSchema}, {"id", id}};
  all.insert(all.end(), facts.begin(), facts.end());
  all.emplace_back("started_ns", started);
  all.emplace_back("status", std::string(status));
  all.insert(all.end(), more.begin(), more.end());
  return replaceFile(directory / "run.json", toJson(all) + "\n",
                     /*durable=*/status != "running");
}

Run::Run(std::unique_ptr<State> state) : state_(std::move(state)) {}
Run::~Run() = default;

std::unique_ptr<Run> Run::begin(std::string_view kind, const Fields &facts,
                                const Options &options, std::string &error) {
  if (options.store.empty()) {
    error = "no store is named, and there is no home directory";
    return nullptr;
  }
  auto state = std::make_unique<State>();
  state->epsilon = options.epsilon;
  state->started = now();
  state->facts = {{"kind", std::string(kind)}};
  state->facts.insert(state->facts.end(), facts.begin(), facts.end());
  state->facts.emplace_back("host", Json{toJson(hostFacts())});
  state->facts.emplace_back("process", Json{toJson(processFacts())});
  error = state->open(options.store);
  if (!error.empty())
    return nullptr;
  return std::unique_ptr<Run>(new Run(std::move(state)));
}

const std::string &Run::id() const { return state_->id; }
const std::filesystem::path &Run::directory() const { return state_->directory; }

void Run::event(std::string_view name, const Fields &fields) {
  Fields line{{"seq", state_->events++}, {"t", now()}, {"event", std::string(name)}};
  line.insert(line.end(), fields.begin(), fields.end());
  state_->note(state_->eventFile.append(toJson(line)));
}

void Run::metric(std::string_view name, double value) {
  auto found = state_->metrics.find(name);
  if (found == state_->metrics.end())
    found = state_->metrics.emplace(name, Metric(state_->epsilon)).first;
  found->second.add(value);
  state_->note(state_->metricFile.append(toJson(Fields{{"seq", state_->records++},
                                                       {"t", now()},
                                                       {"k", std::string(name)},
                                                       {"v", value}})));
}

bool Run::finish(std::string_view status, const Fields &given, std::string &error) {
  Fields results = given;
  if (std::ranges::find(results, "peak_memory_bytes", &Fields::value_type::first) ==
      results.end())
    results.emplace_back("peak_memory_bytes", peakMemoryBytes());
  Fields metrics;
  for (const auto &[name, metric] : state_->metrics)
    metrics.emplace_back(name, Json{toJson(metric.summary(state_->epsilon))});
  std::string summary = toJson(metrics);
  state_->note(replaceFile(
      state_->directory / "summary.json",
      toJson(Fields{{"schema", kSchema}, {"metrics", Json{summary}}}) + "\n"));
  state_->note(state_->writeFacts(status, {{"ended_ns", now()},
                                           {"events", state_->events},
                                           {"records", state_->records},
                                           {"results", Json{toJson(results)}}}));
  error = state_->firstError;
  return error.empty();
}

} // namespace rtorch::record
