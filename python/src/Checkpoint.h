// Checkpoints (RTCH) for Python: PyTorch's tensors to and from librtorch_checkpoint.
#pragma once

#include "runtime/include/rtorch/checkpoint.h"

#include <map>
#include <memory>
#include <pybind11/pybind11.h>
#include <string>

namespace rtorch::python {

/// Saves a list of (name, tensor, requires_grad); tensors may have any strides.
void saveCheckpoint(const std::string &path, const pybind11::list &tensors,
                    const std::map<std::string, std::string> &user, bool sync);

/// A checkpoint file, mapped and verified.
class Checkpoint {
public:
  explicit Checkpoint(const std::string &path);

  /// (name, name that it is an alias of or "", requires_grad, tensor of its own) in the
  /// order of names; the tensor is None for an alias.
  pybind11::list tensors() const;
  std::map<std::string, std::string> user() const;
  /// "F32", "row_major" by name, also of what this version cannot load.
  pybind11::dict describe() const;
  /// Copies into a list of (name, tensor), see rtorch_checkpoint_load.
  void loadInto(const pybind11::list &tensors, bool strict) const;

private:
  rtorch_checkpoint_info info() const;
  rtorch_checkpoint_tensor tensor(uint32_t index) const;

  std::shared_ptr<rtorch_checkpoint> handle_;
};

} // namespace rtorch::python
