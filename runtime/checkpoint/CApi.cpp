// The C functions of checkpoints.
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/JsonReader.h"
#include "runtime/checkpoint/Save.h"
#include "runtime/format/Text.h"
#include "runtime/include/rtorch/checkpoint.h"

#include <algorithm>
#include <cstring>

using namespace rtorch;
using namespace rtorch::checkpoint;
using core::ErrorCode;
using core::makeError;
using core::Status;
using format::text;

struct rtorch_checkpoint {
  std::shared_ptr<const Checkpoint> file;
  std::string content_id;
};

namespace {

core::Error usage(std::string message) {
  return makeError(ErrorCode::ApiUsage, std::move(message));
}

/// Runs `body`, which returns a Status; the runtime makes the error object.
template <typename Body> rtorch_error *guarded(Body &&body) noexcept {
  try {
    const Status status = body();
    if (status.ok())
      return nullptr;
    return rtorch_error_create(core::codeName(status.error().code),
                               status.error().message.c_str());
  } catch (...) { // nothing else is thrown
    return rtorch_error_create("RT_MEMORY_EXHAUSTED", "the process has no more memory");
  }
}

Status checkSize(uint32_t size, size_t expected, const char *what) {
  constexpr uint32_t kMaxStructBytes = 4096;
  if (size >= expected && size <= kMaxStructBytes && size % alignof(void *) == 0)
    return {};
  return usage(text(what, ": expected struct_size ", expected, ", but got ", size));
}

template <typename Struct> Status checkStruct(const Struct *value, const char *what) {
  if (!value)
    return usage(text(what, ": expected a struct, but got NULL"));
  return checkSize(value->struct_size, sizeof(Struct), what);
}

template <typename Struct> void give(Struct filled, Struct *out) {
  filled.struct_size = out->struct_size;
  std::memcpy(out, &filled, sizeof filled);
}

std::string hexDigits(std::span<const std::byte> bytes) {
  std::string out;
  for (const std::byte byte : bytes) {
    out += "0123456789abcdef"[unsigned(byte) >> 4];
    out += "0123456789abcdef"[unsigned(byte) & 15];
  }
  return out;
}

Status giveTensor(const Checkpoint &file, const NamedTensor &named,
                  rtorch_checkpoint_tensor *out) {
  if (Status status = file.verify(named); !status.ok())
    return status;
  const TensorEntry &entry = file.entry(named);
  rtorch_checkpoint_tensor tensor = RTORCH_CHECKPOINT_TENSOR_INIT;
  tensor.requires_grad = entry.requires_grad;
  tensor.name = named.name.data(); // of a std::string, so it ends with a zero
  tensor.alias_of = named.is_alias ? entry.name.c_str() : "";
  tensor.dtype_name = entry.dtype->name;
  tensor.layout = entry.layout == Storage::ChannelsLast ? "channels_last" : "row_major";
  tensor.bytes = entry.bytes;
  if (entry.dtype->dtype) {
    tensor.value.kind = RTORCH_VALUE_TENSOR;
    tensor.value.dtype = int32_t(*entry.dtype->dtype);
  }
  tensor.value.rank = uint32_t(entry.shape.size());
  tensor.value.sizes = entry.shape.data();
  tensor.value.strides = file.strides(named).data();
  tensor.value.data = const_cast<std::byte *>(file.bytes(named).data());
  give(tensor, out);
  return {};
}

/// The caller's tensors, checked; keeps the strides that they leave out.
class Borrowed {
public:
  Status add(const rtorch_named_tensor *tensors, uint32_t count);
  size_t size() const { return names_.size(); }
  std::string_view name(size_t i) const { return names_[i]; }
  bool requiresGrad(size_t i) const { return requires_grad_[i]; }
  core::TensorView view(size_t i) const {
    return {dtypes_[i], sizes_[i], strides_[i], data_[i]};
  }

private:
  Status addOne(const rtorch_named_tensor &tensor);

  std::vector<std::string_view> names_;
  std::vector<bool> requires_grad_;
  std::vector<core::DType> dtypes_;
  std::vector<std::span<const int64_t>> sizes_;
  std::vector<std::vector<int64_t>> strides_;
  std::vector<void *> data_;
};

Status Borrowed::addOne(const rtorch_named_tensor &tensor) {
  if (Status status = checkStruct(&tensor, "tensor"); !status.ok())
    return status;
  if (!tensor.name)
    return usage("expected the name of a tensor, but got NULL");
  const rtorch_value &value = tensor.value;
  const auto wrong = [&](std::string_view what) {
    return usage(text("tensor '", tensor.name, "': ", what));
  };
  if (Status status = checkSize(value.struct_size, sizeof value, "value"); !status.ok())
    return status;
  if (value.kind != RTORCH_VALUE_TENSOR)
    return wrong("expected a value that is a tensor");
  const auto dtype = core::dtypeFromNumber(value.dtype);
  if (!dtype)
    return wrong(text("expected a dtype, but got ", value.dtype));
  if (value.rank > kMaxCheckpointRank)
    return wrong(
        text("expected at most ", kMaxCheckpointRank, " dims, but got ", value.rank));
  if (value.rank != 0 && !value.sizes)
    return wrong("expected sizes, but got NULL");
  const std::span sizes(value.sizes, value.rank);
  if (std::ranges::any_of(sizes, [](int64_t size) { return size < 0; }))
    return wrong("expected sizes of at least 0");
  const auto strides = value.strides
                           ? std::vector(value.strides, value.strides + value.rank)
                           : stridesOf(sizes, Storage::RowMajor);
  if (!core::extentBytes(*dtype, sizes, strides))
    return wrong("expected sizes and strides that fit into memory");
  if (!value.data && !core::isEmpty(sizes))
    return wrong("expected memory, but got NULL");
  names_.emplace_back(tensor.name);
  requires_grad_.push_back(tensor.requires_grad != 0);
  dtypes_.push_back(*dtype);
  sizes_.push_back(sizes);
  strides_.push_back(strides);
  data_.push_back(value.data);
  return {};
}

Status Borrowed::add(const rtorch_named_tensor *tensors, uint32_t count) {
  if (count != 0 && !tensors)
    return usage(text("expected ", count, " tensors, but got NULL"));
  if (count > kMaxTensors)
    return makeError(ErrorCode::CheckpointLimit, text("expected at most ", kMaxTensors,
                                                      " tensors, but got ", count));
  for (uint32_t i = 0; i < count; ++i)
    if (Status status = addOne(tensors[i]); !status.ok())
      return status;
  return {};
}

Status checkHandle(const rtorch_checkpoint *checkpoint) {
  if (!checkpoint)
    return usage("expected a handle of a checkpoint, but got NULL");
  return {};
}

Status checkIndex(uint32_t index, size_t count, const char *what) {
  if (index < count)
    return {};
  return usage(text("expected a ", what, " below ", count, ", but got ", index));
}

Status readOptions(const rtorch_save_options *options, SaveOptions &out) {
  if (!options)
    return {};
  if (Status status = checkStruct(options, "save options"); !status.ok())
    return status;
  out.skip_sync = options->skip_sync != 0;
  if (options->user_count != 0 && (!options->user_keys || !options->user_values))
    return usage(text("expected ", options->user_count, " user entries, but got NULL"));
  for (uint32_t i = 0; i < options->user_count; ++i) {
    const char *key = options->user_keys[i], *value = options->user_values[i];
    if (!key || !value)
      return usage("expected strings as user entries, but got NULL");
    if (refuseName(key) || !isUtf8(value))
      return makeError(ErrorCode::CheckpointBadMeta,
                       text("user entry ", i,
                            ": expected UTF-8, and a key that could "
                            "be a tensor's name"));
    out.user[key] = value;
  }
  return {};
}

} // namespace

rtorch_error *rtorch_checkpoint_open(const char *path, int32_t verify,
                                     rtorch_checkpoint **out) {
  return guarded([&]() -> Status {
    if (!out)
      return usage("expected a place for the checkpoint, but got NULL");
    *out = nullptr;
    if (!path)
      return usage("expected the path of a checkpoint, but got NULL");
    if (verify < RTORCH_VERIFY_FULL || verify > RTORCH_VERIFY_NONE)
      return usage(text("expected one of RTORCH_VERIFY_..., but got ", verify));
    auto file = Checkpoint::open(path, Verify(verify));
    if (!file.ok())
      return std::move(file).takeStatus();
    const auto &id = (*file)->footer().content_id;
    *out = new rtorch_checkpoint{std::move(*file), hexDigits(id)};
    return {};
  });
}

void rtorch_checkpoint_destroy(rtorch_checkpoint *checkpoint) { delete checkpoint; }

rtorch_error *rtorch_checkpoint_describe(const rtorch_checkpoint *checkpoint,
                                         rtorch_checkpoint_info *out) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(checkpoint); !status.ok())
      return status;
    if (Status status = checkStruct(out, "info"); !status.ok())
      return status;
    const Checkpoint &file = *checkpoint->file;
    const Metadata &metadata = file.metadata();
    rtorch_checkpoint_info info{};
    info.tensor_count = uint32_t(file.names().size());
    info.user_count = uint32_t(metadata.user.size());
    info.warning_count = uint32_t(metadata.warnings.size());
    info.major = file.header().major;
    info.minor = file.header().minor;
    info.writer = metadata.writer.c_str();
    info.content_id = checkpoint->content_id.c_str();
    info.file_bytes = file.fileBytes();
    for (const TensorEntry &tensor : metadata.tensors)
      info.tensor_bytes += tensor.bytes;
    give(info, out);
    return {};
  });
}

rtorch_error *rtorch_checkpoint_tensor_at(const rtorch_checkpoint *checkpoint,
                                          uint32_t index,
                                          rtorch_checkpoint_tensor *out) {
  return guarded([&]() -> Status {
    Status status = checkHandle(checkpoint);
    if (status.ok())
      status = checkStruct(out, "tensor");
    if (status.ok())
      status = checkIndex(index, checkpoint->file->names().size(), "tensor");
    if (!status.ok())
      return status;
    return giveTensor(*checkpoint->file, checkpoint->file->names()[index], out);
  });
}

rtorch_error *rtorch_checkpoint_find(const rtorch_checkpoint *checkpoint,
                                     const char *name, rtorch_checkpoint_tensor *out) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(checkpoint); !status.ok())
      return status;
    if (Status status = checkStruct(out, "tensor"); !status.ok())
      return status;
    if (!name)
      return usage("expected the name of a tensor, but got NULL");
    const NamedTensor *named = checkpoint->file->find(name);
    if (!named)
      return makeError(ErrorCode::CheckpointMismatch,
                       text("the checkpoint has no tensor '", name, "'"));
    return giveTensor(*checkpoint->file, *named, out);
  });
}

rtorch_error *rtorch_checkpoint_user_at(const rtorch_checkpoint *checkpoint,
                                        uint32_t index, const char **key,
                                        const char **value) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(checkpoint); !status.ok())
      return status;
    if (!key || !value)
      return usage("expected places for key and value, but got NULL");
    const auto &user = checkpoint->file->metadata().user;
    if (Status status = checkIndex(index, user.size(), "user entry"); !status.ok())
      return status;
    const auto entry = std::next(user.begin(), index);
    *key = entry->first.c_str();
    *value = entry->second.c_str();
    return {};
  });
}

rtorch_error *rtorch_checkpoint_warning_at(const rtorch_checkpoint *checkpoint,
                                           uint32_t index, const char **warning) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(checkpoint); !status.ok())
      return status;
    if (!warning)
      return usage("expected a place for the warning, but got NULL");
    const auto &warnings = checkpoint->file->metadata().warnings;
    if (Status status = checkIndex(index, warnings.size(), "warning"); !status.ok())
      return status;
    *warning = warnings[index].c_str();
    return {};
  });
}

namespace {

/// What a module that was loaded with a checkpoint's weights holds on to.
struct Weights {
  std::shared_ptr<const Checkpoint> file;
  std::vector<rtorch_named_tensor> tensors;
};

void releaseWeights(void *user) { delete static_cast<Weights *>(user); }

} // namespace

rtorch_error *rtorch_checkpoint_weights(const rtorch_checkpoint *checkpoint,
                                        rtorch_load_options *options) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(checkpoint); !status.ok())
      return status;
    if (Status status = checkStruct(options, "load options"); !status.ok())
      return status;
    auto weights = std::make_unique<Weights>();
    weights->file = checkpoint->file;
    for (const NamedTensor &named : checkpoint->file->names()) {
      rtorch_checkpoint_tensor tensor = RTORCH_CHECKPOINT_TENSOR_INIT;
      if (Status status = giveTensor(*checkpoint->file, named, &tensor); !status.ok())
        return status;
      if (tensor.value.kind != RTORCH_VALUE_TENSOR)
        return makeError(ErrorCode::CheckpointUnsupportedDtype,
                         text("tensor '", tensor.name, "' has dtype ",
                              tensor.dtype_name, ", which modules lack"));
      weights->tensors.push_back({sizeof(rtorch_named_tensor), tensor.requires_grad,
                                  tensor.name, tensor.value});
    }
    options->weights = weights->tensors.data();
    options->weight_count = uint32_t(weights->tensors.size());
    options->release = releaseWeights;
    options->release_user = weights.release();
    return {};
  });
}

rtorch_error *rtorch_checkpoint_load(const rtorch_checkpoint *checkpoint,
                                     const rtorch_named_tensor *tensors, uint32_t count,
                                     int32_t strict) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(checkpoint); !status.ok())
      return status;
    Borrowed borrowed;
    if (Status status = borrowed.add(tensors, count); !status.ok())
      return status;
    std::vector<ExpectedTensor> targets;
    for (size_t i = 0; i < borrowed.size(); ++i)
      targets.push_back({borrowed.name(i), borrowed.view(i)});
    return load(*checkpoint->file, targets, strict != 0);
  });
}

rtorch_error *rtorch_checkpoint_save(const char *path,
                                     const rtorch_named_tensor *tensors, uint32_t count,
                                     const rtorch_save_options *options) {
  return guarded([&]() -> Status {
    if (!path || !*path)
      return usage("expected the path of a checkpoint, but got none");
    Borrowed borrowed;
    if (Status status = borrowed.add(tensors, count); !status.ok())
      return status;
    SaveOptions wanted;
    wanted.writer = "rtorch " RTORCH_VERSION;
    if (Status status = readOptions(options, wanted); !status.ok())
      return status;
    std::vector<SavedTensor> saved;
    for (size_t i = 0; i < borrowed.size(); ++i)
      saved.push_back({borrowed.name(i), borrowed.view(i), borrowed.requiresGrad(i)});
    return save(path, saved, wanted);
  });
}
