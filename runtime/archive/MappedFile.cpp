#include "runtime/archive/MappedFile.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rtorch::archive {
namespace {

Error systemError(const std::filesystem::path &path, const char *what) {
  return makeError("'" + path.string() + "': cannot " + what + ": " +
                   std::strerror(errno));
}

/// Closes the descriptor on every way out; the mapping outlives it.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};

} // namespace

Result<std::shared_ptr<const MappedFile>>
MappedFile::open(const std::filesystem::path &path) {
  // Not blocking: a named pipe must give an error below, not wait for a writer.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0)
    return systemError(path, "open");
  struct stat info;
  if (::fstat(file.fd, &info) != 0)
    return systemError(path, "read the size of");
  if (!S_ISREG(info.st_mode))
    return makeError("'" + path.string() + "' is not a regular file");
  if (static_cast<uintmax_t>(info.st_size) > PTRDIFF_MAX)
    return makeError("'" + path.string() + "' is too large to be mapped");
  size_t size = static_cast<size_t>(info.st_size);
  std::span<const std::byte> bytes;
  if (size != 0) {
    void *data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (data == MAP_FAILED)
      return systemError(path, "map");
    bytes = {static_cast<const std::byte *>(data), size};
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(bytes));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty())
    ::munmap(const_cast<std::byte *>(bytes_.data()), bytes_.size());
}

} // namespace rtorch::archive
