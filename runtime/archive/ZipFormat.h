// Numbers of the zip format (PKWARE APPNOTE 6.3), shared by reader and writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtorch::archive::zip {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEndRecord = 0x06054b50;
constexpr uint32_t kEndRecord64 = 0x06064b50;
constexpr uint32_t kEndLocator64 = 0x07064b50;

constexpr size_t kLocalHeaderSize = 30;
constexpr size_t kCentralHeaderSize = 46;
constexpr size_t kEndRecordSize = 22;
constexpr size_t kEndRecord64Size = 56;
constexpr size_t kEndLocator64Size = 20;

constexpr uint16_t kExtraZip64 = 0x0001;
/// Padding, as PyTorch writes it.
constexpr uint16_t kExtraPadding = 0x4246;

constexpr uint16_t kFlagEncrypted = 1u << 0;
constexpr uint16_t kFlagDescriptor = 1u << 3;
constexpr uint16_t kFlagPatched = 1u << 5;
constexpr uint16_t kFlagStrongEncryption = 1u << 6;
constexpr uint16_t kFlagUtf8 = 1u << 11;
constexpr uint16_t kFlagMaskedHeaders = 1u << 13;

constexpr uint16_t kMethodStored = 0;
constexpr uint16_t kMethodDeflated = 8;

constexpr uint16_t kNone16 = 0xffff;
constexpr uint32_t kNone32 = 0xffffffff;

/// Whether [offset, offset + size) lies inside `total` bytes.
constexpr bool fits(uint64_t offset, uint64_t size, uint64_t total) {
  return offset <= total && size <= total - offset;
}

/// Little-endian integer at `offset`, which the caller has checked.
template <typename T> T load(std::span<const std::byte> bytes, size_t offset) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i)
    value |= static_cast<T>(static_cast<T>(bytes[offset + i]) << (8 * i));
  return value;
}

} // namespace rtorch::archive::zip
