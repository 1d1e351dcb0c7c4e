// The experiment store: all runs, found through an index.
#pragma once

#include "runtime/store/RunFile.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rtorch::store {

class Database;

/// A line of a list.
struct RunRow {
  std::string id, kind, model, status;
  int64_t startedNs = 0;
  double seconds = 0;
  /// The median of "latency_s" for runs; 0 without one.
  double latency = 0;
};

struct Filter {
  std::string kind, model, status; // empty: any
  size_t limit = 0;                // 0: all
};

/// Reads a store's directory. The index (index.sqlite) is a cache: one that is missing,
/// of another version or damaged is made again from the runs' files. Where it cannot be
/// written, the store is read without one. Failures throw std::runtime_error.
class Store {
public:
  explicit Store(std::filesystem::path directory);
  ~Store();

  /// The newest first.
  std::vector<RunRow> list(const Filter &filter);
  /// The run of this id, or of the only id that begins so. Throws if there is none or
  /// more than one.
  RunFile find(const std::string &id);
  /// Makes the index again; gives the number of runs.
  size_t rebuild();
  /// The ids of all runs, the newest first.
  std::vector<std::string> ids() const;
  void remove(const std::string &id);

  const std::filesystem::path &directory() const { return directory_; }

private:
  std::filesystem::path runs() const { return directory_ / "runs"; }
  void open();
  void refresh();
  void put(const RunFile &run);

  std::filesystem::path directory_;
  std::unique_ptr<Database> index_;
};

/// What is wrong with the files of a run, beyond what its reader saw.
std::vector<std::string> verify(const RunFile &run);

/// Number of fields by which runs differ, of "host", "options", ...
struct Difference {
  std::string name;
  std::vector<std::string> values; // of each run; "-" where it is missing
};
struct MetricDelta {
  std::string name;
  std::vector<double> values; // medians
  /// Last over first, where both are numbers and the first is not 0.
  std::optional<double> ratio;
};
struct Comparison {
  std::vector<Difference> facts;
  std::vector<MetricDelta> metrics; // the largest change first
};
/// The numbers of a run by their paths: of its results, and the medians of its metrics.
std::map<std::string, double> numbersOf(const RunFile &run);

/// One run's value of a number.
struct TrendPoint {
  std::string run;
  int64_t startedNs = 0;
  double value = 0;
  std::optional<double> ratio; // of the value before
  /// Facts that differ from the run before: its value, and this one's.
  std::vector<Difference> changed;
};
/// The history of a number over the runs of one kind, the oldest first.
struct Trend {
  std::string kind, metric;
  std::vector<TrendPoint> points;
};
/// What is known of a model, or where no model has that name, of a kernel: all numbers
/// whose names contain `metric`; of a model and with an empty one, the main ones. Only
/// the newest `limit` runs of each kind; 0: all.
std::vector<Trend> trend(Store &store, const std::string &name,
                         const std::string &metric, size_t limit);

/// Whether the number is shown where nothing in particular is asked for: times of a
/// whole run or compilation, memory, sizes.
bool isMainNumber(const std::string &name);

/// Configuration apart from numbers; what names the run itself is left out.
Comparison compare(const std::vector<RunFile> &runs);

} // namespace rtorch::store
