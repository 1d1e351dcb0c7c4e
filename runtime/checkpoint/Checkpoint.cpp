#include "runtime/checkpoint/Checkpoint.h"

#include "runtime/format/Crc32c.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rtorch::checkpoint {

using core::ErrorCode;
using core::makeError;
using core::Status;
using format::crc32c;
using format::text;

namespace {

core::Error ioError(const char *what) {
  return makeError(ErrorCode::CheckpointIo, text(what, ": ", std::strerror(errno)));
}

bool isZero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte(0); });
}

} // namespace

core::Result<std::shared_ptr<const Checkpoint>>
Checkpoint::open(const std::filesystem::path &path, Verify verify) {
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
  Status status = checkpoint->map(path);
  if (status.ok())
    status = checkpoint->check(verify);
  if (!status.ok())
    return makeError(status.error().code,
                     text("'", path.string(), "': ", status.error().message));
  return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
}

Checkpoint::~Checkpoint() {
  if (!file_.empty())
    munmap(const_cast<std::byte *>(file_.data()), file_.size());
}

Status Checkpoint::map(const std::filesystem::path &path) {
  // Not blocking: a named pipe must give an error, not wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return ioError("cannot open");
  struct stat info{};
  Status status;
  if (fstat(descriptor, &info) != 0)
    status = ioError("cannot read");
  else if (!S_ISREG(info.st_mode))
    status = makeError(ErrorCode::CheckpointNotRtch, "is not a regular file");
  else if (info.st_size == 0)
    status = makeError(ErrorCode::CheckpointNotRtch, "is empty");
  if (status.ok()) {
    void *base =
        mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (base == MAP_FAILED)
      status = ioError("cannot map");
    else
      file_ = {static_cast<const std::byte *>(base), size_t(info.st_size)};
  }
  close(descriptor);
  return status;
}

Status Checkpoint::checkPadding() const {
  const uint64_t metaEnd = kFrameBytes + header_.meta_bytes;
  const uint64_t payloadEnd = header_.payload_offset + header_.payload_bytes;
  bool zero =
      isZero(file_.subspan(metaEnd, header_.payload_offset - metaEnd)) &&
      isZero(file_.subspan(payloadEnd, file_.size() - kFrameBytes - payloadEnd));
  uint64_t end = 0;
  for (const TensorEntry &tensor : metadata_.tensors) {
    zero = zero &&
           isZero(file_.subspan(header_.payload_offset + end, tensor.offset - end));
    end = tensor.offset + tensor.bytes;
  }
  if (!zero)
    return makeError(ErrorCode::CheckpointBadMeta,
                     "the padding between parts is not zero");
  return {};
}

void Checkpoint::index() {
  for (size_t i = 0; i < metadata_.tensors.size(); ++i) {
    const TensorEntry &tensor = metadata_.tensors[i];
    names_.push_back({tensor.name, uint32_t(i), false});
    strides_.push_back(stridesOf(tensor.shape, tensor.layout));
  }
  for (const Alias &alias : metadata_.aliases) {
    const auto of =
        std::ranges::lower_bound(metadata_.tensors, alias.of, {}, &TensorEntry::name);
    names_.push_back({alias.name, uint32_t(of - metadata_.tensors.begin()), true});
  }
  std::ranges::sort(names_, {}, &NamedTensor::name);
  verified_ = std::make_unique<std::atomic<bool>[]>(metadata_.tensors.size());
}

Status Checkpoint::check(Verify verify) {
  if (Status status = readFrame(file_, header_, footer_); !status.ok())
    return status;
  const auto meta = file_.subspan(kFrameBytes, header_.meta_bytes);
  if (crc32c(meta) != header_.meta_crc)
    return makeError(ErrorCode::CheckpointBadCrc,
                     "the checksum of the metadata is wrong");
  auto metadata =
      parseMetadata({reinterpret_cast<const char *>(meta.data()), meta.size()},
                    header_.align, header_.payload_bytes);
  if (!metadata.ok())
    return std::move(metadata).takeStatus();
  metadata_ = std::move(*metadata);
  if (metadata_.tensors.size() != footer_.tensor_count)
    return makeError(ErrorCode::CheckpointBadMeta,
                     text("footer: expected ", metadata_.tensors.size(),
                          " tensors, but got ", footer_.tensor_count));
  if (contentId(meta) != footer_.content_id)
    return makeError(ErrorCode::CheckpointBadCrc,
                     "the footer's identity is not that of the metadata");
  if (Status status = checkPadding(); !status.ok())
    return status;
  index();
  for (size_t i = 0; i < metadata_.tensors.size(); ++i) {
    if (verify == Verify::None)
      verified_[i] = true;
    if (verify != Verify::Full)
      continue;
    if (Status status = this->verify({metadata_.tensors[i].name, uint32_t(i), false});
        !status.ok())
      return status;
  }
  return {};
}

const NamedTensor *Checkpoint::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(names_, name, {}, &NamedTensor::name);
  return found != names_.end() && found->name == name ? &*found : nullptr;
}

std::span<const std::byte> Checkpoint::bytes(const NamedTensor &named) const {
  const TensorEntry &tensor = entry(named);
  return file_.subspan(header_.payload_offset + tensor.offset, tensor.bytes);
}

Status Checkpoint::verify(const NamedTensor &named) const {
  if (verified_[named.tensor].load(std::memory_order_relaxed))
    return {};
  const TensorEntry &tensor = entry(named);
  const auto content = bytes(named);
  if (crc32c(content) != tensor.crc)
    return makeError(ErrorCode::CheckpointBadCrc,
                     text("the checksum of tensor '", tensor.name, "' is wrong"));
  if (tensor.dtype->dtype == core::DType::Bool &&
      std::ranges::any_of(content, [](std::byte b) { return b > std::byte(1); }))
    return makeError(ErrorCode::CheckpointBadMeta,
                     text("tensor '", tensor.name,
                          "': expected bools to be 0 or 1, but got another byte"));
  verified_[named.tensor].store(true, std::memory_order_relaxed);
  return {};
}

} // namespace rtorch::checkpoint
