// The bytes that all instances of a module read: from its file, or from weights of the
// caller, prepared when the module is loaded.
#pragma once

#include "runtime/core/AlignedBuffer.h"
#include "runtime/core/Status.h"
#include "runtime/core/Value.h"
#include "runtime/executor/Image.h"
#include "runtime/format/ModuleFile.h"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace rtorch::executor {

/// A tensor of the caller's for a module without its weights. Borrows everything.
struct NamedWeight {
  std::string_view name;
  core::TensorView tensor;
};

class Constants final {
public:
  /// Finds or copies the bytes of constants in the file and of weights. Codes:
  /// ModuleWeights, CheckpointMismatch (all differences at once), ModulePlan.
  core::Status bind(const format::ModuleFile &file, const format::Manifest &manifest,
                    std::span<const NamedWeight> weights,
                    std::shared_ptr<const void> owner);
  /// Runs the init schedule, packs, and lets go of what only these have read.
  /// RunFailed, ModuleLink, ModulePlan.
  core::Status prepare(const format::Manifest &manifest, const Image &image);

  /// Empty where nothing that runs reads it, or nothing was bound.
  std::span<const std::byte> bytes(size_t index) const {
    return index < bytes_.size() ? bytes_[index] : std::span<const std::byte>();
  }

private:
  core::Status bindWeights(const format::Manifest &manifest,
                           std::span<const NamedWeight> given);
  core::Status place(const format::Manifest &manifest, const format::Weight &weight,
                     const core::TensorView &given);
  core::Result<std::byte *> allocate(size_t index, uint64_t bytes);
  core::Status runInit(const format::Manifest &manifest, const Image &image,
                       const format::Launch &launch);
  void dropUnused(const format::Manifest &manifest);

  std::vector<std::span<const std::byte>> bytes_;
  std::vector<core::AlignedBuffer> own_; // by constant; most are empty
  std::shared_ptr<const void> owner_;
};

} // namespace rtorch::executor
