// Kinds of layouts, for counting.
#pragma once

#include <cstdint>
#include <span>

namespace rtorch::layout {

/// What strides are for these sizes: "contiguous" (row-major, without gaps), "padded"
/// (row-major order with gaps), "broadcast" (a stride of 0), "channels_last" (dense,
/// rank 4 or 5, the channels innermost) or "transposed" (any other order). Dims of one
/// element do not count; a tensor without elements is contiguous.
const char *layoutKind(std::span<const int64_t> sizes,
                       std::span<const int64_t> strides);

} // namespace rtorch::layout
