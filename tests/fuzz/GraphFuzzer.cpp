// Any text as the JSON of an exported program.
#include "compiler/import/GraphReader.h"
#include "compiler/import/SchemaTable.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto program = rtorch::importer::readProgramJson(
      {reinterpret_cast<const char *>(data), size}, "model");
  if (program)
    (void)rtorch::importer::completeArguments(program->graph);
  return 0;
}
