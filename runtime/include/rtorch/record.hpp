// Writing a run into the experiment store: what was compiled or what ran, on which
// machine, with which numbers.
//
//   std::string error;
//   auto run = rtorch::record::Run::begin("run", {{"model", path}}, {}, error);
//   if (run) {
//     run->metric("latency_s", seconds);
//     run->finish("done", {}, error);
//   }
//
// A run is a directory of plain files in <store>/runs/: run.json (facts, replaced
// atomically), events.jsonl and metrics.jsonl (one record a line, appended by one
// write each, so that a killed process loses its torn last line at most) and
// summary.json (derived from the metrics). Link with librtorch_record.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#define RTORCH_RECORD_API __attribute__((visibility("default")))

namespace rtorch::record {

/// Text that is JSON already.
struct Json {
  std::string text;
};

/// A number that is not finite is written as "NaN", "Infinity" or "-Infinity".
using Value = std::variant<bool, int64_t, uint64_t, double, std::string, Json>;
/// An object's members, in order.
using Fields = std::vector<std::pair<std::string, Value>>;

/// RTORCH_STORE, or rtorch in the user's data directory (XDG_DATA_HOME,
/// ~/.local/share); empty if there is neither.
RTORCH_RECORD_API std::filesystem::path defaultStore();

struct Options {
  std::filesystem::path store = defaultStore();
  /// Bound of the rank error of quantiles, as a fraction of the count.
  double epsilon = 0.001;
};

/// A run that is being written; by one thread at a time. One that is destroyed or
/// killed before `finish` stays readable, and counts as lost.
class RTORCH_RECORD_API Run {
public:
  /// Makes the run's directory; null with a message if it cannot be made. `kind` is
  /// "compile", "run" or a word of the program's own; `facts` are what is known before.
  static std::unique_ptr<Run> begin(std::string_view kind, const Fields &facts,
                                    const Options &options, std::string &error);
  ~Run();
  Run(const Run &) = delete;
  Run &operator=(const Run &) = delete;

  /// Names the run in the store; ids sort by time.
  const std::string &id() const;
  const std::filesystem::path &directory() const;

  /// Appends {"seq", "t", "event", ...fields} to events.jsonl.
  void event(std::string_view name, const Fields &fields);
  /// Appends a value of a metric to metrics.jsonl and to its quantiles. NaN counts, but
  /// has no rank.
  void metric(std::string_view name, double value);

  /// Writes summary.json, and run.json with the end, the status ("done", "failed") and
  /// `results`, to which the process's "peak_memory_bytes" are added. False with a
  /// message if anything of the run could not be written.
  bool finish(std::string_view status, const Fields &results, std::string &error);

private:
  struct State;
  explicit Run(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

} // namespace rtorch::record
