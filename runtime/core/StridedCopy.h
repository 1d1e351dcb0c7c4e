// Copies between layouts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtorch::core {

/// Copies `source` to `target`; both have `sizes`, strides in elements, and elements of
/// `width` bytes. What lies dense in both is copied at once. The memory must not
/// overlap.
void copyStrided(std::span<const int64_t> sizes, size_t width, std::byte *target,
                 std::span<const int64_t> targetStrides, const std::byte *source,
                 std::span<const int64_t> sourceStrides);

/// Whether elements lie one behind the other in the order of row-major strides.
bool isRowMajor(std::span<const int64_t> sizes, std::span<const int64_t> strides);

} // namespace rtorch::core
