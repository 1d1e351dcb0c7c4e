// Any text as a checkpoint's metadata, in a file whose frame and checksums are right
// and whose payload is as long as the metadata's tensors ask for.
#include "tests/fuzz/CheckpointFile.h"

#ifdef RTORCH_FUZZ
#include "tests/fuzz/JsonMutator.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize,
                                          unsigned seed) {
  if (seed % 4 == 0)
    return LLVMFuzzerMutate(data, size, maxSize);
  const std::string text =
      rtorch::fuzz::mutateJson({reinterpret_cast<const char *>(data), size}, seed);
  if (text.size() > maxSize)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}
#endif

using namespace rtorch;
using namespace rtorch::checkpoint;

namespace {

/// The payload that the text's tensors need, if a message about it tells: the reader
/// says where they end.
uint64_t payloadOf(std::string_view text) {
  auto metadata = parseMetadata(text, kAlign, 0);
  if (metadata.ok())
    return 0;
  const std::string &message = metadata.error().message;
  constexpr std::string_view mark = "the tensors end at byte ";
  const size_t at = message.find(mark);
  if (at == std::string::npos)
    return 0;
  return std::strtoull(message.c_str() + at + mark.size(), nullptr, 10);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  constexpr uint64_t kLargest = 1 << 20;
  const uint64_t payload = payloadOf(text);
  if (size < 2 || payload > kLargest)
    return 0;
  auto metadata = parseMetadata(text, kAlign, payload);
  Header header;
  Footer footer;
  header.meta_bytes = size;
  header.payload_offset = payloadOffset(size);
  header.payload_bytes = payload;
  footer.file_bytes = footerOffset(header.payload_offset + payload) + kFrameBytes;
  footer.tensor_count = metadata.ok() ? metadata->tensors.size() : 0;
  std::vector<std::byte> bytes(footer.file_bytes);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + kFrameBytes, data, size);
  std::memcpy(bytes.data() + bytes.size() - kFrameBytes, &footer, sizeof footer);
  fuzz::sealCheckpoint(bytes);
  fuzz::tryCheckpoint(bytes);
  return 0;
}
