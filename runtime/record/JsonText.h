// JSON as text.
#pragma once

#include "runtime/include/rtorch/record.hpp"

#include <string>
#include <string_view>

namespace rtorch::record {

/// The string in quotes, control characters and what is not UTF-8 escaped.
std::string quote(std::string_view text);
std::string toJson(const Value &value);
/// {"a": 1, ...} on one line.
std::string toJson(const Fields &fields);

} // namespace rtorch::record
