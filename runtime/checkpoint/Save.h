// Writing checkpoints so that a crash leaves the old file or the new one.
#pragma once

#include "runtime/checkpoint/Metadata.h"
#include "runtime/core/Value.h"

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace rtorch::checkpoint {

struct SavedTensor {
  std::string_view name;
  core::TensorView tensor;
  bool requires_grad = false;
};

struct SaveOptions {
  std::map<std::string, std::string> user;
  std::string writer;
  /// Leave the writing to the disk to the system: faster, but a loss of power may cost
  /// the old file and the new one.
  bool skip_sync = false;
};

/// Writes a temporary file beside `path`, brings it to the disk, and renames it. Equal
/// tensors, names and options give equal bytes. Tensors of any strides: dense ones of
/// channels_last stay so, others become row-major. Two names of the same memory and
/// layout become one tensor and an alias. Codes: CheckpointBadMeta (a name),
/// CheckpointLimit, CheckpointIo (an old file is as it was), CheckpointDurability (the
/// new file is there, but may be lost with the power).
core::Status save(const std::filesystem::path &path,
                  std::span<const SavedTensor> tensors, const SaveOptions &options);

} // namespace rtorch::checkpoint
