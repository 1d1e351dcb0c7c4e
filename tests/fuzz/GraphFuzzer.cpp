// Any text as the JSON of an exported program; three of four mutations keep it JSON.
#include "compiler/import/GraphReader.h"
#include "compiler/import/SchemaTable.h"

#include <cstdint>
#ifdef RTORCH_FUZZ
#include "tests/fuzz/JsonMutator.h"

#include <cstring>

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize,
                                          unsigned seed) {
  if (seed % 4 != 0) {
    const std::string changed =
        rtorch::fuzz::mutateJson({reinterpret_cast<const char *>(data), size}, seed);
    if (changed.size() <= maxSize) {
      std::memcpy(data, changed.data(), changed.size());
      return changed.size();
    }
  }
  return LLVMFuzzerMutate(data, size, maxSize);
}
#endif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto program = rtorch::importer::readProgramJson(
      {reinterpret_cast<const char *>(data), size}, "model");
  if (program)
    (void)rtorch::importer::completeArguments(program->graph);
  return 0;
}
