#include "runtime/checkpoint/Metadata.h"

#include "runtime/checkpoint/JsonReader.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <array>

namespace rtorch::checkpoint {

using core::DType;
using core::ErrorCode;
using format::text;

namespace {

/// The types with a counterpart first, in the order of core::DType.
constexpr std::array<FileDType, 17> kDTypes = {{
    {"BOOL", 1, DType::Bool},
    {"U8", 1, DType::U8},
    {"I8", 1, DType::I8},
    {"I16", 2, DType::I16},
    {"I32", 4, DType::I32},
    {"I64", 8, DType::I64},
    {"F16", 2, DType::F16},
    {"BF16", 2, DType::BF16},
    {"F32", 4, DType::F32},
    {"F64", 8, DType::F64},
    {"U16", 2, std::nullopt},
    {"U32", 4, std::nullopt},
    {"U64", 8, std::nullopt},
    {"C64", 8, std::nullopt},
    {"C128", 16, std::nullopt},
    {"F8_E4M3", 1, std::nullopt},
    {"F8_E5M2", 1, std::nullopt},
}};

uint64_t alignUp(uint64_t value, uint64_t align) {
  return (value + align - 1) / align * align;
}

std::string hex8(uint32_t value) {
  std::string out(8, '0');
  for (size_t i = 8; i-- > 0; value >>= 4)
    out[i] = "0123456789abcdef"[value & 15];
  return out;
}

std::optional<uint32_t> parseHex8(std::string_view word) {
  if (word.size() != 8)
    return std::nullopt;
  uint32_t value = 0;
  for (const char c : word) {
    const size_t digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos)
      return std::nullopt;
    value = value << 4 | uint32_t(digit);
  }
  return value;
}

} // namespace

const FileDType *findDType(std::string_view name) {
  const auto *found =
      std::ranges::find_if(kDTypes, [&](auto &each) { return name == each.name; });
  return found == kDTypes.end() ? nullptr : found;
}

const FileDType &fileDTypeOf(DType dtype) { return kDTypes[size_t(dtype)]; }

std::optional<uint64_t> byteSize(const FileDType &dtype,
                                 std::span<const int64_t> shape) {
  if (std::ranges::find(shape, 0) != shape.end())
    return 0;
  uint64_t bytes = dtype.bytes;
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(bytes, uint64_t(size), &bytes) ||
        bytes > kMaxInteger)
      return std::nullopt;
  return bytes;
}

std::vector<int64_t> stridesOf(std::span<const int64_t> shape, Storage layout) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  const auto give = [&](size_t dim) {
    strides[dim] = stride;
    stride *= std::max<int64_t>(shape[dim], 1);
  };
  const bool channels = layout == Storage::ChannelsLast;
  if (channels)
    give(1);
  for (size_t dim = shape.size(); dim-- > 0;)
    if (!channels || dim != 1)
      give(dim);
  return strides;
}

std::optional<std::string> refuseName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes)
    return text("expected a name of 1 to ", kMaxNameBytes, " bytes, but got ",
                name.size());
  if (name == "__metadata__")
    return "expected a name other than '__metadata__'";
  for (std::string_view rest = name; !rest.empty();) {
    const size_t length = utf8Length(rest);
    const auto byte = static_cast<unsigned char>(rest[0]);
    if (length == 0 || byte < 0x20 || byte == 0x7F)
      return "expected a name of UTF-8 without control characters";
    rest.remove_prefix(length);
  }
  return std::nullopt;
}

uint64_t layOut(std::vector<TensorEntry> &tensors, uint64_t align) {
  uint64_t end = 0;
  for (TensorEntry &tensor : tensors) {
    tensor.offset = alignUp(end, align);
    end = tensor.offset + tensor.bytes;
  }
  return end;
}

// --- Writing ------------------------------------------------------------------------

namespace {

void appendTensor(std::string &out, const TensorEntry &tensor) {
  out += text("{\"crc32c\":\"", hex8(tensor.crc), "\",\"dtype\":\"", tensor.dtype->name,
              "\",\"layout\":\"",
              tensor.layout == Storage::ChannelsLast ? "channels_last" : "row_major",
              "\",\"len\":", tensor.bytes, ",\"name\":");
  appendJson(out, tensor.name);
  out += text(",\"off\":", tensor.offset,
              ",\"requires_grad\":", tensor.requires_grad ? "true" : "false",
              ",\"shape\":[");
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    out += text(i ? "," : "", tensor.shape[i]);
  out += "]}";
}

} // namespace

std::string toJson(const Metadata &metadata) {
  std::string out = "{\"aliases\":[";
  for (const Alias &alias : metadata.aliases) {
    out += &alias == metadata.aliases.data() ? "{\"name\":" : ",{\"name\":";
    appendJson(out, alias.name);
    out += ",\"of\":";
    appendJson(out, alias.of);
    out += '}';
  }
  out += "],\"format\":\"rtch\",\"kind\":\"state_dict\",\"tensors\":[";
  for (const TensorEntry &tensor : metadata.tensors) {
    if (&tensor != metadata.tensors.data())
      out += ',';
    appendTensor(out, tensor);
  }
  out += "],\"user\":{";
  bool first = true;
  for (const auto &[key, value] : metadata.user) {
    out += first ? "" : ",";
    first = false;
    appendJson(out, key);
    out += ':';
    appendJson(out, value);
  }
  out += "},\"writer\":";
  appendJson(out, metadata.writer);
  return out + '}';
}

// --- Reading ------------------------------------------------------------------------

namespace {

class Parser {
public:
  explicit Parser(std::string_view text) : json_(text) {}

  core::Result<Metadata> run(uint64_t align, uint64_t payloadBytes);

private:
  void member(const std::string &key);
  void tensor();
  void tensorMember(const std::string &key, TensorEntry &tensor);
  void complete(TensorEntry &tensor);
  void alias();
  void shape(TensorEntry &tensor);
  void layout(TensorEntry &tensor);
  void later(const std::string &key);
  void require(std::string_view key);
  void checkAliases();
  void checkPlaces(uint64_t align, uint64_t payloadBytes);
  void checkName(std::string_view name) {
    if (!json_.failed())
      if (auto reason = refuseName(name))
        json_.fail(*reason);
  }
  void refuse(ErrorCode code, std::string_view message) {
    if (!json_.failed())
      code_ = code;
    json_.fail(message);
  }

  JsonReader json_;
  Metadata metadata_;
  std::set<std::string> seen_;        // members of the document
  std::set<std::string> tensor_seen_; // members of the tensor that is read
  std::set<std::string> ignored_;     // unknown members, once each
  ErrorCode code_ = ErrorCode::CheckpointBadMeta;
};

/// A member that a later minor version may have added.
void Parser::later(const std::string &key) {
  json_.skip();
  constexpr size_t kMaxWarnings = 16;
  if (!json_.failed() && ignored_.size() < kMaxWarnings && ignored_.insert(key).second)
    metadata_.warnings.push_back(text("'", key, "' is not understood, and left out"));
}

void Parser::require(std::string_view key) {
  if (!json_.failed() && !seen_.contains(std::string(key)))
    json_.fail(text("expected the member '", key, "'"));
}

void Parser::shape(TensorEntry &tensor) {
  json_.array([&](size_t index) {
    if (index >= kMaxCheckpointRank)
      return refuse(ErrorCode::CheckpointLimit,
                    text("expected at most ", kMaxCheckpointRank, " dims"));
    tensor.shape.push_back(int64_t(json_.integer()));
  });
}

void Parser::layout(TensorEntry &tensor) {
  const std::string name = json_.string();
  if (name == "channels_last")
    tensor.layout = Storage::ChannelsLast;
  else if (name.starts_with("blocked:"))
    refuse(ErrorCode::CheckpointFeature, "blocked layouts are not supported");
  else if (name != "row_major")
    json_.fail("expected row_major or channels_last");
}

void Parser::tensorMember(const std::string &key, TensorEntry &tensor) {
  if (key == "name") {
    tensor.name = json_.string();
    checkName(tensor.name);
  } else if (key == "dtype") {
    tensor.dtype = findDType(json_.string());
    if (!tensor.dtype)
      json_.fail("expected a dtype of the format");
  } else if (key == "shape") {
    shape(tensor);
  } else if (key == "layout") {
    layout(tensor);
  } else if (key == "off") {
    tensor.offset = json_.integer();
  } else if (key == "len") {
    tensor.bytes = json_.integer();
  } else if (key == "crc32c") {
    const auto crc = parseHex8(json_.string());
    if (!crc)
      json_.fail("expected eight hexadecimal digits in lower case");
    tensor.crc = crc.value_or(0);
  } else if (key == "requires_grad") {
    tensor.requires_grad = json_.boolean();
  } else {
    later(key);
  }
}

void Parser::complete(TensorEntry &tensor) {
  for (const char *key : {"name", "dtype", "shape", "off", "len", "crc32c"})
    if (!json_.failed() && !tensor_seen_.contains(key))
      json_.fail(text("expected the member '", key, "'"));
  if (json_.failed())
    return;
  const size_t rank = tensor.shape.size();
  if (tensor.layout == Storage::ChannelsLast && rank != 4 && rank != 5)
    json_.fail(text("expected rank 4 or 5 for channels_last, but got ", rank));
  const auto bytes = byteSize(*tensor.dtype, tensor.shape);
  if (!bytes)
    json_.fail("its size does not fit into 2^53 bytes");
  else if (*bytes != tensor.bytes)
    json_.fail(text("expected len ", *bytes, ", but got ", tensor.bytes));
  else if (!metadata_.tensors.empty() && !(metadata_.tensors.back().name < tensor.name))
    json_.fail("expected tensors to be sorted by name");
}

void Parser::tensor() {
  if (metadata_.tensors.size() >= kMaxTensors)
    return refuse(ErrorCode::CheckpointLimit,
                  text("expected at most ", kMaxTensors, " tensors"));
  TensorEntry tensor;
  tensor_seen_.clear();
  json_.object([&](const std::string &key) {
    tensor_seen_.insert(key);
    tensorMember(key, tensor);
  });
  complete(tensor);
  if (!json_.failed())
    metadata_.tensors.push_back(std::move(tensor));
}

void Parser::alias() {
  if (metadata_.aliases.size() >= kMaxTensors)
    return refuse(ErrorCode::CheckpointLimit,
                  text("expected at most ", kMaxTensors, " aliases"));
  Alias alias;
  json_.object([&](const std::string &key) {
    if (key == "name") {
      alias.name = json_.string();
      checkName(alias.name);
    } else if (key == "of") {
      alias.of = json_.string();
    } else {
      later(key);
    }
  });
  if (json_.failed())
    return;
  if (alias.name.empty() || alias.of.empty())
    return json_.fail("expected the members 'name' and 'of'");
  if (!metadata_.aliases.empty() && !(metadata_.aliases.back().name < alias.name))
    return json_.fail("expected aliases to be sorted by name");
  metadata_.aliases.push_back(std::move(alias));
}

void Parser::member(const std::string &key) {
  seen_.insert(key);
  if (key == "format") {
    if (json_.string() != "rtch")
      json_.fail("expected \"rtch\"");
  } else if (key == "kind") {
    const std::string kind = json_.string();
    if (kind == "train_state" || kind == "shard")
      refuse(ErrorCode::CheckpointFeature,
             text("expected the kind \"state_dict\", but got \"", kind, "\""));
    else if (kind != "state_dict")
      json_.fail("expected \"state_dict\"");
  } else if (key == "writer") {
    metadata_.writer = json_.string();
  } else if (key == "tensors") {
    json_.array([&](size_t) { tensor(); });
  } else if (key == "aliases") {
    json_.array([&](size_t) { alias(); });
  } else if (key == "user") {
    json_.object(
        [&](const std::string &name) { metadata_.user[name] = json_.string(); });
  } else if (key == "state") {
    refuse(ErrorCode::CheckpointFeature, "a state_dict has no training state");
  } else {
    later(key);
  }
}

void Parser::checkAliases() {
  const auto named = [&](const std::string &name) {
    return std::ranges::binary_search(metadata_.tensors, name, {}, &TensorEntry::name);
  };
  for (const Alias &alias : metadata_.aliases) {
    if (named(alias.name))
      json_.fail(text("the name '", alias.name, "' occurs twice"));
    if (!named(alias.of))
      json_.fail(text("'", alias.name, "' is an alias of '", alias.of,
                      "', which is no tensor"));
  }
}

void Parser::checkPlaces(uint64_t align, uint64_t payloadBytes) {
  uint64_t end = 0;
  for (const TensorEntry &tensor : metadata_.tensors) {
    const uint64_t expected = alignUp(end, align);
    if (tensor.offset != expected)
      return json_.fail(text("tensor '", tensor.name, "': expected off ", expected,
                             ", but got ", tensor.offset));
    end = expected + tensor.bytes;
    if (end > kMaxInteger)
      return json_.fail("the payload does not fit into 2^53 bytes");
  }
  if (end != payloadBytes)
    json_.fail(text("the tensors end at byte ", end, " of a payload of ", payloadBytes,
                    " bytes"));
}

core::Result<Metadata> Parser::run(uint64_t align, uint64_t payloadBytes) {
  json_.object([&](const std::string &key) { member(key); });
  json_.finish();
  for (const char *key : {"format", "kind", "writer", "tensors"})
    require(key);
  if (!json_.failed())
    checkAliases();
  if (!json_.failed())
    checkPlaces(align, payloadBytes);
  if (json_.failed())
    return core::makeError(code_, text("metadata: ", json_.problem()));
  return std::move(metadata_);
}

} // namespace

core::Result<Metadata> parseMetadata(std::string_view text, uint64_t align,
                                     uint64_t payloadBytes) {
  return Parser(text).run(align, payloadBytes);
}

} // namespace rtorch::checkpoint
