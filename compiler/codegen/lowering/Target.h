// The CPU that code is generated for: what its instructions may be, and the sizes
// that kernels are tiled by. Described by name, never read off the build machine
// unless the name is "native".
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class TargetMachine;
} // namespace llvm

namespace rtorch::codegen {

/// A CPU to generate code for.
struct Target {
  /// E.g. "x86_64-unknown-linux-gnu".
  std::string triple;
  /// The name code is tuned for, e.g. "znver4" or "x86-64-v3".
  std::string cpu;
  /// The features that generated code may use, sorted; exactly these must be present
  /// where it runs. x86 names are those of GCC's `__builtin_cpu_supports`; empty on
  /// aarch64, where NEON and FMA belong to the base.
  std::vector<std::string> features;
  /// Bytes of the widest vector register that kernels should use: 64, 32 or 16.
  int64_t vectorBytes = 16;
  int64_t vectorRegisters = 16;
  /// Data caches of one core.
  int64_t l1Bytes = 32 << 10;
  int64_t l2Bytes = 512 << 10;

  bool hasFeature(llvm::StringRef name) const;
  /// Whether a fused multiply-add is one instruction.
  bool hasFma() const;
  /// Whether f16 and f32 are converted by an instruction.
  bool hasF16Conversions() const;
  bool isX86() const;
  bool isAArch64() const;
  /// Elements of `elementBytes` bytes that fill one vector register.
  int64_t lanes(int64_t elementBytes) const { return vectorBytes / elementBytes; }
};

/// Describes the CPU called `name`: "native" (this machine), a level ("x86-64-v2",
/// "x86-64-v3", "x86-64-v4"), or any CPU name that LLVM knows for `triple`. An empty
/// `triple` is that of this machine. Fails for an unknown name (the message lists the
/// known ones), for a triple other than x86-64 or aarch64, and for "native" with
/// another machine's triple.
llvm::Expected<Target> resolveTarget(llvm::StringRef name, llvm::StringRef triple = "");

/// Describes the CPUs of a list with commas, the most demanding first. An empty list is
/// this machine's CPU, or the base of another architecture. Fails where resolveTarget
/// does, and for CPUs that are in the list twice.
llvm::Expected<std::vector<Target>> resolveTargets(llvm::StringRef names,
                                                   llvm::StringRef triple = "");

/// A machine that generates position-independent code for `target` alone: nothing
/// outside target.features is used. Not to be shared between threads.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const Target &target);

} // namespace rtorch::codegen
