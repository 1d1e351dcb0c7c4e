// Checkpoints for C++20: a header over checkpoint.h; link librtorch_checkpoint.
//
//   rtorch::saveCheckpoint("w.rtch", {{"fc.weight", weight}, {"fc.bias", bias}});
//   auto checkpoint = rtorch::Checkpoint::open("w.rtch");
//   if (!checkpoint) return report(checkpoint.error());
//   auto weight = checkpoint->find("fc.weight");
#pragma once

#include "rtorch/checkpoint.h"
#include "rtorch/rtorch.hpp"

#include <map>

namespace rtorch {

/// When the bytes of tensors are compared with their checksums.
enum class Verify : int32_t {
  Full = RTORCH_VERIFY_FULL, // when the file is opened
  Lazy = RTORCH_VERIFY_LAZY, // each tensor when it is asked for first
  None = RTORCH_VERIFY_NONE,
};

/// A tensor of a checkpoint, in the mapped file.
struct CheckpointTensor {
  std::string name;
  std::string alias_of;   // the tensor that it is the same as, or empty
  std::string dtype_name; // the format's: "F32"
  bool requires_grad = false;
  uint64_t bytes = 0;
  std::optional<Tensor> tensor; // none where the runtime lacks the dtype; read only
};

struct SaveOptions {
  std::map<std::string, std::string> user = {}; // strings of the caller's
  bool skip_sync = false;                       // for tests and scratch files
};

namespace detail {

struct DestroyCheckpoint {
  void operator()(rtorch_checkpoint *checkpoint) const {
    rtorch_checkpoint_destroy(checkpoint);
  }
};

} // namespace detail

/// A checkpoint file, mapped. Copies share it; its tensors are valid as long as one of
/// them lives.
class Checkpoint final {
public:
  static Expected<Checkpoint> open(const std::filesystem::path &path,
                                   Verify verify = Verify::Full) {
    rtorch_checkpoint *checkpoint = nullptr;
    if (auto error = detail::take(
            rtorch_checkpoint_open(path.c_str(), int32_t(verify), &checkpoint)))
      return std::move(*error);
    return Checkpoint({checkpoint, detail::DestroyCheckpoint()});
  }

  /// Names, aliases included.
  uint32_t size() const { return info().tensor_count; }
  std::string writer() const { return info().writer; }
  /// Equal for checkpoints of equal content.
  std::string contentId() const { return info().content_id; }

  /// The index-th tensor in the order of names.
  Expected<CheckpointTensor> tensor(uint32_t index) const {
    rtorch_checkpoint_tensor raw = RTORCH_CHECKPOINT_TENSOR_INIT;
    return translate(rtorch_checkpoint_tensor_at(handle_.get(), index, &raw), raw);
  }
  Expected<CheckpointTensor> find(const std::string &name) const {
    rtorch_checkpoint_tensor raw = RTORCH_CHECKPOINT_TENSOR_INIT;
    return translate(rtorch_checkpoint_find(handle_.get(), name.c_str(), &raw), raw);
  }
  std::map<std::string, std::string> user() const {
    std::map<std::string, std::string> out;
    for (uint32_t i = 0; i < info().user_count; ++i) {
      const char *key = "", *value = "";
      rtorch_error_destroy(rtorch_checkpoint_user_at(handle_.get(), i, &key, &value));
      out[key] = value;
    }
    return out;
  }
  /// What a later version added to the file and this one leaves out.
  std::vector<std::string> warnings() const {
    std::vector<std::string> out;
    for (uint32_t i = 0; i < info().warning_count; ++i) {
      const char *warning = "";
      rtorch_error_destroy(rtorch_checkpoint_warning_at(handle_.get(), i, &warning));
      out.emplace_back(warning);
    }
    return out;
  }

  /// Copies into the tensors' memory, after comparing all names, dtypes and shapes: see
  /// rtorch_checkpoint_load.
  Expected<void> load(std::span<const NamedTensor> tensors, bool strict = true) const {
    const auto raw = detail::toC(tensors);
    if (auto error = detail::take(rtorch_checkpoint_load(handle_.get(), raw.data(),
                                                         uint32_t(raw.size()), strict)))
      return std::move(*error);
    return {};
  }

  /// All tensors as the weights of a module that was compiled without them:
  ///   Module::load("m.rtm", {.weights = *checkpoint->weights()})
  Expected<Weights> weights() const {
    Weights out{{}, handle_};
    for (uint32_t i = 0; i < size(); ++i) {
      Expected<CheckpointTensor> each = tensor(i);
      if (!each)
        return each.error();
      if (!each->tensor)
        return Error{"RT_CHECKPOINT_UNSUPPORTED_DTYPE",
                     "tensor '" + each->name + "' has dtype " + each->dtype_name +
                         ", which modules lack",
                     {},
                     {}};
      out.tensors.push_back({each->name, *each->tensor, each->requires_grad});
    }
    return out;
  }

  const rtorch_checkpoint *handle() const { return handle_.get(); }

private:
  explicit Checkpoint(std::shared_ptr<rtorch_checkpoint> handle)
      : handle_(std::move(handle)) {}

  rtorch_checkpoint_info info() const {
    return detail::ask<rtorch_checkpoint_info>(
        rtorch_checkpoint_describe,
        static_cast<const rtorch_checkpoint *>(handle_.get()));
  }
  static Expected<CheckpointTensor> translate(rtorch_error *failed,
                                              const rtorch_checkpoint_tensor &raw) {
    if (auto error = detail::take(failed))
      return std::move(*error);
    CheckpointTensor out{raw.name,       raw.alias_of,
                         raw.dtype_name, raw.requires_grad != 0,
                         raw.bytes,      std::nullopt};
    if (raw.value.kind == RTORCH_VALUE_TENSOR)
      out.tensor = detail::borrowFromC(raw.value);
    return out;
  }

  std::shared_ptr<rtorch_checkpoint> handle_;
};

/// Saves tensors of any strides; a crash leaves the old file or the new one. See
/// rtorch_checkpoint_save.
inline Expected<void> saveCheckpoint(const std::filesystem::path &path,
                                     std::span<const NamedTensor> tensors,
                                     const SaveOptions &options = {}) {
  const auto raw = detail::toC(tensors);
  std::vector<const char *> keys, values;
  for (const auto &[key, value] : options.user) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  rtorch_save_options wanted = RTORCH_SAVE_OPTIONS_INIT;
  wanted.user_count = uint32_t(keys.size());
  wanted.user_keys = keys.data();
  wanted.user_values = values.data();
  wanted.skip_sync = options.skip_sync;
  if (auto error = detail::take(rtorch_checkpoint_save(path.c_str(), raw.data(),
                                                       uint32_t(raw.size()), &wanted)))
    return std::move(*error);
  return {};
}
inline Expected<void> saveCheckpoint(const std::filesystem::path &path,
                                     std::initializer_list<NamedTensor> tensors,
                                     const SaveOptions &options = {}) {
  return saveCheckpoint(path, std::span(tensors.begin(), tensors.size()), options);
}

} // namespace rtorch
