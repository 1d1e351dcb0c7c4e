// Charts as SVG that fits any width: places are percentages, text keeps its size.
#pragma once

#include "tools/rtorch-store/Units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rtorch::tools {

struct Bar {
  std::string label;
  double value = 0;
  /// A line over the bar, such as from the least value to a high quantile.
  std::optional<std::pair<double, double>> range = std::nullopt;
};
/// A row for each bar. `axis` says what is counted: "seconds in the compiler".
std::string barChart(const std::string &title, const std::string &axis, Unit unit,
                     const std::vector<Bar> &bars);

/// Values in their order, and lines at some quantiles of them ("p50"). Values far above
/// the last quantile are cut off and counted.
std::string seriesChart(const std::string &title, const std::string &axis, Unit unit,
                        const std::vector<double> &values,
                        const std::vector<std::pair<std::string, double>> &quantiles);

/// Something that a thread did; times in seconds.
struct TimelineSpan {
  uint32_t thread = 0;
  double begin = 0, end = 0;
  std::string text;
  unsigned color = 0; // 0 to 7
};
/// A row for each thread.
std::string timelineChart(const std::string &title, std::vector<TimelineSpan> spans);

} // namespace rtorch::tools
