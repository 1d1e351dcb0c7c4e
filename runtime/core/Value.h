// Tensors that someone else owns, and the leaves of a call.
#pragma once

#include "runtime/core/DType.h"

#include <optional>
#include <span>
#include <string>

namespace rtorch::core {

/// Memory with sizes and strides (in elements); `data` is element [0, 0, ...].
struct TensorView {
  DType dtype = DType::F32;
  std::span<const int64_t> sizes;
  std::span<const int64_t> strides;
  void *data = nullptr;
};

/// One leaf of the flattened arguments or results of a call. Borrows everything.
struct Value {
  enum class Kind : uint8_t {
    None = 0,
    Tensor = 1,
    Bool = 2,
    Int = 3,
    Float = 4,
    String = 5
  };
  Kind kind = Kind::None;
  TensorView tensor;            // Tensor
  int64_t integer = 0;          // Bool and Int
  double real = 0;              // Float
  const char *string = nullptr; // String
};

/// "a tensor", "an integer", ...
const char *kindName(Value::Kind kind);

/// Bytes from element 0 to behind the last element that the layout touches; 0 without
/// elements; nullopt if that does not fit into 63 bits or something is negative.
std::optional<int64_t> extentBytes(DType dtype, std::span<const int64_t> sizes,
                                   std::span<const int64_t> strides);

/// Whether some size is 0.
bool isEmpty(std::span<const int64_t> sizes);

/// "[4, 128]"
std::string printList(std::span<const int64_t> values);

} // namespace rtorch::core
