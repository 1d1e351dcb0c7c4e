// Any bytes as a zip archive, with what reads its entries: .npy images.
#include "runtime/archive/Npz.h"
#include "runtime/archive/Zip.h"

#include <cstdint>
#include <cstdlib>

using namespace rtorch::archive;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  (void)parseNpy("image", bytes, nullptr);
  auto zip = ZipReader::open(bytes);
  if (!zip)
    return 0;
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
  return 0;
}
