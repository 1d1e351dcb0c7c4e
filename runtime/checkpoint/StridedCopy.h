// Copies between layouts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtorch::checkpoint {

/// Copies the elements of a tensor of `sizes` between memory of different strides (in
/// elements), whole rows at once where both lie dense.
void copyStrided(size_t elementBytes, std::span<const int64_t> sizes,
                 const std::byte *from, std::span<const int64_t> fromStrides,
                 std::byte *to, std::span<const int64_t> toStrides);

/// Whether elements lie one behind the other in the order of row-major strides.
bool isRowMajor(std::span<const int64_t> sizes, std::span<const int64_t> strides);

} // namespace rtorch::checkpoint
