// Copies of tensors into other strides, for callers who ask for them.
#pragma once

#include "runtime/core/Value.h"

#include <cstdint>
#include <span>

namespace rtorch::executor {

/// Copies `source` to `target`; both have `sizes`, and elements of `width` bytes. The
/// memory must not overlap.
void copyStrided(std::span<const int64_t> sizes, size_t width, std::byte *target,
                 std::span<const int64_t> targetStrides, const std::byte *source,
                 std::span<const int64_t> sourceStrides);

/// Whether two different indices may address the same element: a stride of 0 in a
/// dimension of more than one element, or strides that are too small for the sizes.
bool hasSharedElements(std::span<const int64_t> sizes,
                       std::span<const int64_t> strides);

} // namespace rtorch::executor
