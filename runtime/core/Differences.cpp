#include "runtime/core/Differences.h"

#include "runtime/format/Text.h"

namespace rtorch::core {

using format::text;

void Differences::add(std::string_view what) {
  constexpr size_t kMaxListed = 100;
  if (++count_ <= kMaxListed)
    list_ += text("\n  ", what);
  else if (count_ == kMaxListed + 1)
    list_ += "\n  ...";
}

Status Differences::status(std::string_view what) const {
  if (count_ == 0)
    return {};
  return makeError(
      ErrorCode::CheckpointMismatch,
      text(what, ", ", count_, count_ == 1 ? " difference:" : " differences:", list_));
}

} // namespace rtorch::core
