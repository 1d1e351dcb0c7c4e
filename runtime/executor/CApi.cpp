#include "runtime/executor/CApiSupport.h"
#include "runtime/format/Text.h"

namespace rtorch::executor::capi {

using format::text;

namespace {

/// Made when the library is loaded: there may be no memory for it later.
rtorch_error theOutOfMemoryError{core::makeError(core::ErrorCode::MemoryExhausted,
                                                 "the process has no more memory")};

} // namespace

rtorch_error *outOfMemory() noexcept { return &theOutOfMemoryError; }

rtorch_error *toC(core::Status status) noexcept {
  if (status.ok())
    return nullptr;
  std::unique_ptr<core::Error> error = std::move(status).takeError();
  auto *object = new (std::nothrow) rtorch_error{std::move(*error)};
  return object ? object : outOfMemory();
}

core::Error missingStruct(const char *name) {
  return usage(text(name, ": expected a struct, but got NULL"));
}

core::Status checkStructSize(uint32_t given, size_t expected, size_t alignment,
                             const char *name) {
  // No struct of any version is longer. Other sizes come from memory never set.
  constexpr uint32_t kMaxStructBytes = 4096;
  if (given < expected)
    return usage(text(name, ": expected struct_size of at least ", expected,
                      ", but got ", given));
  if (given > kMaxStructBytes || given % alignment != 0)
    return usage(text(name, ": expected struct_size to be a multiple of ", alignment,
                      " up to ", kMaxStructBytes, ", but got ", given));
  return {};
}

rtorch_value toC(const core::Value &value) {
  rtorch_value out = RTORCH_VALUE_INIT;
  out.kind = int32_t(value.kind);
  out.integer = value.integer;
  out.real = value.real;
  out.string = value.string;
  if (value.kind != core::Value::Kind::Tensor)
    return out;
  out.dtype = int32_t(value.tensor.dtype);
  out.rank = uint32_t(value.tensor.sizes.size());
  out.sizes = value.tensor.sizes.data();
  out.strides = value.tensor.strides.data();
  out.data = value.tensor.data;
  return out;
}

} // namespace rtorch::executor::capi

using namespace rtorch;
using namespace rtorch::executor;
using namespace rtorch::executor::capi;

uint32_t rtorch_abi_version(void) { return RTORCH_ABI_VERSION; }

const char *rtorch_version(void) { return RTORCH_VERSION; }

const char *rtorch_error_code(const rtorch_error *error) {
  return error ? core::codeName(error->error.code) : "";
}

const char *rtorch_error_message(const rtorch_error *error) {
  return error ? error->error.message.c_str() : "";
}

const char *rtorch_error_node(const rtorch_error *error) {
  return error ? error->error.node.c_str() : "";
}

const char *rtorch_error_source(const rtorch_error *error) {
  return error ? error->error.source.c_str() : "";
}

void rtorch_error_destroy(rtorch_error *error) {
  if (error != outOfMemory())
    delete error;
}

rtorch_error *rtorch_error_create(const char *code, const char *message) {
  return guarded([&]() -> core::Status {
    return core::makeError(core::codeOfName(code ? code : ""), message ? message : "");
  });
}

size_t rtorch_dtype_bytes(int32_t dtype) {
  auto known = core::dtypeFromNumber(dtype);
  return known ? core::elementBytes(*known) : 0;
}

const char *rtorch_dtype_name(int32_t dtype) {
  auto known = core::dtypeFromNumber(dtype);
  return known ? core::dtypeName(*known) : nullptr;
}
