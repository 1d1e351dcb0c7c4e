// The module file: ELF image, constants, manifest, trailer. Format and reasons are in
// docs/reference/module_format.md.
#pragma once

#include "runtime/format/FormatError.h"
#include "runtime/format/Manifest.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rtorch::format {

/// Version of everything in the file but the kernels' binary interface.
inline constexpr uint16_t kFormatVersion = 4;
/// Constants begin at a multiple of this.
inline constexpr uint64_t kPageBytes = 4096;
inline constexpr char kMagic[8] = {'R', 'T', 'O', 'R', 'C', 'H', 'M', '\n'};

/// The last 64 bytes of a module file, little-endian.
struct Trailer {
  char magic[8] = {};
  uint16_t format_version = 0;
  uint16_t kernel_abi = 0;
  uint32_t manifest_bytes = 0;
  uint64_t elf_bytes = 0; // the image begins at 0
  uint64_t constants_offset = 0;
  uint64_t constants_bytes = 0;
  uint64_t manifest_offset = 0;
  uint32_t elf_crc = 0;
  uint32_t constants_crc = 0;
  uint32_t manifest_crc = 0;
  uint32_t trailer_crc = 0; // of the 60 bytes before it
};
static_assert(sizeof(Trailer) == 64);

/// Gives the bytes of constants[index] of a level; called in order while writing, once
/// for each place of kind File: not again for a constant that shares its place with an
/// earlier one. The span need only live until the next call, so no second copy of
/// weights is made.
using LevelConstantProvider =
    std::function<std::span<const std::byte>(size_t level, size_t index)>;
/// The same for a module of one level.
using ConstantProvider = std::function<std::span<const std::byte>(size_t index)>;

/// Writes a module file to a temporary file beside `path` and renames it: `path` never
/// holds half a module. `levels` has one manifest for each CPU level, the most
/// demanding first; all make the same promises. Their constants must lie in order
/// without overlap, or where an earlier one of the same size lies, at the offsets that
/// layOutConstants() gives, and the provider's spans must have their sizes. Equal input
/// gives equal bytes.
FormatStatus writeModuleFile(const std::filesystem::path &path,
                             std::span<const std::byte> elf,
                             std::span<const Manifest> levels,
                             const LevelConstantProvider &constants);
FormatStatus writeModuleFile(const std::filesystem::path &path,
                             std::span<const std::byte> elf, const Manifest &manifest,
                             const ConstantProvider &constants);
/// The same into memory, for modules that are linked into programs.
FormatStatus writeModuleImage(std::vector<std::byte> &out,
                              std::span<const std::byte> elf,
                              std::span<const Manifest> levels,
                              const LevelConstantProvider &constants);

/// The constants of kind File as (level, index), in the order of writing: each place
/// once.
std::vector<std::pair<size_t, size_t>>
constantsToWrite(std::span<const Manifest> levels);

/// Sets the offsets of all constants in the file from their sizes: in order, each
/// aligned.
void layOutConstants(Manifest &manifest);

/// What a constant is made of: those of equal text have equal bytes.
using ConstantIdentity = std::function<std::string(size_t level, size_t index)>;

/// The same for all levels of a module; equal constants share one place.
void layOutConstants(std::span<Manifest> levels, const ConstantIdentity &identity);

/// A module file mapped for reading, its trailer, ELF image and manifest checked.
class ModuleFile final {
public:
  /// Opens and checks `path`: trailer, CRC of ELF image and manifest, every index of
  /// the manifest, and that all constants lie within their section. Does not read the
  /// constants; see verifyConstants(). Runs no code of the module.
  static FormatStatus open(const std::filesystem::path &path,
                           std::unique_ptr<const ModuleFile> &out);
  /// The same for a module that is in memory already and stays there, aligned to
  /// RTORCH_ALIGNMENT; `name` is for messages.
  static FormatStatus openMemory(std::span<const std::byte> bytes,
                                 std::string_view name,
                                 std::unique_ptr<const ModuleFile> &out);
  ModuleFile(const ModuleFile &) = delete;
  ModuleFile &operator=(const ModuleFile &) = delete;
  ~ModuleFile();

  /// One for each CPU level, the most demanding first; at least one.
  std::span<const Manifest> levels() const { return levels_; }
  const Trailer &trailer() const { return trailer_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  /// The bytes of a constant of kind File, aligned to RTORCH_ALIGNMENT.
  std::span<const std::byte> constant(const Constant &constant) const;
  /// An open descriptor of the very file that was checked; -1 for one in memory.
  int descriptor() const { return descriptor_; }

  /// Reads all constants and the padding and compares them with their CRC.
  FormatStatus verifyConstants() const;

private:
  ModuleFile() = default;
  FormatStatus map(const std::filesystem::path &path);
  FormatStatus check();
  FormatStatus checkTrailer();

  int descriptor_ = -1;
  std::span<const std::byte> bytes_;
  Trailer trailer_;
  std::vector<Manifest> levels_;
};

} // namespace rtorch::format
