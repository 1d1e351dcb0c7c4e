// Cases of C functions that are called wrongly.
#pragma once

#include <rtorch/checkpoint.h>
#include <rtorch/runtime.h>

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace rtorch::misuse {

inline constexpr uint32_t kMany = std::numeric_limits<uint32_t>::max();

/// The stable code of the error, which is freed; "" for success. An error without a
/// message is as bad as none.
inline std::string codeOf(rtorch_error *error) {
  if (!error)
    return "";
  std::string code = rtorch_error_code(error);
  if (std::string(rtorch_error_message(error)).empty())
    code += " without a message";
  rtorch_error_destroy(error);
  return code;
}

struct Case {
  const char *what;
  const char *expected; // the code; "" where the call is allowed
  std::function<std::string()> call;
};
using Cases = std::map<std::string, std::vector<Case>>;

template <typename Struct> Struct sized(uint32_t bytes = sizeof(Struct)) {
  Struct value{};
  value.struct_size = bytes;
  return value;
}

/// The functions of checkpoint.h, on files in `folder`.
void addCheckpoints(Cases &cases, const std::string &folder);

} // namespace rtorch::misuse
