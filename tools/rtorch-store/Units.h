// In what a number of a run is counted.
#pragma once

#include <string>

namespace rtorch::tools {

enum class Unit { Plain, Seconds, Bytes };

/// By the number's name: "latency_s.rtorch.t1", "kernels.<name>", "file_bytes".
Unit unitOf(const std::string &number);

/// "3.1 ms", "1.2 MB", "7"; "-" for NaN.
std::string printValue(Unit unit, double value);

/// The part of a unit in which the largest of some values has one to three digits.
struct Scale {
  double factor = 1; // of it in one unit
  std::string name;  // "ms"; empty for plain numbers
};
Scale scaleFor(Unit unit, double largest);

} // namespace rtorch::tools
