#include "runtime/checkpoint/FileFrame.h"

#include "runtime/format/Crc32c.h"
#include "runtime/format/Text.h"

#include <bit>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rtorch::checkpoint {

using core::ErrorCode;
using core::makeError;
using core::Status;
using format::crc32c;
using format::text;

static_assert(std::endian::native == std::endian::little,
              "header and footer are copied as they lie in the file");

namespace {

template <typename Frame> std::span<const std::byte> bytesOf(const Frame &frame) {
  return std::as_bytes(std::span(&frame, 1));
}

constexpr size_t kSealed = kFrameBytes - sizeof(uint32_t);

Status checkHeader(const Header &h, uint64_t fileBytes) {
  if (h.major != kMajor)
    return makeError(ErrorCode::CheckpointVersion,
                     text("is of version ", h.major, ".", h.minor,
                          ", but this library reads version ", kMajor));
  if (h.incompat_flags != 0)
    return makeError(ErrorCode::CheckpointFeature,
                     text("needs the features of the bits ", h.incompat_flags,
                          ", which this library lacks"));
  if (h.minor <= kMinor && h.reserved != 0)
    return makeError(ErrorCode::CheckpointBadMeta,
                     "header: expected reserved bytes to be 0");
  if (!std::has_single_bit(h.align) || h.align < 64 || h.align > 65536)
    return makeError(
        ErrorCode::CheckpointBadMeta,
        text("header: expected align to be a power of two from 64 to 65536, but got ",
             h.align));
  if (h.meta_bytes < 2 || h.meta_bytes > kMaxMetadataBytes)
    return makeError(ErrorCode::CheckpointLimit,
                     text("header: expected 2 to ", kMaxMetadataBytes,
                          " bytes of metadata, but got ", h.meta_bytes));
  if (h.meta_offset != kFrameBytes || h.payload_offset != payloadOffset(h.meta_bytes))
    return makeError(ErrorCode::CheckpointBadMeta,
                     "header: metadata or payload lie where they do not belong");
  // Written so that no sum can wrap around.
  if (h.payload_offset > fileBytes - kFrameBytes ||
      h.payload_bytes > fileBytes - kFrameBytes - h.payload_offset)
    return makeError(ErrorCode::CheckpointTruncated,
                     text("is cut short: it has ", fileBytes,
                          " bytes, but its payload needs ", h.payload_bytes,
                          " from byte ", h.payload_offset));
  return {};
}

Status checkFooter(const Header &h, const Footer &f, uint64_t fileBytes) {
  if (std::memcmp(f.magic, Footer().magic, sizeof f.magic) != 0)
    return makeError(ErrorCode::CheckpointTruncated,
                     "is cut short or changed: it does not end with a footer");
  if (crc32c(bytesOf(f).first(kSealed)) != f.footer_crc)
    return makeError(ErrorCode::CheckpointBadCrc,
                     "the checksum of the footer is wrong");
  if (crc32c(bytesOf(h)) != f.header_crc)
    return makeError(ErrorCode::CheckpointBadCrc,
                     "the footer belongs to another header");
  if (f.file_bytes != fileBytes ||
      footerOffset(h.payload_offset + h.payload_bytes) + kFrameBytes != fileBytes)
    return makeError(ErrorCode::CheckpointTruncated,
                     text("is cut short or changed: it has ", fileBytes,
                          " bytes, but its parts do not add up to that"));
  if (h.minor <= kMinor && (f.reserved0 | f.reserved1 | f.reserved2 | f.reserved3) != 0)
    return makeError(ErrorCode::CheckpointBadMeta,
                     "footer: expected reserved bytes to be 0");
  return {};
}

} // namespace

std::array<std::byte, 16> contentId(std::span<const std::byte> metadata) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(metadata.data(), metadata.size()));
  return std::bit_cast<std::array<std::byte, 16>>(canonical);
}

void seal(Header &header, Footer &footer) {
  header.header_crc = crc32c(bytesOf(header).first(kSealed));
  footer.header_crc = crc32c(bytesOf(header));
  footer.footer_crc = crc32c(bytesOf(footer).first(kSealed));
}

Status readFrame(std::span<const std::byte> file, Header &header, Footer &footer) {
  const Header expected;
  if (file.size() < sizeof expected.magic ||
      std::memcmp(file.data(), expected.magic, sizeof expected.magic) != 0)
    return makeError(ErrorCode::CheckpointNotRtch, "is no RTCH checkpoint");
  if (file.size() < 2 * kFrameBytes)
    return makeError(ErrorCode::CheckpointTruncated,
                     text("is cut short: it has ", file.size(), " bytes"));
  std::memcpy(&header, file.data(), sizeof header);
  std::memcpy(&footer, file.last(kFrameBytes).data(), sizeof footer);
  if (crc32c(bytesOf(header).first(kSealed)) != header.header_crc)
    return makeError(ErrorCode::CheckpointBadCrc,
                     "the checksum of the header is wrong");
  if (Status status = checkHeader(header, file.size()); !status.ok())
    return status;
  return checkFooter(header, footer, file.size());
}

} // namespace rtorch::checkpoint
