// What a checkpoint says about its tensors: the JSON behind the header.
#pragma once

#include "runtime/core/DType.h"
#include "runtime/core/Status.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rtorch::checkpoint {

inline constexpr size_t kMaxTensors = size_t(1) << 20;
inline constexpr size_t kMaxCheckpointRank = 16;
inline constexpr size_t kMaxNameBytes = 1024;

/// An element type of the format; some have no counterpart in the runtime.
struct FileDType {
  const char *name; // "F32"
  uint8_t bytes;
  std::optional<core::DType> dtype;
};
/// The type of that name; null if the format has none.
const FileDType *findDType(std::string_view name);
/// How the format calls a type of the runtime.
const FileDType &fileDTypeOf(core::DType dtype);

enum class Storage : uint8_t { RowMajor, ChannelsLast };

struct TensorEntry {
  std::string name;
  const FileDType *dtype = nullptr;
  std::vector<int64_t> shape;
  Storage layout = Storage::RowMajor;
  uint64_t offset = 0; // from the start of the payload
  uint64_t bytes = 0;
  uint32_t crc = 0;
  bool requires_grad = false;
};

struct Alias {
  std::string name;
  std::string of; // a tensor's name
};

struct Metadata {
  std::string writer;
  std::vector<TensorEntry> tensors; // sorted by name
  std::vector<Alias> aliases;       // sorted by name
  std::map<std::string, std::string> user;
  std::vector<std::string> warnings; // what later versions added, not understood here
};

/// Product of the sizes times the element's bytes; nullopt if that exceeds 2^53.
std::optional<uint64_t> byteSize(const FileDType &dtype,
                                 std::span<const int64_t> shape);

/// Strides, in elements, of a tensor of that shape and layout.
std::vector<int64_t> stridesOf(std::span<const int64_t> shape, Storage layout);

/// Whether the format allows it as the name of a tensor; else says why not.
std::optional<std::string> refuseName(std::string_view name);

/// Gives each tensor its offset, in order, aligned; returns the payload's bytes.
uint64_t layOut(std::vector<TensorEntry> &tensors, uint64_t align);

/// The canonical text: equal metadata gives equal bytes.
std::string toJson(const Metadata &metadata);

/// Reads and checks the text for a payload of `payloadBytes`, aligned to `align`.
/// Codes: CheckpointBadMeta, CheckpointLimit, CheckpointFeature.
core::Result<Metadata> parseMetadata(std::string_view text, uint64_t align,
                                     uint64_t payloadBytes);

} // namespace rtorch::checkpoint
