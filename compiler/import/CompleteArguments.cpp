#include "compiler/import/SchemaTable.h"

namespace rtorch::importer {
namespace {

using archive::makeError;
using archive::Status;

template <typename... Ts> bool isAny(const Argument &argument) {
  return (std::holds_alternative<Ts>(argument) || ...);
}

bool isNumber(const Argument &argument) {
  return isAny<bool, int64_t, double, std::complex<double>, SymIntRef, SymFloatRef,
               SymBoolRef>(argument);
}

/// Whether the schema's type takes the argument as one element; converts ints to
/// floats.
bool admitElement(SchemaType type, Argument &argument) {
  switch (type) {
  case SchemaType::Tensor:
    return isAny<TensorRef>(argument) || isNumber(argument);
  case SchemaType::Scalar:
    return isNumber(argument);
  case SchemaType::Int:
  case SchemaType::SymInt:
    return isAny<int64_t, SymIntRef>(argument);
  case SchemaType::Float:
  case SchemaType::SymFloat:
    if (const auto *number = std::get_if<int64_t>(&argument))
      argument = static_cast<double>(*number);
    return isAny<double, SymFloatRef, SymIntRef>(argument);
  case SchemaType::Bool:
  case SchemaType::SymBool:
    return isAny<bool, SymBoolRef>(argument);
  case SchemaType::String:
    return isAny<std::string>(argument);
  case SchemaType::ScalarType:
    return isAny<ScalarType>(argument);
  case SchemaType::Layout:
    return isAny<LayoutKind>(argument);
  case SchemaType::Device:
    return isAny<Device>(argument);
  case SchemaType::MemoryFormat:
    return isAny<MemoryFormat>(argument);
  case SchemaType::Other:
    return isAny<CustomObjectRef>(argument);
  default: // generators, storages, streams: no member of the union holds one
    return false;
  }
}

/// The exporter writes every empty list as `as_ints: []`.
bool isEmptyList(const Argument &argument) {
  const auto *list = std::get_if<std::vector<int64_t>>(&argument);
  return list && list->empty();
}

bool admitIntList(unsigned listSize, Argument &argument) {
  size_t repeat = std::max(listSize, 1u);
  if (const auto *number = std::get_if<int64_t>(&argument))
    argument = std::vector<int64_t>(repeat, *number);
  else if (const auto *symbol = std::get_if<SymIntRef>(&argument))
    argument = SymIntList{std::vector<SymIntRef>(repeat, *symbol)};
  return isAny<std::vector<int64_t>, SymIntList>(argument);
}

bool admitFloatList(Argument &argument) {
  if (const auto *ints = std::get_if<std::vector<int64_t>>(&argument))
    argument = std::vector<double>(ints->begin(), ints->end());
  return isAny<std::vector<double>, SymFloatList>(argument);
}

bool admitTensorList(bool hasOptionalElements, Argument &argument) {
  if (isEmptyList(argument))
    argument = TensorList{};
  if (!hasOptionalElements)
    return isAny<TensorList>(argument);
  if (const auto *tensors = std::get_if<TensorList>(&argument))
    argument = OptionalTensorList(tensors->begin(), tensors->end());
  return isAny<OptionalTensorList>(argument);
}

bool admitList(const SchemaArgument &schema, Argument &argument) {
  switch (schema.type) {
  case SchemaType::Tensor:
    return admitTensorList(schema.hasOptionalElements, argument);
  case SchemaType::Int:
  case SchemaType::SymInt:
    return admitIntList(schema.listSize, argument);
  case SchemaType::Float:
  case SchemaType::SymFloat:
    return admitFloatList(argument);
  case SchemaType::Bool:
  case SchemaType::SymBool:
    if (isEmptyList(argument))
      argument = std::vector<bool>{};
    return isAny<std::vector<bool>, SymBoolList>(argument);
  case SchemaType::String:
    if (isEmptyList(argument))
      argument = std::vector<std::string>{};
    return isAny<std::vector<std::string>>(argument);
  case SchemaType::Scalar:
    return isAny<std::vector<int64_t>, std::vector<double>, std::vector<bool>,
                 SymIntList, SymFloatList>(argument);
  default:
    return false;
  }
}

bool admit(const SchemaArgument &schema, Argument &argument) {
  if (schema.isOptional && std::holds_alternative<None>(argument))
    return true;
  return schema.isList ? admitList(schema, argument)
                       : admitElement(schema.type, argument);
}

Status completeInPlace(const OpSchema &schema, Node &node,
                       std::vector<NamedArgument> &complete) {
  auto refuse = [&](std::string_view argument, const std::string &why) {
    return makeError("node " + node.describe() + ": argument '" +
                     std::string(argument) + "' " + why);
  };
  std::vector<bool> isUsed(node.arguments.size());
  for (const SchemaArgument &expected : schema.arguments) {
    NamedArgument result{std::string(expected.name), {}, expected.keywordOnly, true};
    for (size_t i = 0; i < node.arguments.size(); ++i) {
      if (node.arguments[i].name != expected.name)
        continue;
      if (!result.isDefault)
        return refuse(expected.name, "is given twice");
      isUsed[i] = true;
      result.isDefault = false;
      result.value = node.arguments[i].value;
      if (!admit(expected, result.value))
        return refuse(expected.name, "is a " +
                                         std::string(argumentKindName(result.value)) +
                                         ", which the op's schema does not admit");
    }
    if (result.isDefault && !expected.defaultValue)
      return refuse(expected.name, "is missing");
    if (result.isDefault)
      result.value = *expected.defaultValue;
    complete.push_back(std::move(result));
  }
  for (size_t i = 0; i < isUsed.size(); ++i)
    if (!isUsed[i])
      return refuse(node.arguments[i].name, "is not in the op's schema");
  return {};
}

Status completeSubgraphs(Argument &argument) {
  if (auto *nested = std::get_if<GraphRef>(&argument))
    return completeArguments(*nested->graph);
  if (auto *map = std::get_if<std::shared_ptr<ArgumentMap>>(&argument))
    for (auto &[name, entry] : (*map)->entries)
      if (Status status = completeSubgraphs(entry); !status)
        return status;
  return {};
}

} // namespace

Status completeArguments(Node &node) {
  const OpSchema *schema = findSchema(node.op);
  if (!schema)
    return {};
  std::vector<NamedArgument> complete;
  complete.reserve(schema->arguments.size());
  if (Status status = completeInPlace(*schema, node, complete); !status)
    return status;
  node.arguments = std::move(complete);
  return {};
}

Status completeArguments(Graph &graph) {
  for (Node &node : graph.nodes) {
    if (Status status = completeArguments(node); !status)
      return status;
    for (NamedArgument &argument : node.arguments)
      if (Status status = completeSubgraphs(argument.value); !status)
        return status;
  }
  return {};
}

} // namespace rtorch::importer
