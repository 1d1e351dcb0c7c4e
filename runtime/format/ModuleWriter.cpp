#include "runtime/format/Crc32c.h"
#include "runtime/format/KernelAbi.h"
#include "runtime/format/ManifestCodec.h"
#include "runtime/format/ModuleFile.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace rtorch::format {
namespace {

uint64_t alignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// A file beside its final place that is removed unless it is committed.
class TemporaryFile {
public:
  explicit TemporaryFile(const std::filesystem::path &target)
      : target_(target.string()) {
    static std::atomic<unsigned> counter = 0;
    do { // Another process with our id (in a container) may have left its file.
      name_ = text(target_, ".", getpid(), "-", counter++, ".tmp");
      descriptor_ = open(name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    } while (descriptor_ < 0 && errno == EEXIST);
  }
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile() {
    if (descriptor_ < 0)
      return;
    close(descriptor_);
    unlink(name_.c_str());
  }

  bool isOpen() const { return descriptor_ >= 0; }
  uint64_t position() const { return position_; }

  /// Remembers the first failure; later writes then do nothing.
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty() && error_ == 0) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0) {
        error_ = errno;
        return;
      }
      position_ += uint64_t(count);
      bytes = bytes.subspan(size_t(count));
    }
  }

  /// Gives the file its final name; returns 0 or the first failure's errno.
  int commit() {
    if (close(descriptor_) != 0 && error_ == 0)
      error_ = errno;
    descriptor_ = -1;
    if (error_ == 0 && rename(name_.c_str(), target_.c_str()) != 0)
      error_ = errno;
    if (error_ != 0)
      unlink(name_.c_str());
    return error_;
  }

private:
  std::string target_, name_;
  int descriptor_ = -1;
  uint64_t position_ = 0;
  int error_ = 0;
};

void pad(TemporaryFile &file, uint64_t until) {
  static constexpr std::byte zeros[kPageBytes] = {};
  while (file.position() < until) {
    const uint64_t before = file.position();
    file.write(std::span(zeros).first(std::min(until - before, kPageBytes)));
    if (file.position() == before)
      return; // failed; commit() says so
  }
}

FormatError inconsistent(std::string message) {
  return formatError(FormatErrorKind::Inconsistent, std::move(message));
}

FormatError cannotWrite(const std::filesystem::path &path, int error) {
  return formatError(FormatErrorKind::Io, text("cannot write '", path.string(),
                                               "': ", std::strerror(error)));
}

/// Writes the constants section and fills in the trailer's words about it.
FormatStatus writeConstants(TemporaryFile &file, const Manifest &manifest,
                            const ConstantProvider &provider, Trailer &trailer) {
  static constexpr std::byte zeros[RTORCH_ALIGNMENT] = {};
  uint64_t end = 0;
  for (size_t i = 0; i < manifest.constants.size(); ++i) {
    const Constant &constant = manifest.constants[i];
    if (constant.kind != Constant::Kind::File)
      continue;
    if (constant.offset != alignUp(end, RTORCH_ALIGNMENT))
      return inconsistent(text("constant '", constant.name, "' has offset ",
                               constant.offset, ", but should have ",
                               alignUp(end, RTORCH_ALIGNMENT)));
    std::span<const std::byte> bytes = provider(i);
    if (bytes.size() != constant.bytes)
      return inconsistent(text("constant '", constant.name, "' has ", constant.bytes,
                               " bytes, but was given ", bytes.size()));
    auto gap = std::span(zeros).first(constant.offset - end);
    trailer.constants_crc = crc32c(bytes, crc32c(gap, trailer.constants_crc));
    file.write(gap);
    file.write(bytes);
    end = constant.offset + constant.bytes;
  }
  trailer.constants_bytes = end;
  return std::nullopt;
}

} // namespace

void layOutConstants(Manifest &manifest) {
  uint64_t end = 0;
  for (Constant &constant : manifest.constants) {
    if (constant.kind != Constant::Kind::File)
      continue;
    constant.offset = alignUp(end, RTORCH_ALIGNMENT);
    end = constant.offset + constant.bytes;
  }
}

FormatStatus writeModuleFile(const std::filesystem::path &path,
                             std::span<const std::byte> elf, const Manifest &manifest,
                             const ConstantProvider &constants) {
  if (FormatStatus error = validate(manifest))
    return error;
  const std::vector<std::byte> encoded = encode(manifest);
  if (encoded.size() > UINT32_MAX)
    return inconsistent(text("the manifest has ", encoded.size(),
                             " bytes, but at most ", UINT32_MAX, " are possible"));
  TemporaryFile file(path);
  if (!file.isOpen())
    return cannotWrite(path, errno);

  Trailer trailer;
  std::memcpy(trailer.magic, kMagic, sizeof kMagic);
  trailer.format_version = kFormatVersion;
  trailer.kernel_abi = RTORCH_KERNEL_ABI;
  trailer.elf_bytes = elf.size();
  trailer.elf_crc = crc32c(elf);
  trailer.constants_offset = alignUp(elf.size(), kPageBytes);
  file.write(elf);
  pad(file, trailer.constants_offset);
  if (FormatStatus error = writeConstants(file, manifest, constants, trailer))
    return error;
  trailer.manifest_offset =
      alignUp(trailer.constants_offset + trailer.constants_bytes, RTORCH_ALIGNMENT);
  pad(file, trailer.manifest_offset);
  trailer.manifest_bytes = uint32_t(encoded.size());
  trailer.manifest_crc = crc32c(encoded);
  file.write(encoded);
  trailer.trailer_crc = crc32c(std::as_bytes(std::span(&trailer, 1)).first(60));
  file.write(std::as_bytes(std::span(&trailer, 1)));
  if (int error = file.commit())
    return cannotWrite(path, error);
  return std::nullopt;
}

} // namespace rtorch::format
