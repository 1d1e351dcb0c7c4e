// JSON under mutation that stays JSON: what reads it is met behind the parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rtorch::fuzz {

/// The document with one to four of its values changed: replaced by another value of
/// the document or by an extreme one, left out, doubled, or mutated as text. `text`
/// itself where it is no JSON.
std::string mutateJson(std::string_view text, unsigned seed);

} // namespace rtorch::fuzz
