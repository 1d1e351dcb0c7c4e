#include "compiler/import/ops/Call.h"

#include <algorithm>

using namespace rtorch::importer;
using mlir::Type;

namespace rtorch::translate {

using mlir::Value;

int64_t wrapDim(int64_t dim, int64_t rank) {
  return dim < 0 ? dim + std::max<int64_t>(rank, 1) : dim;
}

std::optional<Scalar> scalarOf(const Graph &graph, const Argument &argument) {
  if (auto *value = std::get_if<bool>(&argument))
    return Scalar::of(*value);
  if (auto *value = std::get_if<int64_t>(&argument))
    return Scalar::of(*value);
  if (auto *value = std::get_if<double>(&argument))
    return Scalar::of(*value);
  if (auto *ref = std::get_if<SymFloatRef>(&argument)) {
    if (!ref->id)
      return Scalar::of(ref->constant);
    const SymFloat *value = graph.value(*ref->id).symFloat();
    return value && value->expr ? std::optional(Scalar::of(*value->expr))
                                : std::nullopt;
  }
  if (auto *ref = std::get_if<SymBoolRef>(&argument)) {
    if (!ref->id)
      return Scalar::of(ref->constant);
    const SymBool *value = graph.value(*ref->id).symBool();
    if (value && value->expr && value->expr->kind == BoolExpr::Kind::Constant)
      return Scalar::of(value->expr->value);
    return std::nullopt;
  }
  if (std::optional<Expr> expr = graph.intExpr(argument))
    return Scalar::of(*expr);
  return std::nullopt;
}

std::vector<ValueId> referencesOf(const Argument &argument) {
  std::vector<ValueId> ids;
  if (auto *ref = std::get_if<TensorRef>(&argument))
    ids.push_back(ref->id);
  if (auto *list = std::get_if<TensorList>(&argument))
    for (TensorRef ref : *list)
      ids.push_back(ref.id);
  if (auto *list = std::get_if<OptionalTensorList>(&argument))
    for (const std::optional<TensorRef> &ref : *list)
      if (ref)
        ids.push_back(ref->id);
  if (auto *lists = std::get_if<NestedTensorList>(&argument))
    for (const TensorList &list : *lists)
      for (TensorRef ref : list)
        ids.push_back(ref.id);
  auto add = [&](const auto &operand) {
    if (operand.id)
      ids.push_back(*operand.id);
  };
  if (auto *ref = std::get_if<SymIntRef>(&argument))
    add(*ref);
  if (auto *ref = std::get_if<SymFloatRef>(&argument))
    add(*ref);
  if (auto *ref = std::get_if<SymBoolRef>(&argument))
    add(*ref);
  if (auto *list = std::get_if<SymIntList>(&argument))
    std::ranges::for_each(list->items, add);
  if (auto *list = std::get_if<SymFloatList>(&argument))
    std::ranges::for_each(list->items, add);
  if (auto *list = std::get_if<SymBoolList>(&argument))
    std::ranges::for_each(list->items, add);
  return ids;
}

Value Call::lookup(TensorRef ref) {
  Value value = lookup_(ref.id);
  if (!value)
    error() << "uses '" << graph.value(ref.id).name << "', which is not computed";
  return value;
}

Value Call::tensor(std::string_view name) {
  const Argument *argument = node.find(name);
  if (argument && std::holds_alternative<TensorRef>(*argument))
    return lookup(std::get<TensorRef>(*argument));
  if (argument)
    if (std::optional<Scalar> value = numberOf(*argument))
      return full(*value, value->defaultDtype());
  error() << "expects a tensor for the argument '" << llvm::StringRef(name)
          << "', but got "
          << llvm::StringRef(argument ? argumentKindName(*argument) : "nothing");
  return {};
}

Value Call::optionalTensor(std::string_view name) {
  return isNone(name) ? Value() : tensor(name);
}

std::vector<Value> Call::tensors(std::string_view name) {
  std::vector<Value> values;
  const Argument *argument = node.find(name);
  if (auto *list = argument ? std::get_if<TensorList>(argument) : nullptr)
    for (TensorRef ref : *list)
      values.push_back(lookup(ref));
  return values;
}

std::vector<Value> Call::optionalTensors(std::string_view name) {
  const Argument *argument = node.find(name);
  auto *list = argument ? std::get_if<OptionalTensorList>(argument) : nullptr;
  if (!list)
    return tensors(name);
  std::vector<Value> values;
  for (const std::optional<TensorRef> &ref : *list)
    values.push_back(ref ? lookup(*ref) : Value());
  return values;
}

Operand Call::operand(std::string_view name) {
  const Argument *argument = node.find(name);
  if (argument && !std::holds_alternative<TensorRef>(*argument))
    if (std::optional<Scalar> value = numberOf(*argument))
      return {{}, *value};
  return {tensor(name), {}};
}

bool Call::isNone(std::string_view name) const {
  const Argument *argument = node.find(name);
  return !argument || std::holds_alternative<None>(*argument);
}

std::optional<Scalar> Call::scalar(std::string_view name) const {
  const Argument *argument = node.find(name);
  return argument ? numberOf(*argument) : std::nullopt;
}

std::optional<Scalar> Call::numberOf(const Argument &argument) const {
  std::optional<Scalar> value = scalarOf(graph, argument);
  if (value)
    value->floatDtype = defaultFloat();
  return value;
}

ScalarType Call::defaultFloat() const {
  for (const Argument &output : node.outputs)
    if (auto *ref = std::get_if<TensorRef>(&output))
      if (const TensorMeta *meta = graph.value(ref->id).tensor())
        return isFloat(meta->dtype) ? meta->dtype : ScalarType::Float;
  return ScalarType::Float;
}

void Call::refuse(std::string_view name) const {
  error() << "expects a number for the argument '" << llvm::StringRef(name)
          << "' that is known when compiling, but got one that a dynamic size tells";
  refused_ = true;
}

int64_t Call::known(const Expr &value, std::string_view name) const {
  std::optional<int64_t> number = value.constant();
  if (!number)
    refuse(name);
  return number.value_or(1);
}

std::optional<double> Call::real(std::string_view name) const {
  std::optional<Scalar> number = scalar(name);
  if (!number)
    return std::nullopt;
  std::optional<double> constant = number->constant();
  if (!constant)
    refuse(name);
  return constant.value_or(1);
}

std::optional<int64_t> Call::integer(std::string_view name) const {
  std::optional<Expr> value = expr(name);
  return value ? std::optional(known(*value, name)) : std::nullopt;
}

bool Call::boolean(std::string_view name, bool otherwise) const {
  const Argument *argument = node.find(name);
  auto *value = argument ? std::get_if<bool>(argument) : nullptr;
  return value ? *value : otherwise;
}

std::string_view Call::string(std::string_view name) const {
  const Argument *argument = node.find(name);
  auto *value = argument ? std::get_if<std::string>(argument) : nullptr;
  return value ? std::string_view(*value) : std::string_view();
}

std::optional<Expr> Call::expr(std::string_view name) const {
  const Argument *argument = node.find(name);
  return argument ? graph.intExpr(*argument) : std::nullopt;
}

Dims Call::exprs(std::string_view name) const {
  const Argument *argument = node.find(name);
  std::optional<Dims> list = argument ? graph.intExprs(*argument) : std::nullopt;
  return list.value_or(Dims());
}

std::vector<int64_t> Call::integers(std::string_view name) const {
  std::vector<int64_t> values;
  for (const Expr &value : exprs(name))
    values.push_back(known(value, name));
  return values;
}

std::optional<ScalarType> Call::dtype(std::string_view name) const {
  const Argument *argument = node.find(name);
  auto *value = argument ? std::get_if<ScalarType>(argument) : nullptr;
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<importer::MemoryFormat> Call::memoryFormat(std::string_view name) const {
  const Argument *argument = node.find(name);
  auto *value = argument ? std::get_if<importer::MemoryFormat>(argument) : nullptr;
  return value ? std::optional(*value) : std::nullopt;
}

int64_t Call::dim(std::string_view name, int64_t rank) const {
  return wrapDim(integer(name).value_or(0), rank);
}

std::vector<int64_t> Call::dims(std::string_view name, int64_t rank) const {
  std::vector<int64_t> dims = integers(name);
  if (dims.empty())
    return allDims(rank);
  for (int64_t &dim : dims)
    dim = wrapDim(dim, rank);
  std::ranges::sort(dims);
  // Rank 0 accepts dims 0 and -1, which name nothing.
  if (rank == 0)
    dims.clear();
  return dims;
}

bool Call::isUsed(size_t index) const {
  auto *ref = index < node.outputs.size() ? std::get_if<TensorRef>(&node.outputs[index])
                                          : nullptr;
  return ref && used_[ref->id];
}

size_t Call::resultCount() const {
  if (node.outputs.size() == 1)
    if (auto *list = std::get_if<TensorList>(&node.outputs.front()))
      return list->size();
  return node.outputs.size();
}

} // namespace rtorch::translate
