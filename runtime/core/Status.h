// Errors as values. No exception crosses a border of the runtime.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rtorch::core {

enum class ErrorCode : uint8_t {
#define RTORCH_ERROR_CODE(enumerator, name) enumerator,
#include "runtime/core/ErrorCodes.def"
#undef RTORCH_ERROR_CODE
};

/// The stable name of a code, "RT_LAYOUT_STRIDE".
const char *codeName(ErrorCode code);
/// The code of that name; ApiUsage if there is none.
ErrorCode codeOfName(std::string_view name);

/// What went wrong: the thing, what was expected, what came.
struct Error {
  ErrorCode code = ErrorCode::ApiUsage;
  std::string message;
  std::string node;   // FX node or op that is concerned, empty if none
  std::string source; // the user's source line of that op, empty if none
};

/// Success, or an error. Success costs one null pointer.
class [[nodiscard]] Status final {
public:
  Status() = default;
  Status(Error error) // NOLINT: a function returns an error as it is
      : error_(std::make_unique<Error>(std::move(error))) {}

  bool ok() const { return !error_; }
  /// Only when !ok().
  const Error &error() const { return *error_; }
  std::unique_ptr<Error> takeError() && { return std::move(error_); }

private:
  std::unique_ptr<Error> error_;
};

/// A value, or an error.
template <typename T> class [[nodiscard]] Result final {
public:
  Result(T value) : value_(std::move(value)) {}           // NOLINT: as Status
  Result(Error error) : status_(std::move(error)) {}      // NOLINT
  Result(Status failure) : status_(std::move(failure)) {} // NOLINT: only !ok()

  bool ok() const { return value_.has_value(); }
  /// Only when ok().
  T &operator*() { return *value_; }
  T *operator->() { return &*value_; }
  /// Only when !ok().
  const Error &error() const { return status_.error(); }
  Status takeStatus() && { return std::move(status_); }

private:
  std::optional<T> value_;
  Status status_;
};

/// An error without node and source.
Error makeError(ErrorCode code, std::string message);

} // namespace rtorch::core
