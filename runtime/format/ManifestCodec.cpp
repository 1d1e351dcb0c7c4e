#include "runtime/format/ManifestCodec.h"

#include "runtime/format/ManifestFields.h"
#include "runtime/format/Text.h"

#include <bit>
#include <cstring>

namespace rtorch::format {
namespace {

/// Little-endian, without padding; strings and vectors begin with a u32 count.
class Encoder {
public:
  template <typename... T> void operator()(const T &...values) { (write(values), ...); }
  std::vector<std::byte> take() && { return std::move(bytes_); }

private:
  void writeInteger(uint64_t value, size_t width) {
    for (size_t i = 0; i < width; ++i)
      bytes_.push_back(std::byte(value >> (8 * i)));
  }
  void write(std::integral auto value) { writeInteger(uint64_t(value), sizeof value); }
  void write(bool value) { writeInteger(value, 1); }
  void write(double value) { write(std::bit_cast<uint64_t>(value)); }
  template <typename E>
    requires std::is_enum_v<E>
  void write(E value) {
    writeInteger(uint64_t(value), 1);
  }
  void write(const std::string &value) {
    write(uint32_t(value.size()));
    for (char c : value)
      bytes_.push_back(std::byte(c));
  }
  template <typename T> void write(const std::vector<T> &values) {
    write(uint32_t(values.size()));
    for (const T &value : values)
      write(value);
  }
  template <typename T>
    requires std::is_class_v<T>
  void write(const T &value) {
    fields(*this, value);
  }

  std::vector<std::byte> bytes_;
};

/// Stops at the first thing that cannot be; all later reads then do nothing.
class Decoder {
public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <typename... T> void operator()(T &...values) { (read(values), ...); }

  void finish() {
    if (problem_.empty() && position_ != bytes_.size())
      fail(text(bytes_.size() - position_, " bytes are left over"));
  }
  const std::string &problem() const { return problem_; }

private:
  void fail(std::string problem) {
    if (problem_.empty())
      problem_ = text("at byte ", position_, ": ", problem);
  }
  bool take(size_t count) {
    if (!problem_.empty())
      return false;
    if (count > bytes_.size() - position_) {
      fail(
          text("expected ", count, " more bytes, but got ", bytes_.size() - position_));
      return false;
    }
    position_ += count;
    return true;
  }
  template <std::integral T> void read(T &value) {
    if (!take(sizeof value))
      return;
    uint64_t wide = 0;
    for (size_t i = 0; i < sizeof value; ++i)
      wide |= uint64_t(bytes_[position_ - sizeof value + i]) << (8 * i);
    value = T(wide);
  }
  uint8_t readByte(uint8_t limit, const char *what) {
    uint8_t byte = 0;
    read(byte);
    if (byte < limit)
      return byte;
    fail(text("there is no ", what, " with number ", byte));
    return 0;
  }
  void read(bool &value) { value = readByte(2, "truth value") != 0; }
  void read(double &value) {
    uint64_t bits = 0;
    read(bits);
    value = std::bit_cast<double>(bits);
  }
  template <typename E>
    requires std::is_enum_v<E>
  void read(E &value) {
    value = E(readByte(kEnumerators<E>, "enumerator"));
  }
  void read(std::string &value) {
    uint32_t size = 0;
    read(size);
    if (take(size))
      value.assign(reinterpret_cast<const char *>(bytes_.data()) + position_ - size,
                   size);
  }
  template <typename T> void read(std::vector<T> &values) {
    uint32_t count = 0;
    read(count);
    values.clear(); // Not reserved: a damaged count must not ask for gigabytes.
    for (uint32_t i = 0; i < count && problem_.empty(); ++i)
      read(values.emplace_back());
  }
  template <typename T>
    requires std::is_class_v<T>
  void read(T &value) {
    fields(*this, value);
  }

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  std::string problem_;
};

} // namespace

std::vector<std::byte> encode(const Manifest &manifest) {
  Encoder encoder;
  encoder(manifest);
  return std::move(encoder).take();
}

FormatStatus decode(std::span<const std::byte> bytes, Manifest &manifest) {
  Decoder decoder(bytes);
  decoder(manifest);
  decoder.finish();
  if (!decoder.problem().empty())
    return formatError(FormatErrorKind::Damaged, text("manifest: ", decoder.problem()));
  if (FormatStatus error = validate(manifest))
    return formatError(FormatErrorKind::Damaged, std::move(error->message));
  return std::nullopt;
}

std::vector<std::byte> encodeLevels(std::span<const Manifest> levels) {
  Encoder encoder;
  encoder(uint32_t(levels.size()));
  for (const Manifest &level : levels)
    encoder(level);
  return std::move(encoder).take();
}

FormatStatus decodeLevels(std::span<const std::byte> bytes,
                          std::vector<Manifest> &levels) {
  Decoder decoder(bytes);
  uint32_t count = 0;
  decoder(count);
  levels.clear();
  for (uint32_t i = 0; i < count && i <= kMaxLevels && decoder.problem().empty(); ++i)
    decoder(levels.emplace_back());
  if (count <= kMaxLevels)
    decoder.finish();
  if (!decoder.problem().empty())
    return formatError(FormatErrorKind::Damaged, text("manifest: ", decoder.problem()));
  if (FormatStatus error = validateLevels(levels))
    return formatError(FormatErrorKind::Damaged, std::move(error->message));
  return std::nullopt;
}

} // namespace rtorch::format
