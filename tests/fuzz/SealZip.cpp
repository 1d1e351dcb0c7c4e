#include "tests/fuzz/SealZip.h"

#include "runtime/archive/ZipFormat.h"

#include <cstring>
#include <zlib.h>

using namespace rtorch::archive::zip;

void rtorch::fuzz::sealZip(std::span<std::byte> bytes) {
  for (size_t at = 0; fits(at, kCentralHeaderSize, bytes.size()); ++at) {
    if (load<uint32_t>(bytes, at) != kCentralHeader)
      continue;
    const uint64_t local = load<uint32_t>(bytes, at + 42);
    const uint64_t size = load<uint32_t>(bytes, at + 20);
    if (load<uint16_t>(bytes, at + 10) != kMethodStored ||
        !fits(local, kLocalHeaderSize, bytes.size()))
      continue;
    const uint64_t content = local + kLocalHeaderSize +
                             load<uint16_t>(bytes, local + 26) +
                             load<uint16_t>(bytes, local + 28);
    if (!fits(content, size, bytes.size()))
      continue;
    const auto crc = uint32_t(::crc32(
        0, reinterpret_cast<const Bytef *>(bytes.data()) + content, uInt(size)));
    std::memcpy(bytes.data() + at + 16, &crc, sizeof crc);
    at += kCentralHeaderSize - 1;
  }
}
