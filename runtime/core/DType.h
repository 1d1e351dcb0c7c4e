// Element types: names, sizes, numbers.
#pragma once

#include "runtime/format/Manifest.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace rtorch::core {

using format::DType;

/// Number of element types; they are 0 .. kDTypes - 1.
inline constexpr int32_t kDTypes = 10;

/// Bytes of one element.
size_t elementBytes(DType dtype);
/// PyTorch's name without "torch.": "float32", "bfloat16", "bool".
const char *dtypeName(DType dtype);
/// The type with that number, if there is one.
std::optional<DType> dtypeFromNumber(int32_t number);

} // namespace rtorch::core
