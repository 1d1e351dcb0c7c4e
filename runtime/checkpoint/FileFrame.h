// Header and footer of a checkpoint file. The format is described in
// docs/reference/checkpoint.md.
#pragma once

#include "runtime/core/Status.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace rtorch::checkpoint {

inline constexpr uint16_t kMajor = 1;
inline constexpr uint16_t kMinor = 0;
inline constexpr uint64_t kFrameBytes = 64; // of header and footer each
inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint32_t kAlign = 64; // that we write
inline constexpr uint64_t kMaxMetadataBytes = uint64_t(64) << 20;

/// The first 64 bytes, little-endian.
struct Header {
  char magic[4] = {'R', 'T', 'C', 'H'};
  uint16_t major = kMajor;
  uint16_t minor = kMinor;
  uint32_t compat_flags = 0;
  uint32_t incompat_flags = 0;
  uint32_t align = kAlign;
  uint32_t reserved = 0;
  uint64_t meta_offset = kFrameBytes;
  uint64_t meta_bytes = 0;
  uint64_t payload_offset = 0;
  uint64_t payload_bytes = 0;
  uint32_t meta_crc = 0;
  uint32_t header_crc = 0; // of the 60 bytes before it
};
static_assert(sizeof(Header) == kFrameBytes);

/// The last 64 bytes.
struct Footer {
  char magic[4] = {'H', 'C', 'T', 'R'};
  uint32_t reserved0 = 0;
  uint64_t file_bytes = 0;
  uint64_t tensor_count = 0;
  uint32_t header_crc = 0; // of all 64 bytes of the header
  uint32_t reserved1 = 0;
  std::array<std::byte, 16> content_id = {};
  uint64_t reserved2 = 0;
  uint32_t reserved3 = 0;
  uint32_t footer_crc = 0; // of the 60 bytes before it
};
static_assert(sizeof(Footer) == kFrameBytes);

/// Where the parts of a file lie.
constexpr uint64_t payloadOffset(uint64_t metaBytes) {
  return (kFrameBytes + metaBytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}
constexpr uint64_t footerOffset(uint64_t payloadEnd) {
  return (payloadEnd + 7) / 8 * 8;
}

/// The identity of a checkpoint: XXH3-128 of its metadata, which hold the checksums of
/// all tensors. No protection against malice.
std::array<std::byte, 16> contentId(std::span<const std::byte> metadata);

/// Fills in the checksums of both.
void seal(Header &header, Footer &footer);

/// Header and footer of the file with these bytes, checked. Codes: CheckpointNotRtch,
/// CheckpointTruncated, CheckpointBadCrc, CheckpointVersion, CheckpointFeature,
/// CheckpointBadMeta, CheckpointLimit.
core::Status readFrame(std::span<const std::byte> file, Header &header, Footer &footer);

} // namespace rtorch::checkpoint
