// What the C functions share: handles, errors, structs that carry their size.
#pragma once

#include "runtime/executor/Description.h"
#include "runtime/executor/Instance.h"
#include "runtime/include/rtorch/runtime.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

struct rtorch_error {
  rtorch::core::Error error;
};

struct rtorch_module {
  std::shared_ptr<const rtorch::executor::Module> module;
  mutable std::once_flag described;
  mutable rtorch::executor::Description description;
};

struct rtorch_instance {
  std::unique_ptr<rtorch::executor::Instance> instance;
  // Values of a run in the form that the executor takes; kept to not allocate.
  std::vector<rtorch::core::Value> arguments;
  std::vector<rtorch::core::Value> results;
  std::vector<int64_t> strides; // row-major ones, for arguments that give none
};

namespace rtorch::executor::capi {

/// Turns an error into an object of the caller's. Never fails: without memory it gives
/// one that exists for the purpose.
rtorch_error *toC(core::Status status) noexcept;

inline core::Error usage(std::string message) {
  return core::makeError(core::ErrorCode::ApiUsage, std::move(message));
}

/// The error object for running out of memory anywhere.
rtorch_error *outOfMemory() noexcept;

/// Runs `body`, which returns a Status. The C++ library throws when it finds no memory,
/// and nothing else here throws.
template <typename Body> rtorch_error *guarded(Body &&body) noexcept {
  try {
    return toC(body());
  } catch (...) {
    return outOfMemory();
  }
}

/// Whether there is an object to work on.
inline core::Status checkHandle(const void *handle, const char *name) {
  if (!handle)
    return usage(std::string("expected a handle of a ") + name + ", but got NULL");
  return {};
}

/// Whether the caller's struct, of `given` bytes by its own word, has at least the
/// fields of the first version. Not a template: messages are most of its code.
core::Status checkStructSize(uint32_t given, size_t expected, size_t alignment,
                             const char *name);
core::Error missingStruct(const char *name);

template <typename Struct>
core::Status checkStruct(const Struct *value, const char *name) {
  if (!value)
    return missingStruct(name);
  return checkStructSize(value->struct_size, sizeof(Struct), alignof(Struct), name);
}

/// Gives the caller as much of `filled` as its struct has room for.
template <typename Struct> void give(Struct filled, Struct *out) {
  filled.struct_size = out->struct_size;
  std::memcpy(out, &filled, std::min<size_t>(sizeof filled, out->struct_size));
}

rtorch_value toC(const core::Value &value);

} // namespace rtorch::executor::capi
