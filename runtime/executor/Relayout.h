// What copies of tensors into other strides, for callers who ask for them, depend on.
#pragma once

#include <cstdint>
#include <span>

namespace rtorch::executor {

/// Whether two different indices may address the same element: a stride of 0 in a
/// dimension of more than one element, or strides that are too small for the sizes.
bool hasSharedElements(std::span<const int64_t> sizes,
                       std::span<const int64_t> strides);

} // namespace rtorch::executor
