#include "runtime/core/Status.h"

namespace rtorch::core {

const char *codeName(ErrorCode code) {
  static constexpr const char *names[] = {
#define RTORCH_ERROR_CODE(enumerator, name) name,
#include "runtime/core/ErrorCodes.def"
#undef RTORCH_ERROR_CODE
  };
  return names[size_t(code)];
}

Error makeError(ErrorCode code, std::string message) {
  return {code, std::move(message), {}, {}};
}

} // namespace rtorch::core
