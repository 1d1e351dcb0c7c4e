#include "tests/capi/misuse.h"

#include <array>

namespace rtorch::misuse {
namespace {

/// A tensor of four floats that fits, to be spoilt.
struct Named {
  std::array<float, 4> memory = {1, 2, 3, 4};
  std::array<int64_t, 2> sizes = {2, 2}, strides = {2, 1};
  rtorch_named_tensor tensor = RTORCH_NAMED_TENSOR_INIT;
  Named() {
    tensor.name = "w";
    tensor.value.kind = RTORCH_VALUE_TENSOR;
    tensor.value.dtype = RTORCH_FLOAT32;
    tensor.value.rank = 2;
    tensor.value.sizes = sizes.data();
    tensor.value.strides = strides.data();
    tensor.value.data = memory.data();
  }
};

using Spoil = std::function<void(Named &)>;

/// What is wrong with a tensor, whoever takes it.
std::vector<std::pair<const char *, Spoil>> badTensors() {
  std::vector<std::pair<const char *, Spoil>> out = {
      {"no name", [](Named &n) { n.tensor.name = nullptr; }},
      {"no kind", [](Named &n) { n.tensor.value.kind = RTORCH_VALUE_NONE; }},
      {"no sizes", [](Named &n) { n.tensor.value.sizes = nullptr; }},
      {"no memory", [](Named &n) { n.tensor.value.data = nullptr; }},
      {"a negative size", [](Named &n) { n.sizes[0] = -1; }},
      {"a negative stride", [](Named &n) { n.strides[0] = -1; }},
      {"the largest sizes", [](Named &n) { n.sizes = {INT64_MAX, INT64_MAX}; }},
      {"the largest stride", [](Named &n) { n.strides[0] = INT64_MAX; }},
      {"the largest rank", [](Named &n) { n.tensor.value.rank = kMany; }},
  };
  for (uint32_t size : {0U, 8U, kMany}) {
    out.emplace_back("struct_size of the tensor",
                     [=](Named &n) { n.tensor.struct_size = size; });
    out.emplace_back("struct_size of the value",
                     [=](Named &n) { n.tensor.value.struct_size = size; });
  }
  for (int32_t number : {-1, 10, INT32_MAX, INT32_MIN})
    out.emplace_back("no dtype", [=](Named &n) { n.tensor.value.dtype = number; });
  return out;
}

/// A checkpoint with the tensor "w" and one user entry.
rtorch_checkpoint *opened(const std::string &path) {
  Named named;
  const char *key = "key", *value = "value";
  rtorch_save_options options = RTORCH_SAVE_OPTIONS_INIT;
  options.user_count = 1;
  options.user_keys = &key;
  options.user_values = &value;
  rtorch_checkpoint *out = nullptr;
  rtorch_error_destroy(
      rtorch_checkpoint_save(path.c_str(), &named.tensor, 1, &options));
  rtorch_error_destroy(rtorch_checkpoint_open(path.c_str(), 0, &out));
  return out;
}

std::vector<Case> opens(const std::string &folder) {
  const auto open = [](const char *path, int32_t verify) {
    auto *file = reinterpret_cast<rtorch_checkpoint *>(1);
    const std::string code = codeOf(rtorch_checkpoint_open(path, verify, &file));
    if (code.empty())
      rtorch_checkpoint_destroy(file);
    return code.empty() || !file ? code : "a checkpoint is left";
  };
  const std::string good = folder + "/misuse.rtch", module = folder + "/scale.rtm";
  return {
      {"a good call", "", [=] { return open(good.c_str(), RTORCH_VERIFY_LAZY); }},
      {"no path", "RT_API_USAGE", [=] { return open(nullptr, 0); }},
      {"no place", "RT_API_USAGE",
       [=] { return codeOf(rtorch_checkpoint_open(good.c_str(), 0, nullptr)); }},
      {"no way to verify", "RT_API_USAGE", [=] { return open(good.c_str(), 3); }},
      {"a negative way to verify", "RT_API_USAGE",
       [=] { return open(good.c_str(), INT32_MIN); }},
      {"an empty path", "RT_CHECKPOINT_IO", [=] { return open("", 0); }},
      {"a folder", "RT_CHECKPOINT_NOT_RTCH", [=] { return open(folder.c_str(), 0); }},
      {"a device", "RT_CHECKPOINT_NOT_RTCH", [=] { return open("/dev/null", 0); }},
      {"a module", "RT_CHECKPOINT_NOT_RTCH", [=] { return open(module.c_str(), 0); }},
  };
}

std::vector<Case> saves(const std::string &folder) {
  const std::string path = folder + "/saved.rtch", good = folder + "/misuse.rtch";
  const auto save = [=](const Spoil &spoil) {
    return [=] {
      Named named;
      spoil(named);
      return codeOf(rtorch_checkpoint_save(path.c_str(), &named.tensor, 1, nullptr));
    };
  };
  const auto withOptions =
      [=](const std::function<void(rtorch_save_options &)> &spoil) {
        return [=] {
          Named named;
          rtorch_save_options options = RTORCH_SAVE_OPTIONS_INIT;
          spoil(options);
          return codeOf(
              rtorch_checkpoint_save(path.c_str(), &named.tensor, 1, &options));
        };
      };
  std::vector<Case> cases = {
      {"a good call", "", save([](Named &) {})},
      {"no strides", "", save([](Named &n) { n.tensor.value.strides = nullptr; })},
      {"no tensors", "",
       [=] {
         return codeOf(rtorch_checkpoint_save(path.c_str(), nullptr, 0, nullptr));
       }},
      {"no tensors, but a count", "RT_API_USAGE",
       [=] {
         return codeOf(rtorch_checkpoint_save(path.c_str(), nullptr, 1, nullptr));
       }},
      {"the largest count", "RT_CHECKPOINT_LIMIT",
       [=] {
         Named named;
         return codeOf(
             rtorch_checkpoint_save(path.c_str(), &named.tensor, kMany, nullptr));
       }},
      {"no path", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_save(nullptr, nullptr, 0, nullptr)); }},
      {"an empty path", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_save("", nullptr, 0, nullptr)); }},
      {"a folder that is not there", "RT_CHECKPOINT_IO",
       [=] {
         return codeOf(rtorch_checkpoint_save((folder + "/none/x.rtch").c_str(),
                                              nullptr, 0, nullptr));
       }},
      {"a folder as the file", "RT_CHECKPOINT_IO",
       [=] {
         return codeOf(rtorch_checkpoint_save(folder.c_str(), nullptr, 0, nullptr));
       }},
      {"a bad name", "RT_CHECKPOINT_BAD_META",
       save([](Named &n) { n.tensor.name = "\n"; })},
      {"options without their size", "RT_API_USAGE",
       withOptions([](auto &o) { o.struct_size = 0; })},
      {"no user entries, but a count", "RT_API_USAGE",
       withOptions([](auto &o) { o.user_count = kMany; })},
  };
  for (const auto &[what, spoil] : badTensors())
    cases.push_back({what, "RT_API_USAGE", save(spoil)});
  return cases;
}

std::vector<Case> loads(rtorch_checkpoint *file) {
  const auto load = [=](const Spoil &spoil, int32_t strict = 1) {
    return [=] {
      Named named;
      spoil(named);
      return codeOf(rtorch_checkpoint_load(file, &named.tensor, 1, strict));
    };
  };
  std::vector<Case> cases = {
      {"a good call", "", load([](Named &) {})},
      {"no checkpoint", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_load(nullptr, nullptr, 0, 0)); }},
      {"no tensors, but a count", "RT_API_USAGE",
       [=] { return codeOf(rtorch_checkpoint_load(file, nullptr, 1, 0)); }},
      {"no tensors", "",
       [=] { return codeOf(rtorch_checkpoint_load(file, nullptr, 0, 0)); }},
      {"no tensors, strictly", "RT_CHECKPOINT_MISMATCH",
       [=] { return codeOf(rtorch_checkpoint_load(file, nullptr, 0, 1)); }},
      {"another name", "RT_CHECKPOINT_MISMATCH",
       load([](Named &n) { n.tensor.name = "v"; })},
      {"another dtype", "RT_CHECKPOINT_MISMATCH",
       load([](Named &n) { n.tensor.value.dtype = RTORCH_INT32; })},
      {"another rank", "RT_CHECKPOINT_MISMATCH",
       load([](Named &n) { n.tensor.value.rank = 1; })},
  };
  for (const auto &[what, spoil] : badTensors())
    cases.push_back({what, "RT_API_USAGE", load(spoil)});
  return cases;
}

} // namespace

void addCheckpoints(Cases &cases, const std::string &folder) {
  // Lives as long as the cases: until the program ends.
  static rtorch_checkpoint *const file = opened(folder + "/misuse.rtch");
  static const auto at = [](rtorch_checkpoint *handle, uint32_t index, uint32_t size) {
    rtorch_checkpoint_tensor tensor = RTORCH_CHECKPOINT_TENSOR_INIT;
    tensor.struct_size = size;
    return codeOf(rtorch_checkpoint_tensor_at(handle, index, &tensor));
  };
  static const auto find = [](rtorch_checkpoint *handle, const char *name,
                              uint32_t size) {
    rtorch_checkpoint_tensor tensor = RTORCH_CHECKPOINT_TENSOR_INIT;
    tensor.struct_size = size;
    return codeOf(rtorch_checkpoint_find(handle, name, &tensor));
  };
  static const auto describe = [](rtorch_checkpoint *handle, uint32_t size) {
    rtorch_checkpoint_info info{};
    info.struct_size = size;
    return codeOf(rtorch_checkpoint_describe(handle, &info));
  };
  constexpr auto tensor = uint32_t(sizeof(rtorch_checkpoint_tensor));
  constexpr auto info = uint32_t(sizeof(rtorch_checkpoint_info));
  static const char *text = nullptr, *other = nullptr;
  cases["rtorch_checkpoint_open"] = opens(folder);
  cases["rtorch_checkpoint_save"] = saves(folder);
  cases["rtorch_checkpoint_load"] = loads(file);
  cases["rtorch_checkpoint_destroy"] = {
      {"nothing", "", [] { return (rtorch_checkpoint_destroy(nullptr), ""); }}};
  cases["rtorch_checkpoint_describe"] = {
      {"a good call", "", [] { return describe(file, info); }},
      {"no checkpoint", "RT_API_USAGE", [] { return describe(nullptr, info); }},
      {"no size", "RT_API_USAGE", [] { return describe(file, 0); }},
      {"too short", "RT_API_USAGE", [] { return describe(file, info - 8); }},
      {"a size never set", "RT_API_USAGE", [] { return describe(file, kMany); }},
      {"no info", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_describe(file, nullptr)); }},
  };
  cases["rtorch_checkpoint_tensor_at"] = {
      {"a good call", "", [] { return at(file, 0, tensor); }},
      {"no checkpoint", "RT_API_USAGE", [] { return at(nullptr, 0, tensor); }},
      {"an index out of range", "RT_API_USAGE", [] { return at(file, 1, tensor); }},
      {"the largest index", "RT_API_USAGE", [] { return at(file, kMany, tensor); }},
      {"no size", "RT_API_USAGE", [] { return at(file, 0, 0); }},
      {"no tensor", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_tensor_at(file, 0, nullptr)); }},
  };
  cases["rtorch_checkpoint_find"] = {
      {"a good call", "", [] { return find(file, "w", tensor); }},
      {"no such name", "RT_CHECKPOINT_MISMATCH",
       [] { return find(file, "v", tensor); }},
      {"no name", "RT_API_USAGE", [] { return find(file, nullptr, tensor); }},
      {"no checkpoint", "RT_API_USAGE", [] { return find(nullptr, "w", tensor); }},
      {"no size", "RT_API_USAGE", [] { return find(file, "w", 0); }},
  };
  cases["rtorch_checkpoint_user_at"] = {
      {"a good call", "",
       [] { return codeOf(rtorch_checkpoint_user_at(file, 0, &text, &other)); }},
      {"no checkpoint", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_user_at(nullptr, 0, &text, &other)); }},
      {"an index out of range", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_user_at(file, 1, &text, &other)); }},
      {"no places", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_user_at(file, 0, nullptr, nullptr)); }},
  };
  static const auto weights = [](rtorch_checkpoint *handle, uint32_t size) {
    rtorch_load_options options = RTORCH_LOAD_OPTIONS_INIT;
    options.struct_size = size;
    const std::string code = codeOf(rtorch_checkpoint_weights(handle, &options));
    if (options.release)
      options.release(options.release_user);
    return code;
  };
  cases["rtorch_checkpoint_weights"] = {
      {"a good call", "", [] { return weights(file, sizeof(rtorch_load_options)); }},
      {"no checkpoint", "RT_API_USAGE",
       [] { return weights(nullptr, sizeof(rtorch_load_options)); }},
      {"no size", "RT_API_USAGE", [] { return weights(file, 0); }},
      {"no options", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_weights(file, nullptr)); }},
  };
  cases["rtorch_checkpoint_warning_at"] = {
      {"no checkpoint", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_warning_at(nullptr, 0, &text)); }},
      {"an index out of range", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_warning_at(file, 0, &text)); }},
      {"no place", "RT_API_USAGE",
       [] { return codeOf(rtorch_checkpoint_warning_at(file, 0, nullptr)); }},
  };
}

} // namespace rtorch::misuse
