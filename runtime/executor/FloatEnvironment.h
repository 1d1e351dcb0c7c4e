// Kernels run with the default rounding and without flushing denormals, whatever the
// caller's thread has set: results must not depend on which thread computes them.
#pragma once

#include <cstdint>

namespace rtorch::executor {

class FloatEnvironment final {
public:
#if defined(__x86_64__)
  FloatEnvironment() : saved_(__builtin_ia32_stmxcsr()) {
    if ((saved_ & kControl) != kDefault)
      __builtin_ia32_ldmxcsr(kDefault);
  }
  ~FloatEnvironment() {
    if ((saved_ & kControl) != kDefault)
      __builtin_ia32_ldmxcsr(saved_);
  }

private:
  static constexpr uint32_t kControl = 0xFFC0; // all but the sticky exception flags
  static constexpr uint32_t kDefault = 0x1F80;
  uint32_t saved_;
#elif defined(__aarch64__)
  FloatEnvironment() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    if (saved_ != 0)
      asm volatile("msr fpcr, %0" ::"r"(uint64_t(0)));
  }
  ~FloatEnvironment() {
    if (saved_ != 0)
      asm volatile("msr fpcr, %0" ::"r"(saved_));
  }

private:
  uint64_t saved_ = 0;
#endif
public:
  FloatEnvironment(const FloatEnvironment &) = delete;
  FloatEnvironment &operator=(const FloatEnvironment &) = delete;
};

} // namespace rtorch::executor
