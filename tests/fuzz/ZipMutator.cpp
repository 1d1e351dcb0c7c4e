#include "tests/fuzz/ZipMutator.h"

#include "runtime/archive/Zip.h"
#include "tests/fuzz/JsonMutator.h"

#include <algorithm>
#include <cstring>
#include <random>

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

namespace rtorch::fuzz {

using namespace archive;

namespace {

bool append(void *context, const void *data, size_t size) {
  auto &out = *static_cast<std::vector<std::byte> *>(context);
  const auto *bytes = static_cast<const std::byte *>(data);
  out.insert(out.end(), bytes, bytes + size);
  return true;
}

/// The archive with the content of `changed` replaced; empty if it cannot be written.
std::vector<std::byte> rewritten(const ZipReader &zip, const ZipEntry &changed,
                                 std::span<const std::byte> content) {
  std::vector<std::byte> out;
  ZipWriter writer(append, &out);
  for (const ZipEntry &entry : zip.entries()) {
    std::span<const std::byte> piece = content;
    Result<ZipContent> old = ZipContent{};
    if (&entry != &changed) {
      old = zip.read(entry);
      if (!old)
        return {};
      piece = old->bytes;
    }
    if (!writer.add(entry.name, {&piece, 1}))
      return {};
  }
  if (!writer.finish())
    return {};
  return out;
}

/// The archive with one entry's content mutated; empty where `data` is none.
std::vector<std::byte> mutateEntry(std::span<const std::byte> data, size_t maxSize,
                                   std::minstd_rand &random) {
  Result<ZipReader> zip = ZipReader::open(data);
  if (!zip || zip->entries().empty())
    return {};
  const ZipEntry &entry = zip->entries()[random() % zip->entries().size()];
  Result<ZipContent> content = zip->read(entry);
  if (!content)
    return {};
  if (entry.name.ends_with(".json") && random() % 4 != 0) {
    const std::string json = mutateJson(content->text(), random());
    return rewritten(*zip, entry, std::as_bytes(std::span(json)));
  }
  const size_t room = maxSize > data.size() ? maxSize - data.size() : 0;
  std::vector<uint8_t> bytes(content->bytes.size() + std::min<size_t>(room, 256) + 1);
  std::ranges::transform(content->bytes, bytes.begin(),
                         [](std::byte byte) { return uint8_t(byte); });
  bytes.resize(LLVMFuzzerMutate(bytes.data(), content->bytes.size(), bytes.size()));
  return rewritten(*zip, entry, std::as_bytes(std::span(bytes)));
}

} // namespace

size_t mutateZip(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  std::minstd_rand random(seed);
  if (random() % 4 != 0) {
    const auto changed =
        mutateEntry(std::as_bytes(std::span(data, size)), maxSize, random);
    if (!changed.empty() && changed.size() <= maxSize) {
      std::memcpy(data, changed.data(), changed.size());
      return changed.size();
    }
  }
  return LLVMFuzzerMutate(data, size, maxSize);
}

} // namespace rtorch::fuzz
