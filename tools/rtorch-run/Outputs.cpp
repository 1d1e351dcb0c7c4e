#include "tools/rtorch-run/Outputs.h"

#include <cstring>

namespace rtorch::run {
namespace {

archive::NpyType typeOf(DType dtype) {
  switch (dtype) {
  case DType::Bool:
    return {'b', 1};
  case DType::UInt8:
    return {'u', 1};
  case DType::BFloat16:
    return {'u', 2};
  case DType::Float16:
  case DType::Float32:
  case DType::Float64:
    return {'f', uint8_t(elementBytes(dtype))};
  default:
    return {'i', uint8_t(elementBytes(dtype))};
  }
}

/// Appends the elements of dimensions d.. in row-major order.
void copyRows(const Tensor &tensor, size_t d, const std::byte *source,
              std::byte *&target) {
  const size_t width = elementBytes(tensor.dtype());
  if (d == tensor.sizes().size()) {
    std::memcpy(target, source, width);
    target += width;
    return;
  }
  const int64_t step = tensor.strides()[d] * int64_t(width);
  for (int64_t i = 0; i < tensor.size(d); ++i)
    copyRows(tensor, d + 1, source + i * step, target);
}

template <typename T> archive::NpyArray scalar(std::string name, char kind, T value) {
  auto array = archive::NpyArray::zeros(std::move(name), {kind, sizeof value}, {});
  std::memcpy(array.mutableBytes().data(), &value, sizeof value);
  return array;
}

} // namespace

archive::NpyArray copyOf(std::string name, const Tensor &tensor) {
  auto array = archive::NpyArray::zeros(std::move(name), typeOf(tensor.dtype()),
                                        {tensor.sizes().begin(), tensor.sizes().end()});
  if (tensor.numel() == 0)
    return array;
  auto *source = static_cast<const std::byte *>(tensor.raw());
  std::byte *target = array.mutableBytes().data();
  if (tensor.isRowMajor())
    std::memcpy(target, source, array.bytes.size());
  else
    copyRows(tensor, 0, source, target);
  return array;
}

Expected<std::vector<archive::NpyArray>>
collectOutputs(const ModuleInfo &info, std::span<const Value> arguments,
               std::span<const Value> results, const Instance &instance) {
  std::vector<archive::NpyArray> arrays;
  for (size_t i = 0; i < results.size(); ++i) {
    std::string name = "out_" + std::to_string(i);
    const auto &leaf = results[i].variant();
    if (results[i].isTensor())
      arrays.push_back(copyOf(std::move(name), results[i].tensor()));
    else if (auto *integer = std::get_if<int64_t>(&leaf))
      arrays.push_back(scalar(std::move(name), 'i', *integer));
    else if (auto *real = std::get_if<double>(&leaf))
      arrays.push_back(scalar(std::move(name), 'f', *real));
    else if (auto *truth = std::get_if<bool>(&leaf))
      arrays.push_back(scalar(std::move(name), 'b', uint8_t(*truth)));
    else if (auto *string = std::get_if<std::string>(&leaf))
      arrays.push_back(
          copyOf(std::move(name),
                 Tensor::borrow(DType::UInt8, const_cast<char *>(string->data()),
                                {int64_t(string->size())})));
  }
  for (size_t i = 0; i < arguments.size(); ++i)
    if (info.arguments[i].is_mutated)
      arrays.push_back(copyOf("after_" + std::to_string(i), arguments[i].tensor()));
  for (size_t i = 0; i < info.states.size(); ++i) {
    auto state = instance.state(uint32_t(i));
    if (!state)
      return state.error();
    arrays.push_back(copyOf("buf_" + info.states[i].name, *state));
  }
  return arrays;
}

} // namespace rtorch::run
