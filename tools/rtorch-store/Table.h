// Text for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rtorch::tools {

/// Columns of aligned text; a cell is cut to `widest` characters.
class Table {
public:
  explicit Table(std::vector<std::string> header, size_t widest = 60);
  void add(std::vector<std::string> cells);
  std::string text() const;

private:
  size_t widest_;
  std::vector<std::vector<std::string>> rows_;
};

/// "2026-11-22 09:15:00" in UTC; "-" for 0.
std::string printTime(int64_t ns);
/// "1.25 s", "3.1 ms"; "-" for 0.
std::string printSeconds(double seconds);
/// Up to so many digits; "-" for NaN.
std::string printNumber(double value, int digits = 6);
/// "+12.5 %"; empty without a ratio.
std::string printChange(const std::optional<double> &ratio);

} // namespace rtorch::tools
