// What both fuzzers of checkpoints do with an accepted file.
#pragma once

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/format/Crc32c.h"
#include "tests/fuzz/MemoryFile.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace rtorch::fuzz {

/// Makes the checksums and the identity of a file right, as far as it has them.
inline void sealCheckpoint(std::vector<std::byte> &bytes) {
  using namespace checkpoint;
  if (bytes.size() < 2 * kFrameBytes)
    return;
  Header header;
  Footer footer;
  std::byte *end = bytes.data() + bytes.size() - kFrameBytes;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&footer, end, sizeof footer);
  if (header.meta_bytes <= bytes.size() - 2 * kFrameBytes) {
    const auto meta = std::span(bytes).subspan(kFrameBytes, header.meta_bytes);
    header.meta_crc = format::crc32c(meta);
    footer.content_id = contentId(meta);
  }
  seal(header, footer);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(end, &footer, sizeof footer);
}

/// Opens the file; what is accepted is sound: all bytes lie within it, names can be
/// found, and the metadata survive being written.
inline void tryCheckpoint(std::span<const std::byte> bytes) {
  using namespace checkpoint;
  static MemoryFile memory;
  auto file = Checkpoint::open(memory.write(bytes), Verify::Lazy);
  if (!file.ok())
    return;
  volatile unsigned sum = 0;
  for (const NamedTensor &named : (*file)->names()) {
    if (refuseName(named.name) || !(*file)->find(named.name) ||
        (*file)->strides(named).size() != (*file)->entry(named).shape.size())
      std::abort();
    for (const std::byte byte : (*file)->bytes(named))
      sum = sum + unsigned(byte);
    (void)(*file)->verify(named);
  }
  const Metadata &metadata = (*file)->metadata();
  const Header &header = (*file)->header();
  auto again = parseMetadata(toJson(metadata), header.align, header.payload_bytes);
  if (!again.ok() || again->tensors.size() != metadata.tensors.size() ||
      again->user != metadata.user)
    std::abort();
}

} // namespace rtorch::fuzz
