// Any bytes as a zip archive, with what reads its entries: .npy images; as they are,
// and with checksums made right.
#include "runtime/archive/Npz.h"
#include "runtime/archive/Zip.h"
#include "tests/fuzz/SealZip.h"

#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace rtorch::archive;

static void readAll(std::span<const std::byte> bytes) {
  auto zip = ZipReader::open(bytes);
  if (!zip)
    return;
  for (const ZipEntry &entry : zip->entries()) {
    if (zip->find(entry.name) != &entry)
      std::abort();
    auto content = zip->read(entry);
    if (!content)
      continue;
    if (content->bytes.size() != entry.size)
      std::abort();
    (void)parseNpy(entry.name, content->bytes, content->owner);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  (void)parseNpy("image", bytes, nullptr);
  readAll(bytes);
  std::vector<std::byte> sealed(bytes.begin(), bytes.end());
  rtorch::fuzz::sealZip(sealed);
  readAll(sealed);
  return 0;
}
