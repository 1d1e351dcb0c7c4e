#include "runtime/archive/Npz.h"
#include "runtime/archive/MappedFile.h"
#include "runtime/archive/NpyHeader.h"
#include "runtime/archive/Zip.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

namespace rtorch::archive {
namespace {

/// Memory of its own, aligned so that vector loads need no care.
std::shared_ptr<std::byte> allocate(size_t size) {
  return {static_cast<std::byte *>(::operator new(std::max<size_t>(size, 1),
                                                  std::align_val_t(64), std::nothrow)),
          [](std::byte *p) { ::operator delete(p, std::align_val_t(64)); }};
}

bool isAligned(const void *data, size_t alignment) {
  return reinterpret_cast<uintptr_t>(data) % alignment == 0;
}

/// A temporary file that disappears unless it is renamed.
class TemporaryFile {
public:
  explicit TemporaryFile(const std::filesystem::path &target)
      : path_(target.string() + ".XXXXXX"), fd_(::mkostemp(path_.data(), O_CLOEXEC)) {}
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile() {
    if (fd_ >= 0) {
      ::close(fd_);
      ::unlink(path_.c_str());
    }
  }

  bool isOpen() const { return fd_ >= 0; }
  static bool write(void *self, const void *data, size_t size) {
    auto *file = static_cast<TemporaryFile *>(self);
    const char *from = static_cast<const char *>(data);
    while (size != 0) {
      ssize_t written = ::write(file->fd_, from, size);
      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        return false;
      from += written;
      size -= static_cast<size_t>(written);
    }
    return true;
  }
  /// Gives the file its name, with the access rights that a newly created file gets.
  bool commit(const std::filesystem::path &target) {
    mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(fd_, 0666 & ~mask) != 0)
      return false;
    int fd = std::exchange(fd_, -1);
    if (::close(fd) == 0 && ::rename(path_.c_str(), target.c_str()) == 0)
      return true;
    int error = errno;
    ::unlink(path_.c_str());
    errno = error;
    return false;
  }

private:
  std::string path_;
  int fd_;
};

Status checkWritable(const NpyArray &array, std::set<std::string_view> &names) {
  auto refuse = [&](const std::string &why) {
    return makeError("array '" + array.name + "': " + why);
  };
  if (array.name.empty() ||
      array.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
    return refuse("the name is empty or holds a character that a file name cannot");
  if (!names.insert(array.name).second)
    return refuse("the name occurs twice");
  if (!array.type.isSupported())
    return refuse("element type " + array.type.str() + " is not supported");
  std::optional<int64_t> size = npyByteSize(array.type, array.shape);
  if (!size)
    return refuse("negative or overflowing shape");
  if (static_cast<uint64_t>(*size) != array.bytes.size())
    return refuse("shape and type need " + std::to_string(*size) + " bytes, but " +
                  std::to_string(array.bytes.size()) + " were given");
  if (array.strides.size() != array.shape.size())
    return refuse("shape and strides have different ranks");
  std::vector<int64_t> expected = rowMajorStrides(array.shape);
  for (size_t i = 0; i < expected.size(); ++i)
    if (*size != 0 && array.shape[i] != 1 && array.strides[i] != expected[i])
      return refuse("it is not row-major: stride " + std::to_string(array.strides[i]) +
                    " in dimension " + std::to_string(i) + ", expected " +
                    std::to_string(expected[i]));
  return {};
}

/// Takes the bytes of a parsed array as they are, or copies them where they are not
/// aligned for their type.
Status alignArray(NpyArray &array) {
  if (isAligned(array.bytes.data(), array.type.width))
    return {};
  std::shared_ptr<std::byte> copy = allocate(array.bytes.size());
  if (!copy)
    return makeError("array '" + array.name + "': no memory for " +
                     std::to_string(array.bytes.size()) + " bytes");
  std::memcpy(copy.get(), array.bytes.data(), array.bytes.size());
  array.bytes = {copy.get(), array.bytes.size()};
  array.owner = std::move(copy);
  return {};
}

Result<std::vector<NpyArray>> readEntries(const ZipReader &zip,
                                          std::shared_ptr<const void> file) {
  std::vector<NpyArray> arrays;
  for (const ZipEntry &entry : zip.entries()) {
    std::string_view name = entry.name;
    if (!name.ends_with(".npy") || name.size() == 4)
      return makeError("entry '" + entry.name + "' is not a .npy array");
    name.remove_suffix(4);
    Result<ZipContent> content = zip.read(entry);
    if (!content)
      return content.error();
    Result<NpyArray> array = parseNpy(std::string(name), content->bytes,
                                      content->owner ? content->owner : file);
    if (!array)
      return array.error();
    arrays.push_back(std::move(*array));
  }
  return arrays;
}

Result<std::vector<NpyArray>> readImage(const std::filesystem::path &path,
                                        std::shared_ptr<const MappedFile> file) {
  std::span<const std::byte> bytes = file->bytes();
  if (startsWithNpyMagic(bytes)) {
    Result<NpyArray> array = parseNpy(path.stem().string(), bytes, file);
    if (!array)
      return array.error();
    std::vector<NpyArray> arrays;
    arrays.push_back(std::move(*array));
    return arrays;
  }
  Result<ZipReader> zip = ZipReader::open(bytes);
  if (!zip)
    return zip.error();
  return readEntries(*zip, file);
}

} // namespace

std::string NpyType::str() const { return kind + std::to_string(width); }

bool NpyType::isSupported() const {
  switch (kind) {
  case 'b':
    return width == 1;
  case 'i':
  case 'u':
    return width == 1 || width == 2 || width == 4 || width == 8;
  case 'f':
    return width == 2 || width == 4 || width == 8;
  default:
    return false;
  }
}

int64_t NpyArray::numel() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

NpyArray NpyArray::zeros(std::string name, NpyType type, std::vector<int64_t> shape) {
  NpyArray array;
  array.name = std::move(name);
  array.type = type;
  array.shape = std::move(shape);
  array.strides = rowMajorStrides(array.shape);
  size_t size = static_cast<size_t>(array.numel()) * type.width;
  std::shared_ptr<std::byte> memory = allocate(size);
  if (!memory)
    size = 0; // numel() then disagrees with bytes, which writeNpz refuses
  else
    std::memset(memory.get(), 0, size);
  array.bytes = {memory.get(), size};
  array.owner = std::move(memory);
  return array;
}

std::span<std::byte> NpyArray::mutableBytes() {
  return {const_cast<std::byte *>(bytes.data()), bytes.size()};
}

std::vector<int64_t> rowMajorStrides(std::span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Result<NpyArray> parseNpy(std::string name, std::span<const std::byte> image,
                          std::shared_ptr<const void> owner) {
  Result<NpyHeader> header = parseNpyHeader(image);
  if (!header)
    return makeError("array '" + name + "': " + header.message());
  std::span<const std::byte> bytes = image.subspan(header->dataOffset);
  std::optional<int64_t> size = npyByteSize(header->type, header->shape);
  if (!size)
    return makeError("array '" + name + "': the shape overflows");
  if (static_cast<uint64_t>(*size) != bytes.size())
    return makeError("array '" + name + "': shape and type need " +
                     std::to_string(*size) + " bytes, but the file has " +
                     std::to_string(bytes.size()));
  NpyArray array;
  array.name = std::move(name);
  array.type = header->type;
  array.shape = std::move(header->shape);
  array.strides = rowMajorStrides(array.shape);
  if (header->fortranOrder) {
    std::vector<int64_t> reversed(array.shape.rbegin(), array.shape.rend());
    array.strides = rowMajorStrides(reversed);
    std::reverse(array.strides.begin(), array.strides.end());
  }
  array.bytes = bytes;
  array.owner = std::move(owner);
  if (Status aligned = alignArray(array); !aligned)
    return aligned.error();
  return array;
}

Result<std::vector<NpyArray>> readNpz(const std::filesystem::path &path) {
  auto file = MappedFile::open(path);
  if (!file)
    return file.error();
  Result<std::vector<NpyArray>> arrays = readImage(path, *file);
  if (!arrays)
    return makeError("'" + path.string() + "': " + arrays.message());
  return arrays;
}

Status writeNpz(const std::filesystem::path &path, std::span<const NpyArray> arrays) {
  auto fail = [&](const std::string &why) {
    return makeError("'" + path.string() + "': " + why);
  };
  std::set<std::string_view> names;
  for (const NpyArray &array : arrays)
    if (Status status = checkWritable(array, names); !status)
      return fail(status.message());
  TemporaryFile file(path);
  if (!file.isOpen())
    return fail(std::string("cannot create a temporary file beside it: ") +
                std::strerror(errno));
  ZipWriter zip(TemporaryFile::write, &file);
  for (const NpyArray &array : arrays) {
    std::string header = npyHeaderFor(array.type, array.shape);
    std::span<const std::byte> pieces[] = {
        std::as_bytes(std::span(header.data(), header.size())), array.bytes};
    if (Status status = zip.add(array.name + ".npy", pieces); !status)
      return fail(status.message() + ": " + std::strerror(errno));
  }
  if (Status status = zip.finish(); !status)
    return fail(status.message() + ": " + std::strerror(errno));
  if (!file.commit(path))
    return fail(std::string("cannot rename the temporary file: ") +
                std::strerror(errno));
  return {};
}

} // namespace rtorch::archive
