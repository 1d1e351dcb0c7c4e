#include "runtime/record/Files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace rtorch::record {
namespace {

std::string failure(const char *what, const std::filesystem::path &path) {
  return std::string("cannot ") + what + " '" + path.string() +
         "': " + std::strerror(errno);
}

bool writeAll(int descriptor, std::string_view content) {
  while (!content.empty()) {
    ssize_t done = ::write(descriptor, content.data(), content.size());
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return false;
    content.remove_prefix(static_cast<size_t>(done));
  }
  return true;
}

/// A renamed file is there after a crash only if its directory was synced.
void syncDirectory(const std::filesystem::path &directory) {
  int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return;
  ::fsync(descriptor);
  ::close(descriptor);
}

} // namespace

std::string replaceFile(const std::filesystem::path &path, std::string_view content,
                        bool durable) {
  std::filesystem::path temporary = path;
  temporary += ".tmp" + std::to_string(::getpid());
  int descriptor =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return failure("create", temporary);
  bool written =
      writeAll(descriptor, content) && (!durable || ::fsync(descriptor) == 0);
  std::string error = written ? "" : failure("write", temporary);
  ::close(descriptor);
  if (error.empty() && std::rename(temporary.c_str(), path.c_str()) != 0)
    error = failure("replace", path);
  if (!error.empty())
    ::unlink(temporary.c_str());
  else if (durable)
    syncDirectory(path.parent_path());
  return error;
}

LineFile::~LineFile() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}

std::string LineFile::open(const std::filesystem::path &path) {
  path_ = path;
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  return descriptor_ < 0 ? failure("create", path) : "";
}

std::string LineFile::append(std::string line) {
  line += '\n';
  return writeAll(descriptor_, line) ? "" : failure("write", path_);
}

WriterLock::~WriterLock() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}

std::string WriterLock::acquire(const std::filesystem::path &path) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    return failure("create", path);
  return ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 ? "" : failure("lock", path);
}

bool WriterLock::isHeld(const std::filesystem::path &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return held;
}

} // namespace rtorch::record
