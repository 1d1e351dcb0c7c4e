// Memory that faults on the first byte past its end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rtorch::test {

class GuardedMemory {
public:
  /// `bytes` of memory that end where a page without access begins, filled with bytes
  /// of 0xff (NaN as floating point).
  explicit GuardedMemory(size_t bytes);
  GuardedMemory(const GuardedMemory &) = delete;
  GuardedMemory &operator=(const GuardedMemory &) = delete;
  ~GuardedMemory();

  template <typename T> T *as() { return reinterpret_cast<T *>(data_); }
  void *data() { return data_; }

private:
  uint8_t *mapping_;
  size_t mapped_;
  uint8_t *data_;
};

} // namespace rtorch::test
