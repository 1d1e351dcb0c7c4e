#include "tools/rtorch-run/Inputs.h"

#include <cmath>
#include <cstring>

namespace rtorch::run {
namespace {

using archive::NpyArray;

Error wrongType(size_t index, const ValueInfo &info, const std::string &expected,
                const NpyArray &array) {
  return {"RT_ARGUMENT_DTYPE",
          "argument " + std::to_string(index) + " '" + info.name + "': expected " +
              expected + ", but got the " + array.type.str() + " array '" + array.name +
              "'",
          {},
          {}};
}

/// The dtype of an array's elements; `wanted` decides what uint16 stands for.
std::optional<DType> dtypeOf(archive::NpyType type, DType wanted) {
  struct Row {
    char kind;
    uint8_t width;
    DType dtype;
  };
  static constexpr Row rows[] = {
      {'b', 1, DType::Bool},    {'u', 1, DType::UInt8},   {'i', 1, DType::Int8},
      {'i', 2, DType::Int16},   {'i', 4, DType::Int32},   {'i', 8, DType::Int64},
      {'f', 2, DType::Float16}, {'f', 4, DType::Float32}, {'f', 8, DType::Float64},
  };
  if (type.kind == 'u' && type.width == 2 && wanted == DType::BFloat16)
    return DType::BFloat16;
  for (const Row &row : rows)
    if (row.kind == type.kind && row.width == type.width)
      return row.dtype;
  return std::nullopt;
}

template <typename T> T load(const NpyArray &array) {
  T value;
  std::memcpy(&value, array.bytes.data(), sizeof value);
  return value;
}

/// The number in a 0-d array of integers.
int64_t integerOf(const NpyArray &array) {
  const bool isSigned = array.type.kind == 'i';
  switch (array.type.width) {
  case 1:
    return isSigned ? load<int8_t>(array) : load<uint8_t>(array);
  case 2:
    return isSigned ? load<int16_t>(array) : load<uint16_t>(array);
  case 4:
    return isSigned ? load<int32_t>(array) : int64_t(load<uint32_t>(array));
  default:
    return load<int64_t>(array);
  }
}

/// A leaf that is no tensor.
Expected<Value> scalarOf(size_t index, const ValueInfo &info, const NpyArray &array) {
  if (info.kind == RTORCH_VALUE_STRING && array.type == archive::NpyType{'u', 1})
    return Value(std::string(reinterpret_cast<const char *>(array.bytes.data()),
                             array.bytes.size()));
  if (!array.shape.empty())
    return wrongType(index, info, "a 0-d array", array);
  if (array.type.kind == 'b')
    return Value(load<uint8_t>(array) != 0);
  if (array.type.kind == 'i' || array.type.kind == 'u')
    return Value(integerOf(array));
  if (array.type.width == 2)
    return wrongType(index, info, "float32 or float64", array);
  const double real =
      array.type.width == 4 ? double(load<float>(array)) : load<double>(array);
  if (info.kind == RTORCH_VALUE_NONE && std::isnan(real))
    return Value();
  return Value(real);
}

Expected<Value> valueOf(size_t index, const ValueInfo &info, const NpyArray &array) {
  if (info.kind != RTORCH_VALUE_TENSOR)
    return scalarOf(index, info, array);
  const auto dtype = dtypeOf(array.type, info.dtype);
  if (!dtype)
    return wrongType(index, info,
                     std::string(dtypeName(info.dtype)) +
                         (info.dtype == DType::BFloat16 ? " as uint16 bits" : ""),
                     array);
  return Value(Tensor::borrow(*dtype, const_cast<std::byte *>(array.bytes.data()),
                              array.shape, array.strides));
}

} // namespace

Value Inputs::own(const Value &value, std::span<const std::byte> bytes) {
  const Tensor &tensor = value.tensor();
  // Aligned as Tensor::empty aligns, whatever the module asks for.
  Tensor memory = Tensor::empty(DType::UInt8, {int64_t(bytes.size())});
  auto *data = static_cast<std::byte *>(memory.raw());
  std::shared_ptr<std::byte[]> owner(std::make_shared<Tensor>(memory), data);
  copies_.push_back({bytes, owner});
  if (!bytes.empty())
    std::memcpy(data, bytes.data(), bytes.size());
  return Tensor::borrow(tensor.dtype(), data,
                        {tensor.sizes().begin(), tensor.sizes().end()},
                        {tensor.strides().begin(), tensor.strides().end()});
}

Expected<Inputs> Inputs::read(std::span<const NpyArray> arrays,
                              const ModuleInfo &info) {
  size_t constants = 0;
  for (const ValueInfo &argument : info.arguments)
    constants += argument.is_constant;
  const size_t count = info.arguments.size();
  const bool withoutConstants = constants != 0 && arrays.size() == count - constants;
  if (!withoutConstants && arrays.size() != count)
    return Error{"RT_ARGUMENT_COUNT",
                 "the inputs: expected " + std::to_string(count) + " arrays, but got " +
                     std::to_string(arrays.size()),
                 {},
                 {}};
  Inputs inputs;
  for (size_t i = 0, next = 0; i < count; ++i) {
    const ValueInfo &argument = info.arguments[i];
    if (withoutConstants && argument.is_constant) {
      inputs.values_.push_back(argument.constant);
      continue;
    }
    const NpyArray &array = arrays[next++];
    Expected<Value> value = valueOf(i, argument, array);
    if (!value)
      return value.error();
    inputs.values_.push_back(argument.is_mutated ? inputs.own(*value, array.bytes)
                                                 : *value);
  }
  return inputs;
}

void Inputs::restore() {
  for (const Copy &copy : copies_)
    if (!copy.original.empty())
      std::memcpy(copy.memory.get(), copy.original.data(), copy.original.size());
}

std::vector<int64_t> Inputs::symbols(const ModuleInfo &info) const {
  std::vector<int64_t> out;
  for (const SymbolInfo &symbol : info.symbols) {
    const Value &value = values_[symbol.argument];
    out.push_back(symbol.dim < 0 ? std::get<int64_t>(value.variant())
                                 : value.tensor().size(size_t(symbol.dim)));
  }
  return out;
}

} // namespace rtorch::run
