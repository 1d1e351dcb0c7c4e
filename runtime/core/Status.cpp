#include "runtime/core/Status.h"

#include <iterator>

namespace rtorch::core {
namespace {

constexpr const char *kNames[] = {
#define RTORCH_ERROR_CODE(enumerator, name) name,
#include "runtime/core/ErrorCodes.def"
#undef RTORCH_ERROR_CODE
};

} // namespace

const char *codeName(ErrorCode code) { return kNames[size_t(code)]; }

ErrorCode codeOfName(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i])
      return ErrorCode(i);
  return ErrorCode::ApiUsage;
}

Error makeError(ErrorCode code, std::string message) {
  return {code, std::move(message), {}, {}};
}

} // namespace rtorch::core
