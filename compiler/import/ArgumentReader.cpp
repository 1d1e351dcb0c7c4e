#include "compiler/import/ArgumentReader.h"
#include "compiler/import/MetaReader.h"

namespace rtorch::importer {
namespace {

/// A constant given where a symbol may stand is a plain constant.
template <typename T> Argument simplify(const ScalarOperand<T> &operand) {
  if (operand.id)
    return operand;
  return operand.constant;
}

} // namespace

TensorRef ArgumentReader::tensor(const Json &value) {
  return json_.field(value, "name", [&](const Json &name) {
    return TensorRef{resolve_(json_.text(name), ValueKind::Tensor)};
  });
}

std::optional<TensorRef> ArgumentReader::optionalTensor(const Json &value) {
  return json_.unionMember(
      value, [&](std::string_view key, const Json &member) -> std::optional<TensorRef> {
        if (key == "as_none")
          return std::nullopt;
        if (key != "as_tensor")
          json_.fail("unknown kind of optional tensor");
        return tensor(member);
      });
}

template <typename T, typename ReadConstant>
ScalarOperand<T> ArgumentReader::scalar(const Json &value, ValueKind kind,
                                        std::string_view constantKey,
                                        ReadConstant &&readConstant) {
  return json_.unionMember(value, [&](std::string_view key, const Json &member) {
    ScalarOperand<T> result;
    if (key == "as_name")
      result.id = resolve_(json_.text(member), kind);
    else if (key == constantKey)
      result.constant = readConstant(member);
    else
      json_.fail("unknown kind of symbolic argument");
    return result;
  });
}

SymIntRef ArgumentReader::symInt(const Json &value) {
  return scalar<int64_t>(value, ValueKind::SymInt, "as_int",
                         [&](const Json &v) { return json_.integer(v); });
}
SymFloatRef ArgumentReader::symFloat(const Json &value) {
  return scalar<double>(value, ValueKind::SymFloat, "as_float",
                        [&](const Json &v) { return json_.number(v); });
}
SymBoolRef ArgumentReader::symBool(const Json &value) {
  return scalar<bool>(value, ValueKind::SymBool, "as_bool",
                      [&](const Json &v) { return json_.boolean(v); });
}

Argument ArgumentReader::readList(std::string_view key, const Json &value) {
  auto integer = [&](const Json &v) { return json_.integer(v); };
  auto number = [&](const Json &v) { return json_.number(v); };
  auto oneTensor = [&](const Json &v) { return tensor(v); };
  if (key == "as_tensors")
    return json_.listOf(value, oneTensor);
  if (key == "as_optional_tensors")
    return json_.listOf(value, [&](const Json &v) { return optionalTensor(v); });
  if (key == "as_nested_tensors")
    return json_.listOf(value,
                        [&](const Json &v) { return json_.listOf(v, oneTensor); });
  if (key == "as_ints")
    return json_.listOf(value, integer);
  if (key == "as_floats")
    return json_.listOf(value, number);
  if (key == "as_bools")
    return json_.listOf(value, [&](const Json &v) { return json_.boolean(v); });
  if (key == "as_strings")
    return json_.listOf(value, [&](const Json &v) { return json_.text(v); });
  if (key == "as_sym_ints")
    return SymIntList{json_.listOf(value, [&](const Json &v) { return symInt(v); })};
  if (key == "as_sym_floats")
    return SymFloatList{
        json_.listOf(value, [&](const Json &v) { return symFloat(v); })};
  if (key == "as_sym_bools")
    return SymBoolList{json_.listOf(value, [&](const Json &v) { return symBool(v); })};
  if (key == "as_int_lists")
    return json_.listOf(value, [&](const Json &v) { return json_.listOf(v, integer); });
  if (key == "as_float_lists")
    return json_.listOf(value, [&](const Json &v) { return json_.listOf(v, number); });
  return readSpecial(key, value);
}

Argument ArgumentReader::readSpecial(std::string_view key, const Json &value) {
  if (key == "as_scalar_type")
    return metas_.scalarType(value);
  if (key == "as_memory_format")
    return metas_.memoryFormat(value);
  if (key == "as_layout")
    return metas_.layoutKind(value);
  if (key == "as_device")
    return metas_.device(value);
  if (key == "as_operator")
    return OperatorRef{json_.text(value)};
  if (key == "as_custom_obj") {
    ValueId id = json_.field(value, "name", [&](const Json &name) {
      return resolve_(json_.text(name), ValueKind::CustomObject);
    });
    return CustomObjectRef{id, json_.textField(value, "class_fqn")};
  }
  if (key == "as_graph") {
    GraphRef nested;
    nested.name = json_.textField(value, "name");
    nested.graph = json_.field(value, "graph", subgraph_);
    return nested;
  }
  if (key == "as_string_to_argument") {
    auto map = std::make_shared<ArgumentMap>();
    json_.eachMember(value, [&](const std::string &name, const Json &v) {
      map->entries.emplace_back(name, read(v));
    });
    return map;
  }
  json_.fail("unknown kind of argument");
}

Argument ArgumentReader::readMember(std::string_view key, const Json &value) {
  if (key == "as_none")
    return None{};
  if (key == "as_tensor")
    return tensor(value);
  if (key == "as_optional_tensor") {
    std::optional<TensorRef> ref = optionalTensor(value);
    return ref ? Argument(*ref) : Argument(None{});
  }
  if (key == "as_int")
    return json_.integer(value);
  if (key == "as_float")
    return json_.number(value);
  if (key == "as_bool")
    return json_.boolean(value);
  if (key == "as_string")
    return json_.text(value);
  if (key == "as_sym_int")
    return simplify(symInt(value));
  if (key == "as_sym_float")
    return simplify(symFloat(value));
  if (key == "as_sym_bool")
    return simplify(symBool(value));
  if (key == "as_complex") {
    auto number = [&](const Json &v) { return json_.number(v); };
    double real = json_.field(value, "real", number);
    return std::complex<double>(real, json_.field(value, "imag", number));
  }
  return readList(key, value);
}

Argument ArgumentReader::read(const Json &value) {
  return json_.unionMember(value, [&](std::string_view key, const Json &member) {
    return readMember(key, member);
  });
}

} // namespace rtorch::importer
