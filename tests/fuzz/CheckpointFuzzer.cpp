// Any bytes as a checkpoint, with checksums made right.
#include "tests/fuzz/CheckpointFile.h"

using namespace rtorch;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  fuzz::tryCheckpoint(input);
  std::vector<std::byte> bytes(input.begin(), input.end());
  fuzz::sealCheckpoint(bytes);
  fuzz::tryCheckpoint(bytes);
  return 0;
}
