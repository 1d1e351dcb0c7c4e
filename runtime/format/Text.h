// Small helpers that build messages.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace rtorch::format {

inline void appendText(std::string &out, std::string_view part) { out += part; }
inline void appendText(std::string &out, std::integral auto part) {
  out += std::to_string(part);
}

/// Concatenates strings and integers: text("expected ", 2, ", but got ", n).
template <typename... Parts> std::string text(const Parts &...parts) {
  std::string out;
  (appendText(out, parts), ...);
  return out;
}

} // namespace rtorch::format
