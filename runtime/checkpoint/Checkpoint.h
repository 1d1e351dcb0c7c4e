// A checkpoint file mapped for reading.
#pragma once

#include "runtime/checkpoint/FileFrame.h"
#include "runtime/checkpoint/Metadata.h"
#include "runtime/core/Status.h"
#include "runtime/core/Value.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace rtorch::checkpoint {

/// When the bytes of tensors are compared with their checksums.
enum class Verify : uint8_t {
  Full, // all of them, when the file is opened
  Lazy, // each tensor's, when it is asked for first
  None, // never
};

/// A name of the file: a tensor's own, or an alias.
struct NamedTensor {
  std::string_view name;
  uint32_t tensor = 0; // index of the entry that has the bytes
  bool is_alias = false;
};

class Checkpoint final {
public:
  /// Maps `path` and checks its frame and metadata, and with Verify::Full all tensors.
  /// The mapping is private: tensors of one checkpoint are shared by all who use it,
  /// and its pages by all processes. Nobody may shorten the file while it is mapped.
  static core::Result<std::shared_ptr<const Checkpoint>>
  open(const std::filesystem::path &path, Verify verify);
  Checkpoint(const Checkpoint &) = delete;
  Checkpoint &operator=(const Checkpoint &) = delete;
  ~Checkpoint();

  const Metadata &metadata() const { return metadata_; }
  const Header &header() const { return header_; }
  const Footer &footer() const { return footer_; }
  uint64_t fileBytes() const { return file_.size(); }

  /// Tensors and aliases, sorted by name.
  std::span<const NamedTensor> names() const { return names_; }
  /// Null if there is none of that name.
  const NamedTensor *find(std::string_view name) const;

  const TensorEntry &entry(const NamedTensor &named) const {
    return metadata_.tensors[named.tensor];
  }
  /// In elements, by the entry's layout.
  std::span<const int64_t> strides(const NamedTensor &named) const {
    return strides_[named.tensor];
  }
  /// Not verified.
  std::span<const std::byte> bytes(const NamedTensor &named) const;
  /// Compares the tensor with its checksum, unless that was done or is not wanted.
  /// CheckpointBadCrc.
  core::Status verify(const NamedTensor &named) const;

private:
  Checkpoint() = default;
  core::Status map(const std::filesystem::path &path);
  core::Status check(Verify verify);
  core::Status checkPadding() const;
  void index();

  std::span<const std::byte> file_;
  Header header_;
  Footer footer_;
  Metadata metadata_;
  std::vector<NamedTensor> names_;
  std::vector<std::vector<int64_t>> strides_;
  std::unique_ptr<std::atomic<bool>[]> verified_;
};

/// What somebody expects of a checkpoint, or wants to have in one.
struct ExpectedTensor {
  std::string_view name;
  core::TensorView tensor; // memory only where tensors are loaded
};

/// Compares the checkpoint's tensors with what is expected: all differences (missing,
/// dtype, shape, and with `strict` unexpected ones) in one CheckpointMismatch.
core::Status compare(const Checkpoint &checkpoint,
                     std::span<const ExpectedTensor> expected, bool strict);

/// Copies the tensors into the given memory of any strides, after comparing all of
/// them; verifies what it copies.
core::Status load(const Checkpoint &checkpoint, std::span<const ExpectedTensor> targets,
                  bool strict);

} // namespace rtorch::checkpoint
