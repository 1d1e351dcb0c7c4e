// PyTorch's tensors as values of the runtime and back.
#pragma once

#include "python/src/Dlpack.h"
#include "runtime/include/rtorch/runtime.h"

#include <memory>
#include <pybind11/pybind11.h>
#include <vector>

namespace rtorch::python {

/// PyTorch's functions for exchanging tensors, found when first asked for.
const dlpack::Exchange &exchange();

/// A flattened argument; borrows the memory of the Python object.
struct Argument {
  explicit Argument(pybind11::handle object);

  pybind11::handle object;
  dlpack::Tensor tensor{};
  rtorch_value value = RTORCH_VALUE_INIT;
  std::string text;

  bool isTensor() const { return value.kind == RTORCH_VALUE_TENSOR; }
  /// Bytes from the tensor's first element to the end of its last.
  size_t extent() const;
};

struct Free {
  void operator()(void *memory) const;
};
using Memory = std::unique_ptr<void, Free>;

/// At least `bytes`, aligned for vectors; null if there are none left.
Memory allocate(size_t bytes);

/// A tensor that owns `memory` of the sizes, strides and dtype of `value`, whose data
/// may lie anywhere in it.
pybind11::object ownTensor(const rtorch_value &value, std::shared_ptr<void> memory);

/// A view of the tensor `base`, whose data begins at `data`.
pybind11::object viewOf(pybind11::handle base, const void *data,
                        const rtorch_value &value);

/// Copies with the same strides; values that share memory are views of one copy.
std::vector<pybind11::object> copiesOf(const std::vector<const rtorch_value *> &values);

} // namespace rtorch::python
