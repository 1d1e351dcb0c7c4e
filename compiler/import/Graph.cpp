#include "compiler/import/Graph.h"

#include <algorithm>

namespace rtorch::importer {
namespace {

struct ScalarTypeInfo {
  ScalarType type;
  unsigned size;
  std::string_view name;
};

constexpr ScalarTypeInfo kScalarTypes[] = {
    {ScalarType::Byte, 1, "uint8"},
    {ScalarType::Char, 1, "int8"},
    {ScalarType::Short, 2, "int16"},
    {ScalarType::Int, 4, "int32"},
    {ScalarType::Long, 8, "int64"},
    {ScalarType::Half, 2, "float16"},
    {ScalarType::Float, 4, "float32"},
    {ScalarType::Double, 8, "float64"},
    {ScalarType::ComplexHalf, 4, "complex32"},
    {ScalarType::ComplexFloat, 8, "complex64"},
    {ScalarType::ComplexDouble, 16, "complex128"},
    {ScalarType::Bool, 1, "bool"},
    {ScalarType::BFloat16, 2, "bfloat16"},
    {ScalarType::UInt16, 2, "uint16"},
    {ScalarType::Float8E4M3FN, 1, "float8_e4m3fn"},
    {ScalarType::Float8E5M2, 1, "float8_e5m2"},
    {ScalarType::Float8E4M3FNUZ, 1, "float8_e4m3fnuz"},
    {ScalarType::Float8E5M2FNUZ, 1, "float8_e5m2fnuz"},
    {ScalarType::Float8E8M0FNU, 1, "float8_e8m0fnu"},
    {ScalarType::UInt32, 4, "uint32"},
    {ScalarType::UInt64, 8, "uint64"},
};

const ScalarTypeInfo *findInfo(ScalarType type) {
  for (const ScalarTypeInfo &info : kScalarTypes)
    if (info.type == type)
      return &info;
  return nullptr;
}

std::string listOf(const std::vector<layout::Expr> &items) {
  std::string text = "[";
  for (const layout::Expr &item : items)
    text += (text.size() > 1 ? ", " : "") + item.str();
  return text + "]";
}

/// In the order of Argument's alternatives.
constexpr std::string_view kKindNames[] = {"None",
                                           "tensor",
                                           "tensor list",
                                           "optional tensor list",
                                           "nested list",
                                           "bool",
                                           "bool list",
                                           "int",
                                           "int list",
                                           "float",
                                           "float list",
                                           "complex",
                                           "string",
                                           "string list",
                                           "symbolic int",
                                           "symbolic int list",
                                           "symbolic float",
                                           "symbolic float list",
                                           "symbolic bool",
                                           "symbolic bool list",
                                           "dtype",
                                           "memory format",
                                           "layout",
                                           "device",
                                           "graph",
                                           "custom object",
                                           "operator",
                                           "list of int lists",
                                           "list of float lists",
                                           "dictionary"};
static_assert(std::size(kKindNames) == std::variant_size_v<Argument>);

} // namespace

unsigned itemSize(ScalarType type) {
  const ScalarTypeInfo *info = findInfo(type);
  return info ? info->size : 0;
}

std::string_view scalarTypeName(ScalarType type) {
  const ScalarTypeInfo *info = findInfo(type);
  return info ? info->name : "unknown";
}

std::string_view argumentKindName(const Argument &argument) {
  return kKindNames[argument.index()];
}

std::string TensorMeta::str() const {
  std::string text = std::string(scalarTypeName(dtype)) + listOf(sizes) + " strides " +
                     listOf(strides);
  return offset.isConstant(0) ? text : text + " offset " + offset.str();
}

std::string SourceLocation::str() const { return file + ":" + std::to_string(line); }

const Argument *Node::find(std::string_view argument) const {
  for (const NamedArgument &candidate : arguments)
    if (candidate.name == argument)
      return &candidate.value;
  return nullptr;
}

std::string Node::describe() const {
  std::string text = "'" + name + "' (" + op + ")";
  return source ? text + " at " + source->str() : text;
}

std::optional<ValueId> Graph::findValue(std::string_view name) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].name == name)
      return static_cast<ValueId>(i);
  return std::nullopt;
}

static std::optional<layout::Expr> exprOf(const Graph &graph, const SymIntRef &item) {
  if (!item.id)
    return layout::Expr(item.constant);
  return graph.value(*item.id).symInt()->expr;
}

std::optional<layout::Expr> Graph::intExpr(const Argument &argument) const {
  if (const auto *constant = std::get_if<int64_t>(&argument))
    return layout::Expr(*constant);
  if (const auto *symbolic = std::get_if<SymIntRef>(&argument))
    return exprOf(*this, *symbolic);
  return std::nullopt;
}

std::optional<std::vector<layout::Expr>>
Graph::intExprs(const Argument &argument) const {
  std::vector<layout::Expr> result;
  if (const auto *constants = std::get_if<std::vector<int64_t>>(&argument)) {
    result.assign(constants->begin(), constants->end());
    return result;
  }
  const auto *list = std::get_if<SymIntList>(&argument);
  if (!list) {
    std::optional<layout::Expr> single = intExpr(argument);
    if (!single)
      return std::nullopt;
    result.push_back(*single);
    return result;
  }
  for (const SymIntRef &item : list->items) {
    std::optional<layout::Expr> expr = exprOf(*this, item);
    if (!expr)
      return std::nullopt;
    result.push_back(std::move(*expr));
  }
  return result;
}

bool Program::isTrainingIr() const {
  return std::find(verifiers.begin(), verifiers.end(), "TRAINING") != verifiers.end();
}

const Payload *Program::payload(const InputSpec &input) const {
  bool inWeights = input.kind == InputSpec::Kind::Parameter ||
                   (input.kind == InputSpec::Kind::Buffer && input.persistent);
  bool inConstants = input.kind == InputSpec::Kind::TensorConstant ||
                     (input.kind == InputSpec::Kind::Buffer && !input.persistent);
  if (!inWeights && !inConstants)
    return nullptr;
  const std::map<std::string, Payload> &payloads = inWeights ? weights : constants;
  auto it = payloads.find(input.target);
  return it == payloads.end() ? nullptr : &it->second;
}

} // namespace rtorch::importer
