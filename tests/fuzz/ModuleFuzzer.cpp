// Any bytes as a module file: what is accepted can be described, and planned for the
// least and the largest sizes. Checksums are made right first, and mutations stay in
// the manifest mostly: behind the frame lies what matters.
#include "runtime/executor/Description.h"
#include "runtime/executor/Module.h"
#include "runtime/executor/ShapePlan.h"
#include "runtime/format/Crc32c.h"
#include "runtime/format/ModuleFile.h"
#include "tests/fuzz/MemoryFile.h"

#include <cstdint>
#include <cstring>
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

/// Its memory at these sizes, which is only computed.
void plan(const executor::Module &module, bool largest) {
  std::vector<int64_t> symbols;
  for (const format::Symbol &symbol : module.manifest().symbols)
    symbols.push_back(largest ? symbol.max : symbol.min);
  (void)executor::ShapePlan::build(module, symbols);
}

} // namespace

#ifdef RTORCH_FUZZ
extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

/// Mutates the manifest and tells the trailer how long it is now.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize,
                                          unsigned seed) {
  format::Trailer trailer;
  constexpr size_t kTrailer = sizeof trailer;
  if (seed % 8 == 0 || size < kTrailer)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::memcpy(&trailer, data + size - kTrailer, kTrailer);
  const uint64_t begin = trailer.manifest_offset;
  if (begin > size - kTrailer)
    return LLVMFuzzerMutate(data, size, maxSize);
  const size_t length = LLVMFuzzerMutate(data + begin, size - kTrailer - begin,
                                         maxSize - kTrailer - begin);
  trailer.manifest_bytes = uint32_t(length);
  std::memcpy(data + begin + length, &trailer, kTrailer);
  return begin + length + kTrailer;
}
#endif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(input.begin(), input.end());
  sealAll(bytes);
  static fuzz::MemoryFile file;
  executor::LoadOptions options;
  options.describe_only = true; // code that a fuzzer wrote is not to be run
  auto module = executor::Module::load(file.write(bytes), options);
  if (!module.ok())
    return 0;
  (void)executor::describe((*module)->manifest(), (*module)->file().levels());
  for (bool largest : {false, true})
    plan(**module, largest);
  return 0;
}
