#include "runtime/format/Crc32c.h"
#include "runtime/format/KernelAbi.h"
#include "runtime/format/ManifestCodec.h"
#include "runtime/format/ModuleFile.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rtorch::format {

static_assert(std::endian::native == std::endian::little,
              "the trailer is copied as it lies in the file");

namespace {

FormatError ioError(const char *what) {
  return formatError(FormatErrorKind::Io, text(what, ": ", std::strerror(errno)));
}

FormatError damaged(std::string message) {
  return formatError(FormatErrorKind::Damaged, std::move(message));
}

FormatStatus checkCrc(std::string_view what, std::span<const std::byte> bytes,
                      uint32_t expected) {
  if (crc32c(bytes) == expected)
    return std::nullopt;
  return damaged(text("the checksum of the ", what, " is wrong"));
}

} // namespace

FormatStatus ModuleFile::open(const std::filesystem::path &path,
                              std::unique_ptr<const ModuleFile> &out) {
  std::unique_ptr<ModuleFile> file(new ModuleFile);
  FormatStatus error = file->map(path);
  if (!error)
    error = file->check();
  if (error) {
    error->message = text("'", path.string(), "': ", error->message);
    return error;
  }
  out = std::move(file);
  return std::nullopt;
}

FormatStatus ModuleFile::openMemory(std::span<const std::byte> bytes,
                                    std::string_view name,
                                    std::unique_ptr<const ModuleFile> &out) {
  std::unique_ptr<ModuleFile> file(new ModuleFile);
  file->bytes_ = bytes;
  FormatStatus error;
  if (bytes.size() < sizeof(Trailer))
    error = formatError(FormatErrorKind::NotAModule,
                        text("is no module: it has ", bytes.size(), " bytes"));
  else if (reinterpret_cast<uintptr_t>(bytes.data()) % RTORCH_ALIGNMENT != 0)
    error = damaged(
        text("lies in memory that is not aligned to ", RTORCH_ALIGNMENT, " bytes"));
  else
    error = file->check();
  if (error) {
    error->message = text("'", std::string(name), "': ", error->message);
    return error;
  }
  out = std::move(file);
  return std::nullopt;
}

ModuleFile::~ModuleFile() {
  if (!bytes_.empty() && descriptor_ >= 0)
    munmap(const_cast<std::byte *>(bytes_.data()), bytes_.size());
  if (descriptor_ >= 0)
    close(descriptor_);
}

FormatStatus ModuleFile::map(const std::filesystem::path &path) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0)
    return ioError("cannot open");
  struct stat info{};
  if (fstat(descriptor_, &info) != 0)
    return ioError("cannot read");
  if (!S_ISREG(info.st_mode))
    return formatError(FormatErrorKind::NotAModule, "is not a regular file");
  if (size_t(info.st_size) < sizeof(Trailer))
    return formatError(FormatErrorKind::NotAModule,
                       text("is no module file: it has ", info.st_size, " bytes"));
  void *base =
      mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (base == MAP_FAILED)
    return ioError("cannot map");
  bytes_ = {static_cast<const std::byte *>(base), size_t(info.st_size)};
  return std::nullopt;
}

FormatStatus ModuleFile::checkTrailer() {
  std::memcpy(&trailer_, bytes_.data() + bytes_.size() - sizeof(Trailer),
              sizeof(Trailer));
  const Trailer &t = trailer_;
  if (std::memcmp(t.magic, kMagic, sizeof kMagic) != 0)
    return formatError(FormatErrorKind::NotAModule,
                       "is no module file, or its end is missing");
  if (FormatStatus error =
          checkCrc("trailer", bytes_.last(sizeof(Trailer)).first(60), t.trailer_crc))
    return error;
  if (t.format_version != kFormatVersion)
    return formatError(FormatErrorKind::Version,
                       text("has format version ", t.format_version,
                            ", but this runtime reads version ", kFormatVersion,
                            "; compile the model again"));
  if (t.kernel_abi != RTORCH_KERNEL_ABI)
    return formatError(FormatErrorKind::Version,
                       text("has kernel ABI ", t.kernel_abi,
                            ", but this runtime runs ABI ", RTORCH_KERNEL_ABI,
                            "; compile the model again"));
  // Sections lie in order within the file; written so that no sum can wrap around.
  const uint64_t end = bytes_.size() - sizeof(Trailer);
  if (t.manifest_offset > end || end - t.manifest_offset != t.manifest_bytes ||
      t.constants_offset > t.manifest_offset ||
      t.constants_bytes > t.manifest_offset - t.constants_offset ||
      t.elf_bytes > t.constants_offset || t.constants_offset % kPageBytes != 0)
    return damaged(text("is cut short or changed: it has ", bytes_.size(),
                        " bytes, but its sections do not add up to that"));
  return std::nullopt;
}

FormatStatus ModuleFile::check() {
  if (FormatStatus error = checkTrailer())
    return error;
  const Trailer &t = trailer_;
  if (FormatStatus error = checkCrc("ELF image", bytes_.first(t.elf_bytes), t.elf_crc))
    return error;
  std::span<const std::byte> encoded =
      bytes_.subspan(t.manifest_offset, t.manifest_bytes);
  if (FormatStatus error = checkCrc("manifest", encoded, t.manifest_crc))
    return error;
  if (FormatStatus error = decodeLevels(encoded, levels_))
    return error;
  for (const Manifest &level : levels_)
    for (const Constant &constant : level.constants)
      if (constant.kind == Constant::Kind::File &&
          constant.offset + constant.bytes > t.constants_bytes)
        return damaged(text("constant '", constant.name, "' ends at byte ",
                            constant.offset + constant.bytes, " of a section of ",
                            t.constants_bytes, " bytes"));
  return std::nullopt;
}

std::span<const std::byte> ModuleFile::constant(const Constant &constant) const {
  return bytes_.subspan(trailer_.constants_offset + constant.offset, constant.bytes);
}

FormatStatus ModuleFile::verifyConstants() const {
  const Trailer &t = trailer_;
  if (FormatStatus error =
          checkCrc("constants", bytes_.subspan(t.constants_offset, t.constants_bytes),
                   t.constants_crc))
    return error;
  const uint64_t constantsEnd = t.constants_offset + t.constants_bytes;
  auto isZero = [](std::byte byte) { return byte == std::byte(0); };
  if (!std::ranges::all_of(
          bytes_.subspan(t.elf_bytes, t.constants_offset - t.elf_bytes), isZero) ||
      !std::ranges::all_of(
          bytes_.subspan(constantsEnd, t.manifest_offset - constantsEnd), isZero))
    return damaged("the padding between two sections is not zero");
  return std::nullopt;
}

} // namespace rtorch::format
