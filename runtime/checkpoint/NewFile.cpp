#include "runtime/checkpoint/NewFile.h"

#include "runtime/format/Text.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <sys/file.h>
#include <unistd.h>

namespace rtorch::checkpoint {

using core::ErrorCode;
using core::makeError;
using core::Status;
using format::text;

NewFile::NewFile(const std::filesystem::path &target, bool skipSync)
    : target_(target), folder_(target.parent_path()),
      prefix_(text(".", target.filename().string(), ".tmp.")), skip_sync_(skipSync) {
  if (folder_.empty())
    folder_ = ".";
}

NewFile::~NewFile() {
  if (descriptor_ >= 0)
    close(descriptor_);
  if (!temporary_.empty())
    unlink(temporary_.c_str());
}

Status NewFile::failure(const char *what) const {
  return makeError(ErrorCode::CheckpointIo, text("'", target_.string(),
                                                 "' is not saved, an old file is as it "
                                                 "was: cannot ",
                                                 what, ": ", std::strerror(errno)));
}

/// A file is stale if its process is gone and nobody has it locked: process ids may
/// belong to another container that shares the folder.
void NewFile::removeStale() const {
  std::error_code ignored;
  for (const auto &entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix_))
      continue;
    int pid = 0;
    const char *begin = name.data() + prefix_.size();
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), pid);
    if (error != std::errc() || *end != '.' || pid <= 0 || kill(pid, 0) == 0 ||
        errno != ESRCH)
      continue;
    const int descriptor =
        open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0)
      continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0)
      unlink(entry.path().c_str());
    close(descriptor);
  }
}

Status NewFile::create(uint64_t bytes) {
  removeStale();
  std::random_device random;
  do {
    char suffix[9];
    std::snprintf(suffix, sizeof suffix, "%08x", unsigned(random()));
    temporary_ = folder_ / text(prefix_, getpid(), ".", suffix);
    descriptor_ = open(temporary_.c_str(),
                       O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0644);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    temporary_.clear();
    return failure("create a file beside it");
  }
  (void)flock(descriptor_, LOCK_EX | LOCK_NB); // some file systems have no locks
  if (const int error = posix_fallocate(descriptor_, 0, off_t(bytes))) {
    errno = error;
    return failure("make room for it");
  }
  return {};
}

Status NewFile::write(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        pwrite(descriptor_, bytes.data(), bytes.size(), off_t(offset));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return failure("write it");
    offset += uint64_t(count);
    bytes = bytes.subspan(size_t(count));
  }
  return {};
}

Status NewFile::commit() {
  // A failed fsync is final: the system may have dropped what it could not write.
  if (!skip_sync_ && fsync(descriptor_) != 0)
    return failure("bring it to the disk");
  const int closed = close(std::exchange(descriptor_, -1));
  if (closed != 0)
    return failure("close it");
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0)
    return failure("rename it");
  temporary_.clear();
  if (skip_sync_)
    return {};
  const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool durable = folder >= 0 && fsync(folder) == 0;
  const int error = errno;
  if (folder >= 0)
    close(folder);
  if (!durable)
    return makeError(ErrorCode::CheckpointDurability,
                     text("'", target_.string(),
                          "' is saved, but may be lost with the "
                          "power: its folder cannot be brought to the disk: ",
                          std::strerror(error)));
  return {};
}

} // namespace rtorch::checkpoint
