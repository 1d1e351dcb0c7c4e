#include "runtime/executor/Image.h"

#include "runtime/format/Text.h"

#include <algorithm>
#include <atomic>
#include <dlfcn.h>
#include <string_view>
#include <utility>

namespace rtorch::executor {
namespace {

/// A path to an open file that this process has never used before.
///
/// The dynamic linker takes a name that it knows for the same library, without looking
/// at the file: opening by the module's own path would give the old code for a module
/// that was compiled again, and descriptor numbers are reused as well. Doubled slashes
/// and "/." do not change what a path means, so they spell a counter in it. The file is
/// the one whose checksums were verified, even if its path now leads to another one.
std::string freshName(int descriptor) {
  static std::atomic<uint64_t> counter = 0;
  std::string name = "/proc";
  for (uint64_t rest = counter++; rest; rest >>= 1)
    name += rest & 1 ? "/." : "/";
  return format::text(name, "/self/fd/", descriptor);
}

} // namespace

Image::Image(Image &&other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), kernels_(other.kernels_) {}

Image &Image::operator=(Image &&other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(kernels_, other.kernels_);
  return *this;
}

Image::~Image() {
  if (handle_)
    dlclose(handle_);
}

core::Result<Image> Image::open(int descriptor, const std::string &path) {
  Image image;
  image.handle_ = dlopen(freshName(descriptor).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (image.handle_)
    return image;
  const char *reason = dlerror();
  return core::makeError(core::ErrorCode::ModuleLink,
                         format::text("'", path, "': the dynamic linker refuses it: ",
                                      reason ? reason : "no reason given"));
}

Image Image::ofProgram(std::span<const rtorch_embedded_kernel> kernels) {
  Image image;
  image.kernels_ = kernels;
  return image;
}

rtorch_kernel Image::find(const std::string &symbol) const {
  if (!handle_) {
    const auto found = std::ranges::lower_bound(
        kernels_, std::string_view(symbol), {},
        [](const rtorch_embedded_kernel &kernel) -> std::string_view {
          return kernel.symbol;
        });
    if (found == kernels_.end() || found->symbol != symbol)
      return nullptr;
    return reinterpret_cast<rtorch_kernel>(found->function);
  }
  return reinterpret_cast<rtorch_kernel>(dlsym(handle_, symbol.c_str()));
}

} // namespace rtorch::executor
