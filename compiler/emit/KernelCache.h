// Compiled kernels on disk, shared by modules, processes and compilations.
#pragma once

#include "compiler/emit/CompileKernels.h"

#include <filesystem>
#include <optional>
#include <string>

namespace rtorch::emit {

/// A folder with one file per kernel, named by what decides its code: its text, the
/// target, and this build of the compiler. Files appear by rename, whole or not at all,
/// so that processes may share a folder; one that is damaged counts as missing. Where
/// the folder cannot be written, kernels are compiled as without it.
class KernelCache {
public:
  KernelCache(std::filesystem::path folder, const codegen::Target &target);

  /// The file's name for a kernel of this text, whose functions begin with `prefix`.
  std::string keyOf(llvm::StringRef text, llvm::StringRef prefix) const;
  /// The kernel without its name; it counts as used now.
  std::optional<CompiledKernel> find(const std::string &key) const;
  void add(const std::string &key, const CompiledKernel &kernel) const;
  /// Removes what was not used for longest until at most `bytes` are left.
  void prune(uint64_t bytes) const;

private:
  std::filesystem::path folder_;
  std::string identity_; // of target and compiler
};

} // namespace rtorch::emit
