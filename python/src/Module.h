// A loaded module that Python calls.
#pragma once

#include "runtime/include/rtorch/runtime.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <pybind11/pybind11.h>
#include <string>
#include <vector>

namespace rtorch::python {

class Module {
public:
  /// Throws what rtorch_module_load gives.
  explicit Module(const std::string &path);

  /// The flattened results for the flattened arguments: tensors, numbers, None. Results
  /// are views of arguments where eager's are. Safe to call from several threads: each
  /// run has an instance of its own unless the module changes buffers, in which case
  /// runs follow each other. With `relayout` arguments of other strides are copied, and
  /// counted in `copies()`.
  pybind11::list call(const pybind11::sequence &arguments, uint32_t threads,
                      bool relayout);

  pybind11::list arguments() const;
  pybind11::list results() const;
  /// Buffers that runs change, by name: tensors over the memory of the module's
  /// instance.
  pybind11::dict states();
  pybind11::dict describe() const;
  uint64_t copies() const { return copies_; }

private:
  struct Instance;
  class Borrowed;
  struct Run;

  std::shared_ptr<rtorch_module> module_;
  rtorch_module_info info_{};
  std::mutex mutex_;
  std::vector<std::shared_ptr<Instance>> idle_;
  uint64_t copies_ = 0;
};

} // namespace rtorch::python
