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
#include <map>
#include <unistd.h>

namespace rtorch::format {
namespace {

uint64_t alignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Where a module's bytes go.
class Sink {
public:
  virtual ~Sink() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  uint64_t position() const { return position_; }

protected:
  uint64_t position_ = 0;
};

class MemorySink final : public Sink {
public:
  explicit MemorySink(std::vector<std::byte> &out) : out_(out) {}
  void write(std::span<const std::byte> bytes) override {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    position_ += bytes.size();
  }

private:
  std::vector<std::byte> &out_;
};

/// A file beside its final place that is removed unless it is committed.
class TemporaryFile final : public Sink {
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
  ~TemporaryFile() override {
    if (descriptor_ < 0)
      return;
    close(descriptor_);
    unlink(name_.c_str());
  }

  bool isOpen() const { return descriptor_ >= 0; }

  /// Remembers the first failure; later writes then do nothing.
  void write(std::span<const std::byte> bytes) override {
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
  int error_ = 0;
};

void pad(Sink &file, uint64_t until) {
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
class ConstantWriter {
public:
  ConstantWriter(Sink &sink, const LevelConstantProvider &provider, Trailer &trailer)
      : sink_(sink), provider_(provider), trailer_(trailer) {}

  FormatStatus write(std::span<const Manifest> levels) {
    for (const auto &[level, index] : constantsToWrite(levels))
      if (FormatStatus error = append(levels[level].constants[index], level, index))
        return error;
    trailer_.constants_bytes = end_;
    return std::nullopt;
  }

private:
  FormatStatus append(const Constant &constant, size_t level, size_t index) {
    static constexpr std::byte zeros[RTORCH_ALIGNMENT] = {};
    if (constant.offset != alignUp(end_, RTORCH_ALIGNMENT))
      return inconsistent(text("constant '", constant.name, "' has offset ",
                               constant.offset, ", but should have ",
                               alignUp(end_, RTORCH_ALIGNMENT)));
    std::span<const std::byte> bytes = provider_(level, index);
    if (bytes.size() != constant.bytes)
      return inconsistent(text("constant '", constant.name, "' has ", constant.bytes,
                               " bytes, but was given ", bytes.size()));
    auto gap = std::span(zeros).first(constant.offset - end_);
    trailer_.constants_crc = crc32c(bytes, crc32c(gap, trailer_.constants_crc));
    sink_.write(gap);
    sink_.write(bytes);
    end_ = constant.offset + constant.bytes;
    return std::nullopt;
  }

  Sink &sink_;
  const LevelConstantProvider &provider_;
  Trailer &trailer_;
  uint64_t end_ = 0;
};

/// All parts of a module, in order.
FormatStatus writeModule(Sink &sink, std::span<const std::byte> elf,
                         std::span<const Manifest> levels,
                         const LevelConstantProvider &constants) {
  if (FormatStatus error = validateLevels(levels))
    return error;
  const std::vector<std::byte> encoded = encodeLevels(levels);
  if (encoded.size() > UINT32_MAX)
    return inconsistent(text("the manifest has ", encoded.size(),
                             " bytes, but at most ", UINT32_MAX, " are possible"));
  Trailer trailer;
  std::memcpy(trailer.magic, kMagic, sizeof kMagic);
  trailer.format_version = kFormatVersion;
  trailer.kernel_abi = RTORCH_KERNEL_ABI;
  trailer.elf_bytes = elf.size();
  trailer.elf_crc = crc32c(elf);
  trailer.constants_offset = alignUp(elf.size(), kPageBytes);
  sink.write(elf);
  pad(sink, trailer.constants_offset);
  if (FormatStatus error = ConstantWriter(sink, constants, trailer).write(levels))
    return error;
  trailer.manifest_offset =
      alignUp(trailer.constants_offset + trailer.constants_bytes, RTORCH_ALIGNMENT);
  pad(sink, trailer.manifest_offset);
  trailer.manifest_bytes = uint32_t(encoded.size());
  trailer.manifest_crc = crc32c(encoded);
  sink.write(encoded);
  trailer.trailer_crc = crc32c(std::as_bytes(std::span(&trailer, 1)).first(60));
  sink.write(std::as_bytes(std::span(&trailer, 1)));
  return std::nullopt;
}

} // namespace

std::vector<std::pair<size_t, size_t>>
constantsToWrite(std::span<const Manifest> levels) {
  std::vector<std::pair<size_t, size_t>> order;
  std::map<uint64_t, uint64_t> there; // sizes, by offset
  for (size_t level = 0; level < levels.size(); ++level)
    for (size_t i = 0; i < levels[level].constants.size(); ++i) {
      const Constant &constant = levels[level].constants[i];
      if (constant.kind != Constant::Kind::File)
        continue;
      if (constant.bytes != 0) {
        const auto [place, isNew] = there.try_emplace(constant.offset, constant.bytes);
        if (!isNew && place->second == constant.bytes)
          continue;
      }
      order.emplace_back(level, i);
    }
  return order;
}

void layOutConstants(Manifest &manifest) {
  layOutConstants(std::span(&manifest, 1), {});
}

void layOutConstants(std::span<Manifest> levels, const ConstantIdentity &identity) {
  uint64_t end = 0;
  std::map<std::string, uint64_t> places;
  for (size_t level = 0; level < levels.size(); ++level)
    for (size_t i = 0; i < levels[level].constants.size(); ++i) {
      Constant &constant = levels[level].constants[i];
      if (constant.kind != Constant::Kind::File)
        continue;
      const uint64_t next = alignUp(end, RTORCH_ALIGNMENT);
      constant.offset = identity && constant.bytes != 0
                            ? places.try_emplace(identity(level, i), next).first->second
                            : next;
      if (constant.offset == next)
        end = next + constant.bytes;
    }
}

FormatStatus writeModuleFile(const std::filesystem::path &path,
                             std::span<const std::byte> elf,
                             std::span<const Manifest> levels,
                             const LevelConstantProvider &constants) {
  TemporaryFile file(path);
  if (!file.isOpen())
    return cannotWrite(path, errno);
  if (FormatStatus error = writeModule(file, elf, levels, constants))
    return error;
  if (int error = file.commit())
    return cannotWrite(path, error);
  return std::nullopt;
}

FormatStatus writeModuleFile(const std::filesystem::path &path,
                             std::span<const std::byte> elf, const Manifest &manifest,
                             const ConstantProvider &constants) {
  return writeModuleFile(path, elf, std::span(&manifest, 1),
                         [&](size_t, size_t index) { return constants(index); });
}

FormatStatus writeModuleImage(std::vector<std::byte> &out,
                              std::span<const std::byte> elf,
                              std::span<const Manifest> levels,
                              const LevelConstantProvider &constants) {
  MemorySink sink(out);
  return writeModule(sink, elf, levels, constants);
}

} // namespace rtorch::format
