// Any bytes as a module file. Checksums are made right first: behind them lies what
// matters.
#include "runtime/executor/Description.h"
#include "runtime/executor/Module.h"
#include "runtime/format/Crc32c.h"
#include "runtime/format/ModuleFile.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

using namespace rtorch;

namespace {

/// The checksum of a section, if it lies within the bytes.
void seal(std::span<const std::byte> bytes, uint64_t offset, uint64_t size,
          uint32_t &crc) {
  if (offset <= bytes.size() && size <= bytes.size() - offset)
    crc = format::crc32c(bytes.subspan(offset, size));
}

void sealAll(std::vector<std::byte> &bytes) {
  format::Trailer trailer;
  if (bytes.size() < sizeof trailer)
    return;
  std::byte *end = bytes.data() + bytes.size() - sizeof trailer;
  std::memcpy(&trailer, end, sizeof trailer);
  seal(bytes, 0, trailer.elf_bytes, trailer.elf_crc);
  seal(bytes, trailer.constants_offset, trailer.constants_bytes, trailer.constants_crc);
  seal(bytes, trailer.manifest_offset, trailer.manifest_bytes, trailer.manifest_crc);
  std::memcpy(end, &trailer, sizeof trailer);
  trailer.trailer_crc =
      format::crc32c(std::span(end, sizeof trailer - sizeof(uint32_t)));
  std::memcpy(end, &trailer, sizeof trailer);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(input.begin(), input.end());
  sealAll(bytes);
  static const int file = memfd_create("module", MFD_CLOEXEC);
  if (ftruncate(file, 0) != 0 ||
      pwrite(file, bytes.data(), bytes.size(), 0) != ssize_t(bytes.size()))
    return 0;
  executor::LoadOptions options;
  options.describe_only = true; // code that a fuzzer wrote is not to be run
  auto module =
      executor::Module::load("/proc/self/fd/" + std::to_string(file), options);
  if (module.ok())
    (void)executor::describe((*module)->manifest());
  return 0;
}
