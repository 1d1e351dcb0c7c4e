// The spans of a run as a trace that Perfetto and chrome://tracing open.
#pragma once

#include <rtorch/rtorch.hpp>
#include <span>
#include <string>
#include <vector>

namespace rtorch::run {

class Trace final {
public:
  void add(const rtorch_span &span) { spans_.push_back(span); }
  std::span<const rtorch_span> spans() const { return spans_; }
  /// Chrome's JSON trace format; times in microseconds from the first launch.
  std::string json(const std::string &module) const;

private:
  std::vector<rtorch_span> spans_; // their strings live as long as the module
};

} // namespace rtorch::run
