#include "tools/recording/Recording.h"

#include "runtime/archive/MappedFile.h"
#include "runtime/archive/Zip.h"

#include <cstdio>
#include <cstdlib>

namespace rtorch::tools {
namespace {

/// FNV-1a of 64 bits.
class Hash {
public:
  void add(const void *bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      state_ ^= static_cast<const unsigned char *>(bytes)[i];
      state_ *= 0x100000001b3;
    }
  }
  std::string text() const {
    char digits[20];
    std::snprintf(digits, sizeof digits, "%016llx",
                  static_cast<unsigned long long>(state_));
    return digits;
  }

private:
  uint64_t state_ = 0xcbf29ce484222325;
};

/// Bytes at the end of a .rtm file.
constexpr size_t kTrailer = 64;

} // namespace

Recording::Recording(std::string command, std::string kind, const record::Fields &facts,
                     const RecordSettings &settings)
    : command_(std::move(command)) {
  if (settings.off)
    return;
  record::Options options;
  if (!settings.store.empty())
    options.store = settings.store;
  if (options.store.empty() && std::getenv("RTORCH_STORE"))
    return;
  options.epsilon = settings.epsilon;
  std::string error;
  run_ = record::Run::begin(kind, facts, options, error);
  if (!run_)
    warn(error);
}

void Recording::finish(bool done, const record::Fields &results) {
  std::string error;
  if (run_ && !run_->finish(done ? "done" : "failed", results, error))
    warn(error);
  run_.reset();
}

void Recording::warn(const std::string &error) {
  std::fprintf(stderr, "%s: warning: this run is not recorded: %s\n", command_.c_str(),
               error.c_str());
}

std::string hashOfArchive(const std::string &path) {
  auto file = archive::MappedFile::open(path);
  if (!file.ok())
    return "";
  auto zip = archive::ZipReader::open((*file)->bytes());
  if (!zip.ok())
    return "";
  Hash hash;
  for (const archive::ZipEntry &entry : zip->entries()) {
    hash.add(entry.name.data(), entry.name.size() + 1);
    hash.add(&entry.size, sizeof entry.size);
    hash.add(&entry.crc, sizeof entry.crc);
  }
  return hash.text();
}

std::string hashOfModule(const std::string &path) {
  auto file = archive::MappedFile::open(path);
  if (!file.ok() || (*file)->bytes().size() < kTrailer)
    return "";
  Hash hash;
  hash.add((*file)->bytes().last(kTrailer).data(), kTrailer);
  return hash.text();
}

} // namespace rtorch::tools
