#include "runtime/record/Sketch.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rtorch::record {

Sketch::Sketch(double epsilon)
    : epsilon_(std::clamp(epsilon, 1e-6, 0.5)),
      bufferSize_(std::max<size_t>(1, static_cast<size_t>(1 / (2 * epsilon_)))) {}

void Sketch::add(double value) {
  if (std::isnan(value))
    return;
  ++count_;
  buffer_.push_back(value);
  if (buffer_.size() >= bufferSize_)
    merge();
}

void Sketch::merge() {
  std::ranges::sort(buffer_);
  std::vector<Tuple> merged;
  merged.reserve(tuples_.size() + buffer_.size());
  size_t next = 0;
  for (double value : buffer_) {
    while (next < tuples_.size() && tuples_[next].value <= value)
      merged.push_back(tuples_[next++]);
    // A new least or greatest value has an exact rank; others take the uncertainty of
    // the value that follows.
    bool extreme = merged.empty() || next == tuples_.size();
    uint64_t delta = extreme ? 0 : tuples_[next].gap + tuples_[next].delta - 1;
    merged.push_back({value, 1, delta});
  }
  merged.insert(merged.end(), tuples_.begin() + static_cast<ptrdiff_t>(next),
                tuples_.end());
  tuples_ = std::move(merged);
  merged_ += buffer_.size();
  buffer_.clear();
  compress();
}

void Sketch::compress() {
  if (tuples_.size() < 3)
    return;
  auto limit = static_cast<uint64_t>(2 * epsilon_ * static_cast<double>(merged_));
  std::vector<Tuple> kept{tuples_.back()};
  for (size_t i = tuples_.size() - 1; i-- > 1;) {
    Tuple &after = kept.back();
    if (tuples_[i].gap + after.gap + after.delta <= limit)
      after.gap += tuples_[i].gap;
    else
      kept.push_back(tuples_[i]);
  }
  kept.push_back(tuples_.front());
  std::ranges::reverse(kept);
  tuples_ = std::move(kept);
}

double Sketch::quantile(double fraction) const {
  if (!buffer_.empty()) {
    Sketch all = *this;
    all.merge();
    return all.quantile(fraction);
  }
  if (tuples_.empty())
    return std::numeric_limits<double>::quiet_NaN();
  double rank = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(merged_ - 1) + 1;
  double error = epsilon_ * static_cast<double>(merged_);
  uint64_t least = 0;
  const Tuple *best = &tuples_.front();
  for (const Tuple &tuple : tuples_) {
    least += tuple.gap;
    if (static_cast<double>(least + tuple.delta) > rank + error)
      break;
    best = &tuple;
  }
  return best->value;
}

} // namespace rtorch::record
