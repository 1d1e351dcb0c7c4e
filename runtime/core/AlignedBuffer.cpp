#include "runtime/core/AlignedBuffer.h"

#include "runtime/format/KernelAbi.h"
#include "runtime/format/Text.h"

#include <sys/mman.h>

namespace rtorch::core {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;

} // namespace

Status AlignedBuffer::reserve(size_t bytes, const char *purpose) {
  if (bytes <= size_)
    return {};
  // Large blocks begin at a huge page and ask for such: far fewer TLB misses.
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : RTORCH_ALIGNMENT;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void *memory = rounded < bytes ? nullptr : std::aligned_alloc(alignment, rounded);
  if (!memory)
    return makeError(ErrorCode::MemoryExhausted,
                     format::text("there is no memory for ", purpose, ": expected ",
                                  bytes, " bytes"));
  if (alignment == kHugePage)
    madvise(memory, rounded, MADV_HUGEPAGE);
  memory_.reset(static_cast<std::byte *>(memory));
  size_ = rounded;
  return {};
}

} // namespace rtorch::core
