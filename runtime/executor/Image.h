// The code of a module in memory.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/format/KernelAbi.h"

#include <string>

namespace rtorch::executor {

/// A shared object opened by the dynamic linker; closed at the end.
class Image final {
public:
  Image() = default;
  Image(Image &&other) noexcept;
  Image &operator=(Image &&other) noexcept;
  ~Image();

  /// Opens the file behind `descriptor`, which must stay open as long as the image.
  /// `path` is for messages only. Fails with ModuleLink.
  static core::Result<Image> open(int descriptor, const std::string &path);
  /// The function called `symbol`; null if there is none.
  rtorch_kernel find(const std::string &symbol) const;

private:
  void *handle_ = nullptr;
};

} // namespace rtorch::executor
