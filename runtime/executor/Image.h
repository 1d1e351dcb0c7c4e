// The code of a module in memory.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/format/KernelAbi.h"
#include "runtime/include/rtorch/runtime.h"

#include <span>
#include <string>

namespace rtorch::executor {

/// A shared object opened by the dynamic linker, which is closed at the end; or kernels
/// that are linked into the program.
class Image final {
public:
  Image() = default;
  Image(Image &&other) noexcept;
  Image &operator=(Image &&other) noexcept;
  ~Image();

  /// Opens the file behind `descriptor`, which must stay open as long as the image.
  /// `path` is for messages only. Fails with ModuleLink.
  static core::Result<Image> open(int descriptor, const std::string &path);
  /// Kernels of the program; the table must outlive the image.
  static Image ofProgram(std::span<const rtorch_embedded_kernel> kernels);
  /// The function called `symbol`; null if there is none.
  rtorch_kernel find(const std::string &symbol) const;

private:
  void *handle_ = nullptr;
  std::span<const rtorch_embedded_kernel> kernels_; // ascending by symbol
};

} // namespace rtorch::executor
