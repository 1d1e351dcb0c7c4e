#include "runtime/checkpoint/Save.h"

#include "runtime/checkpoint/FileFrame.h"
#include "runtime/checkpoint/NewFile.h"
#include "runtime/core/StridedCopy.h"
#include "runtime/format/Crc32c.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <numeric>

namespace rtorch::checkpoint {

using core::ErrorCode;
using core::makeError;
using core::Status;
using format::crc32c;
using format::text;

namespace {

/// Tensors of one file in its order, and what goes before them.
class Saving {
public:
  Saving(std::span<const SavedTensor> tensors, const SaveOptions &options)
      : tensors_(tensors) {
    metadata_.user = options.user;
    metadata_.writer = options.writer;
  }

  Status plan();
  Status write(NewFile &file);
  uint64_t fileBytes() const { return footer_.file_bytes; }

private:
  Status add(const SavedTensor &saved);
  bool addAlias(const SavedTensor &saved);
  Status writePayload(NewFile &file);
  std::span<const std::byte> bytesOf(size_t index, std::vector<std::byte> &buffer);

  std::span<const SavedTensor> tensors_;
  std::vector<const SavedTensor *> sources_; // one for each of metadata_.tensors
  std::map<const void *, std::vector<size_t>> by_memory_;
  Metadata metadata_;
  Header header_;
  Footer footer_;
};

bool sameMemory(const core::TensorView &a, const core::TensorView &b) {
  return a.data == b.data && a.dtype == b.dtype &&
         std::ranges::equal(a.sizes, b.sizes) &&
         std::ranges::equal(a.strides, b.strides) && !core::isEmpty(a.sizes);
}

bool Saving::addAlias(const SavedTensor &saved) {
  for (const size_t index : by_memory_[saved.tensor.data])
    if (sameMemory(sources_[index]->tensor, saved.tensor)) {
      metadata_.aliases.push_back(
          {std::string(saved.name), metadata_.tensors[index].name});
      return true;
    }
  return false;
}

Status Saving::add(const SavedTensor &saved) {
  if (addAlias(saved))
    return {};
  const core::TensorView &tensor = saved.tensor;
  if (tensor.sizes.size() > kMaxCheckpointRank)
    return makeError(ErrorCode::CheckpointLimit,
                     text("tensor '", saved.name, "': expected at most ",
                          kMaxCheckpointRank, " dims, but got ", tensor.sizes.size()));
  TensorEntry entry;
  entry.name = saved.name;
  entry.dtype = &fileDTypeOf(tensor.dtype);
  entry.shape.assign(tensor.sizes.begin(), tensor.sizes.end());
  entry.requires_grad = saved.requires_grad;
  const size_t rank = entry.shape.size();
  if ((rank == 4 || rank == 5) && !core::isRowMajor(tensor.sizes, tensor.strides) &&
      std::ranges::equal(stridesOf(entry.shape, Storage::ChannelsLast), tensor.strides))
    entry.layout = Storage::ChannelsLast;
  const auto bytes = byteSize(*entry.dtype, entry.shape);
  if (!bytes)
    return makeError(ErrorCode::CheckpointLimit,
                     text("tensor '", saved.name, "': its size does not fit"));
  entry.bytes = *bytes;
  by_memory_[tensor.data].push_back(sources_.size());
  sources_.push_back(&saved);
  metadata_.tensors.push_back(std::move(entry));
  return {};
}

Status Saving::plan() {
  if (tensors_.size() > kMaxTensors)
    return makeError(
        ErrorCode::CheckpointLimit,
        text("expected at most ", kMaxTensors, " tensors, but got ", tensors_.size()));
  std::vector<const SavedTensor *> sorted;
  for (const SavedTensor &saved : tensors_) {
    if (auto reason = refuseName(saved.name))
      return makeError(ErrorCode::CheckpointBadMeta,
                       text("tensor ", sorted.size(), ": ", *reason));
    sorted.push_back(&saved);
  }
  std::ranges::sort(sorted, {}, &SavedTensor::name);
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (i && sorted[i - 1]->name == sorted[i]->name)
      return makeError(ErrorCode::CheckpointBadMeta,
                       text("the name '", sorted[i]->name, "' occurs twice"));
    if (Status status = add(*sorted[i]); !status.ok())
      return status;
  }
  header_.payload_bytes = layOut(metadata_.tensors, kAlign);
  // Checksums are digits of fixed width: the length is known before they are.
  header_.meta_bytes = toJson(metadata_).size();
  if (header_.meta_bytes > kMaxMetadataBytes)
    return makeError(ErrorCode::CheckpointLimit,
                     text("expected at most ", kMaxMetadataBytes,
                          " bytes of metadata, but got ", header_.meta_bytes));
  header_.payload_offset = payloadOffset(header_.meta_bytes);
  footer_.tensor_count = metadata_.tensors.size();
  footer_.file_bytes =
      footerOffset(header_.payload_offset + header_.payload_bytes) + kFrameBytes;
  return {};
}

/// The bytes of a tensor as the file has them; others than dense ones in `buffer`.
std::span<const std::byte> Saving::bytesOf(size_t index,
                                           std::vector<std::byte> &buffer) {
  const TensorEntry &entry = metadata_.tensors[index];
  const core::TensorView &tensor = sources_[index]->tensor;
  const auto *data = static_cast<const std::byte *>(tensor.data);
  if (entry.layout == Storage::ChannelsLast ||
      core::isRowMajor(tensor.sizes, tensor.strides))
    return {data, entry.bytes};
  buffer.resize(entry.bytes);
  core::copyStrided(tensor.sizes, entry.dtype->bytes, buffer.data(),
                    stridesOf(entry.shape, entry.layout), data, tensor.strides);
  return buffer;
}

Status Saving::writePayload(NewFile &file) {
  std::vector<std::byte> buffer;
  for (size_t i = 0; i < metadata_.tensors.size(); ++i) {
    TensorEntry &entry = metadata_.tensors[i];
    const auto bytes = bytesOf(i, buffer);
    entry.crc = crc32c(bytes);
    if (Status status = file.write(header_.payload_offset + entry.offset, bytes);
        !status.ok())
      return status;
  }
  return {};
}

Status Saving::write(NewFile &file) {
  // Padding is what nobody writes: the file is longer from the beginning.
  if (Status status = writePayload(file); !status.ok())
    return status;
  const std::string json = toJson(metadata_);
  const auto meta = std::as_bytes(std::span(json));
  header_.meta_crc = crc32c(meta);
  footer_.content_id = contentId(meta);
  seal(header_, footer_);
  Status status = file.write(kFrameBytes, meta);
  if (status.ok())
    status = file.write(0, std::as_bytes(std::span(&header_, 1)));
  if (status.ok())
    status = file.write(footer_.file_bytes - kFrameBytes,
                        std::as_bytes(std::span(&footer_, 1)));
  return status;
}

} // namespace

Status save(const std::filesystem::path &path, std::span<const SavedTensor> tensors,
            const SaveOptions &options) {
  Saving saving(tensors, options);
  if (Status status = saving.plan(); !status.ok())
    return makeError(status.error().code,
                     text("'", path.string(), "': ", status.error().message));
  NewFile file(path, options.skip_sync);
  if (Status status = file.create(saving.fileBytes()); !status.ok())
    return status;
  if (Status status = saving.write(file); !status.ok())
    return status;
  return file.commit();
}

} // namespace rtorch::checkpoint
