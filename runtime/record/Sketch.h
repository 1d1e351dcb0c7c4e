// Quantiles of a stream in little memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtorch::record {

/// The sketch of Greenwald and Khanna, "Space-efficient online computation of quantile
/// summaries" (SIGMOD 2001): the value it gives for a quantile has a rank within
/// epsilon * count of the wanted one, for every order of the input. Deterministic.
class Sketch {
public:
  /// `epsilon` in (0, 0.5].
  explicit Sketch(double epsilon = 0.001);

  /// NaN is ignored.
  void add(double value);
  uint64_t count() const { return count_; }
  /// The value at `fraction` of the count, 0 for the least and 1 for the greatest; NaN
  /// for an empty stream.
  double quantile(double fraction) const;
  /// Values kept.
  size_t size() const { return tuples_.size() + buffer_.size(); }

private:
  /// `gap` is the least rank minus the one before's; `delta` the uncertainty of both.
  struct Tuple {
    double value;
    uint64_t gap, delta;
  };
  void merge();
  void compress();

  double epsilon_;
  uint64_t count_ = 0, merged_ = 0;
  std::vector<Tuple> tuples_;
  /// What came since the last merge: sorted in at once, which costs less per value.
  std::vector<double> buffer_;
  size_t bufferSize_;
};

} // namespace rtorch::record
