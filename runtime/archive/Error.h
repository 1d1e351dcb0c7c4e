// Errors as values for the archive and import libraries: a message that names the
// thing, what was expected and what came.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace rtorch::archive {

/// Why something failed, for people. Carries no code: the caller that knows the
/// context (import, command line) adds one.
struct Error {
  std::string message;
};

inline Error makeError(std::string message) { return Error{std::move(message)}; }

/// Success or an error. `if (!status) return status.error();`
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {} // NOLINT: return makeError(...)

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  /// Only when !ok().
  const Error &error() const & { return *error_; }
  Error &&error() && { return std::move(*error_); }
  const std::string &message() const { return error_->message; }

private:
  std::optional<Error> error_;
};

/// A value or an error. `*result` is valid only when ok().
template <typename T> class [[nodiscard]] Result {
public:
  template <typename U = T>
    requires(std::is_constructible_v<T, U &&> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error>)
  Result(U &&value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}           // NOLINT
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {} // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T &operator*() & { return *std::get_if<0>(&state_); }
  const T &operator*() const & { return *std::get_if<0>(&state_); }
  T &&operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T *operator->() { return std::get_if<0>(&state_); }
  const T *operator->() const { return std::get_if<0>(&state_); }
  /// Only when !ok().
  const Error &error() const & { return *std::get_if<1>(&state_); }
  Error &&error() && { return std::move(*std::get_if<1>(&state_)); }
  const std::string &message() const { return error().message; }

private:
  std::variant<T, Error> state_;
};

} // namespace rtorch::archive
