// Why a module file or a manifest was not accepted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace rtorch::format {

/// What kind of trouble it was; the runtime turns each into an RT_MODULE_... code.
enum class FormatErrorKind : uint8_t {
  Io,           // the system refused to open, read, write or rename
  NotAModule,   // no module file at all
  Damaged,      // cut short, changed, or inconsistent in itself
  Version,      // written for another version of the format or of the kernel ABI
  Inconsistent, // the writer was given a manifest that contradicts itself
};

struct FormatError {
  FormatErrorKind kind = FormatErrorKind::Damaged;
  std::string message;
};

/// Empty on success.
using FormatStatus = std::optional<FormatError>;

inline FormatError formatError(FormatErrorKind kind, std::string message) {
  return {kind, std::move(message)};
}

} // namespace rtorch::format
