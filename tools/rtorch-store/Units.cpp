#include "tools/rtorch-store/Units.h"

#include "tools/rtorch-store/Table.h"

#include <array>
#include <cmath>
#include <cstdint>

namespace rtorch::tools {

Unit unitOf(const std::string &number) {
  if (number.starts_with("kernels.") || number.starts_with("phases."))
    return Unit::Seconds;
  for (auto [suffix, unit] :
       {std::pair("_s", Unit::Seconds), std::pair("_bytes", Unit::Bytes)})
    if (number.ends_with(suffix) ||
        number.find(std::string(suffix) + ".") != std::string::npos)
      return unit;
  return Unit::Plain;
}

Scale scaleFor(Unit unit, double largest) {
  static const std::array<Scale, 4> seconds{
      {{1, "s"}, {1e3, "ms"}, {1e6, "µs"}, {1e9, "ns"}}};
  static const std::array<Scale, 4> bytes{
      {{1e-9, "GB"}, {1e-6, "MB"}, {1e-3, "KB"}, {1, "B"}}};
  if (unit == Unit::Plain)
    return {};
  const auto &scales = unit == Unit::Seconds ? seconds : bytes;
  if (largest == 0)
    return unit == Unit::Seconds ? scales.front() : scales.back();
  for (const Scale &scale : scales)
    if (std::abs(largest) * scale.factor >= 1)
      return scale;
  return scales.back();
}

std::string printValue(Unit unit, double value) {
  if (!std::isfinite(value))
    return "-";
  // Counts are exact: no 1e+06 for a million.
  if (unit == Unit::Plain && value == std::trunc(value) && std::abs(value) < 0x1p53)
    return std::to_string(static_cast<int64_t>(value));
  const Scale scale = scaleFor(unit, value);
  const std::string text =
      printNumber(value * scale.factor, unit == Unit::Plain ? 6 : 4);
  return scale.name.empty() ? text : text + " " + scale.name;
}

} // namespace rtorch::tools
