#include "runtime/core/Value.h"

#include "runtime/format/Text.h"

#include <algorithm>

namespace rtorch::core {

const char *kindName(Value::Kind kind) {
  static constexpr const char *names[] = {"None",       "a tensor", "a bool",
                                          "an integer", "a float",  "a string"};
  return names[size_t(kind)];
}

bool isEmpty(std::span<const int64_t> sizes) {
  return std::ranges::any_of(sizes, [](int64_t size) { return size == 0; });
}

std::optional<int64_t> extentBytes(DType dtype, std::span<const int64_t> sizes,
                                   std::span<const int64_t> strides) {
  if (std::ranges::any_of(sizes, [](int64_t size) { return size < 0; }))
    return std::nullopt;
  if (isEmpty(sizes))
    return 0;
  int64_t last = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t step = 0;
    if (sizes[i] == 1)
      continue;
    if (strides[i] < 0 || __builtin_mul_overflow(sizes[i] - 1, strides[i], &step) ||
        __builtin_add_overflow(last, step, &last))
      return std::nullopt;
  }
  int64_t bytes = 0;
  if (__builtin_add_overflow(last, int64_t(1), &bytes) ||
      __builtin_mul_overflow(bytes, int64_t(elementBytes(dtype)), &bytes))
    return std::nullopt;
  return bytes;
}

std::string printList(std::span<const int64_t> values) {
  std::string out = "[";
  for (size_t i = 0; i < values.size(); ++i)
    out += format::text(i ? ", " : "", values[i]);
  return out + "]";
}

} // namespace rtorch::core
