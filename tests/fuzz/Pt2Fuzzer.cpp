// Any bytes as a .pt2 archive: the frame, the program's JSON, the configs and payloads.
// Checksums are made right first, and entries are mutated one by one.
#include "compiler/import/GraphReader.h"
#include "compiler/import/SchemaTable.h"
#include "tests/fuzz/MemoryFile.h"
#include "tests/fuzz/SealZip.h"
#include "tests/fuzz/ZipMutator.h"

#include <cstdlib>

using namespace rtorch;

namespace {

/// Touches all bytes of the payloads: what is outside the file would be a fault.
unsigned sumOf(const std::map<std::string, importer::Payload> &payloads) {
  unsigned sum = 0;
  for (const auto &[name, payload] : payloads)
    for (std::byte byte : payload.bytes)
      sum += unsigned(byte);
  return sum;
}

} // namespace

#ifdef RTORCH_FUZZ
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize,
                                          unsigned seed) {
  return fuzz::mutateZip(data, size, maxSize, seed);
}
#endif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(input.begin(), input.end());
  fuzz::sealZip(bytes);
  static fuzz::MemoryFile file;
  auto program = importer::readProgram(file.write(bytes));
  if (!program)
    return program.message().empty() ? (std::abort(), 0) : 0;
  volatile unsigned sum = sumOf(program->weights) + sumOf(program->constants);
  (void)sum;
  (void)importer::completeArguments(program->graph);
  return 0;
}
