#include "runtime/core/DType.h"

namespace rtorch::core {
namespace {

struct Row {
  const char *name;
  uint8_t bytes;
};

/// In the order of format::DType.
constexpr Row kRows[kDTypes] = {
    {"bool", 1},  {"uint8", 1},   {"int8", 1},     {"int16", 2},   {"int32", 4},
    {"int64", 8}, {"float16", 2}, {"bfloat16", 2}, {"float32", 4}, {"float64", 8},
};

} // namespace

size_t elementBytes(DType dtype) { return kRows[size_t(dtype)].bytes; }

const char *dtypeName(DType dtype) { return kRows[size_t(dtype)].name; }

std::optional<DType> dtypeFromNumber(int32_t number) {
  if (number < 0 || number >= kDTypes)
    return std::nullopt;
  return DType(number);
}

} // namespace rtorch::core
