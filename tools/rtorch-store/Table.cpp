#include "tools/rtorch-store/Table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace rtorch::tools {
namespace {

/// Characters, not bytes, of UTF-8.
size_t length(const std::string &text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// Cut before a character begins, and without what moves a terminal's cursor.
std::string cell(std::string text, size_t widest) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; },
      '?');
  if (length(text) <= widest)
    return text;
  size_t bytes = 0;
  for (size_t characters = 0; bytes < text.size(); ++bytes)
    if ((static_cast<unsigned char>(text[bytes]) & 0xC0) != 0x80 &&
        ++characters == widest)
      break;
  return text.substr(0, bytes) + "…";
}

std::string formatted(const char *format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

} // namespace

Table::Table(std::vector<std::string> header, size_t widest) : widest_(widest) {
  if (!header.empty())
    add(std::move(header));
}

void Table::add(std::vector<std::string> cells) {
  for (std::string &each : cells)
    each = cell(std::move(each), widest_);
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const auto &row : rows_)
    for (size_t i = 0; i < row.size(); ++i) {
      widths.resize(std::max(widths.size(), row.size()));
      widths[i] = std::max(widths[i], length(row[i]));
    }
  std::string text;
  for (const auto &row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size())
        text += std::string(widths[i] - length(row[i]) + 2, ' ');
    }
    text += '\n';
  }
  return text;
}

std::string printTime(int64_t ns) {
  if (ns == 0)
    return "-";
  auto seconds = static_cast<std::time_t>(ns / 1000000000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc);
  return text;
}

std::string printSeconds(double seconds) {
  if (!(seconds > 0))
    return "-";
  if (seconds >= 1)
    return formatted("%.2f s", seconds);
  return seconds >= 1e-3 ? formatted("%.2f ms", seconds * 1e3)
                         : formatted("%.2f µs", seconds * 1e6);
}

std::string printNumber(double value, int digits) {
  if (std::isnan(value))
    return "-";
  char text[48];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string printChange(const std::optional<double> &ratio) {
  if (!ratio)
    return "";
  const double percent = std::round((*ratio - 1) * 1000) / 10;
  return (percent >= 0 ? "+" : "") + printNumber(percent) + " %";
}

} // namespace rtorch::tools
