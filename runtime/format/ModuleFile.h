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

namespace rtorch::format {

/// Version of everything in the file but the kernels' binary interface.
inline constexpr uint16_t kFormatVersion = 3;
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

/// Gives the bytes of constants[index]; called once for each of kind File, in order,
/// while writing.
/// The span need only live until the next call, so no second copy of weights is made.
using ConstantProvider = std::function<std::span<const std::byte>(size_t index)>;

/// Writes a module file to a temporary file beside `path` and renames it: `path` never
/// holds half a module. The manifest's constants must lie in order without overlap, at
/// the offsets that layOutConstants() gives, and the provider's spans must have their
/// sizes. Equal input gives equal bytes.
FormatStatus writeModuleFile(const std::filesystem::path &path,
                             std::span<const std::byte> elf, const Manifest &manifest,
                             const ConstantProvider &constants);

/// Sets the offsets of all constants in the file from their sizes: in order, each
/// aligned.
void layOutConstants(Manifest &manifest);

/// A module file mapped for reading, its trailer, ELF image and manifest checked.
class ModuleFile final {
public:
  /// Opens and checks `path`: trailer, CRC of ELF image and manifest, every index of
  /// the manifest, and that all constants lie within their section. Does not read the
  /// constants; see verifyConstants(). Runs no code of the module.
  static FormatStatus open(const std::filesystem::path &path,
                           std::unique_ptr<const ModuleFile> &out);
  ModuleFile(const ModuleFile &) = delete;
  ModuleFile &operator=(const ModuleFile &) = delete;
  ~ModuleFile();

  const Manifest &manifest() const { return manifest_; }
  const Trailer &trailer() const { return trailer_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  /// The bytes of constants[index], which is of kind File, aligned to RTORCH_ALIGNMENT.
  std::span<const std::byte> constant(size_t index) const;
  /// An open descriptor of the very file that was checked.
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
  Manifest manifest_;
};

} // namespace rtorch::format
