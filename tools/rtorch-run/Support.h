// What the parts of rtorch-run share.
#pragma once

#include "runtime/archive/Error.h"

#include <nlohmann/json.hpp>
#include <rtorch/rtorch.hpp>
#include <string>

namespace rtorch::run {

/// Objects keep the order in which they are written here.
using Json = nlohmann::ordered_json;

inline Error fromArchive(const archive::Error &error) {
  return {"RT_ARCHIVE", error.message, {}, {}};
}

/// Prints "rtorch-run: error: CODE: message" to stderr; returns the exit status.
int fail(const Error &error);

/// Writes `text` to a temporary file beside `path` and renames it.
Expected<void> writeText(const std::string &path, const std::string &text);

/// "[4, 128]"
std::string printList(std::span<const int64_t> values);
std::string printList(std::span<const std::string> values);

/// "1.5 MiB"
std::string printBytes(uint64_t bytes);

} // namespace rtorch::run
