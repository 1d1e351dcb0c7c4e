// How the constant right operand of a product lies in memory once it is packed: see
// compiler/codegen/gemm/PackedLayout.h. Packed by the compiler, or when a module is
// loaded with weights of its caller.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rtorch::core {

/// Steps of k that the microkernels take at once, and that lie together in packed A.
inline constexpr int64_t kDepthGroup = 4;

/// Packs a matrix [k, n] of elements of `elementBytes` (1, 2, 4 or 8) bytes into panels
/// of `columns`: element (i, j) lies at `source` + (i * rowStride + j * columnStride) *
/// elementBytes. Does not fail.
void packMatrix(int64_t columns, int64_t elementBytes, const void *source, int64_t k,
                int64_t n, int64_t rowStride, int64_t columnStride, void *packed);

} // namespace rtorch::core
