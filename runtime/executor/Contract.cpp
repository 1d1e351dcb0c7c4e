#include "runtime/executor/Contract.h"

#include "runtime/core/DType.h"
#include "runtime/core/ExprTable.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace rtorch::executor {

using core::ErrorCode;
using core::Status;
using core::TensorView;
using core::Value;
using format::Argument;
using format::ConstantValue;
using format::Manifest;
using format::text;

namespace {

/// "needed by 'conv2d' at net.py:12", in the message and as fields.
core::Error withOp(core::Error error, const Argument &argument) {
  if (!argument.needed_by.empty())
    error.message += text("; needed by '", argument.needed_by, "'");
  if (!argument.source.empty())
    error.message +=
        text(argument.needed_by.empty() ? "; needed at " : " at ", argument.source);
  error.node = argument.needed_by;
  error.source = argument.source;
  return error;
}

/// What an argument has to be, for messages.
std::string expectedKind(const Argument &argument) {
  if (argument.kind == Argument::Kind::Tensor)
    return text("a ", core::dtypeName(argument.tensor.dtype), " tensor of rank ",
                argument.tensor.sizes.size());
  if (argument.kind == Argument::Kind::Int)
    return "an integer";
  const ConstantValue &constant = argument.constant;
  switch (constant.kind) {
  case ConstantValue::Kind::None:
    return "None";
  case ConstantValue::Kind::Bool:
    return constant.integer ? "True" : "False";
  case ConstantValue::Kind::Int:
    return text(constant.integer);
  case ConstantValue::Kind::Float:
    return std::to_string(constant.real);
  case ConstantValue::Kind::String:
    return text("'", constant.string, "'");
  }
  return {};
}

std::string printValue(const Value &value) {
  switch (value.kind) {
  case Value::Kind::Bool:
    return value.integer ? "True" : "False";
  case Value::Kind::Int:
    return text(value.integer);
  case Value::Kind::Float:
    return std::to_string(value.real);
  case Value::Kind::String:
    return text("'", value.string ? value.string : "", "'");
  default:
    return core::kindName(value.kind);
  }
}

bool equals(const ConstantValue &constant, const Value &value) {
  switch (constant.kind) {
  case ConstantValue::Kind::None:
    return value.kind == Value::Kind::None;
  case ConstantValue::Kind::Bool:
    return value.kind == Value::Kind::Bool &&
           (constant.integer != 0) == (value.integer != 0);
  case ConstantValue::Kind::Int:
    return value.kind == Value::Kind::Int && constant.integer == value.integer;
  case ConstantValue::Kind::Float:
    return value.kind == Value::Kind::Float &&
           (constant.real == value.real ||
            (std::isnan(constant.real) && std::isnan(value.real)));
  case ConstantValue::Kind::String:
    return value.kind == Value::Kind::String && value.string &&
           constant.string == value.string;
  }
  return false;
}

core::Error mismatch(ErrorCode code, const std::string &what,
                     const std::string &expected, const std::string &got) {
  return core::makeError(code, text(what, ": expected ", expected, ", but got ", got));
}

/// Kind, dtype and rank of a tensor leaf; `what` gives its name when it fails.
template <typename Name>
Status checkTensorKind(const Value &value, const format::TensorSpec &spec,
                       const Name &what) {
  const TensorView &tensor = value.tensor;
  if (tensor.dtype != spec.dtype)
    return mismatch(ErrorCode::ArgumentDtype, what(),
                    text("dtype ", core::dtypeName(spec.dtype)),
                    core::dtypeName(tensor.dtype));
  if (tensor.sizes.size() != spec.sizes.size())
    return mismatch(ErrorCode::LayoutRank, what(), text("rank ", spec.sizes.size()),
                    text("rank ", tensor.sizes.size(), " (sizes ",
                         core::printList(tensor.sizes), ")"));
  return {};
}

Status checkKind(const Manifest &manifest, size_t index, const Value &value) {
  const Argument &argument = manifest.arguments[index];
  if (argument.kind == Argument::Kind::Constant) {
    if (equals(argument.constant, value))
      return {};
    return mismatch(ErrorCode::ArgumentValue, argumentName(manifest, index),
                    text(expectedKind(argument), ", which the module was compiled for"),
                    printValue(value));
  }
  const Value::Kind wanted =
      argument.kind == Argument::Kind::Int ? Value::Kind::Int : Value::Kind::Tensor;
  if (value.kind != wanted)
    return mismatch(ErrorCode::ArgumentKind, argumentName(manifest, index),
                    expectedKind(argument), core::kindName(value.kind));
  if (wanted == Value::Kind::Int)
    return {};
  return checkTensorKind(value, argument.tensor,
                         [&] { return argumentName(manifest, index); });
}

std::string symbolPlace(const Manifest &manifest, const format::Symbol &symbol) {
  std::string place = argumentName(manifest, symbol.argument);
  return symbol.dim < 0 ? place : text(place, ": dimension ", symbol.dim);
}

std::string printRange(const format::Symbol &symbol) {
  if (symbol.max == INT64_MAX)
    return text("at least ", symbol.min);
  return text(symbol.min, " to ", symbol.max);
}

/// "value for ", or "value 2*s0 + 1 for "
std::string printMultiple(const format::Symbol &symbol) {
  if (symbol.step == 1 && symbol.offset == 0)
    return "value for ";
  std::string formula = symbol.step == 1 ? "" : text(symbol.step, "*");
  formula += symbol.name;
  if (symbol.offset != 0)
    formula += symbol.offset < 0 ? text(" - ", 0 - uint64_t(symbol.offset))
                                 : text(" + ", symbol.offset);
  return text("value ", formula, " for ");
}

/// "8", or "8 (2*s0 for s0 = 4)" where the number comes from symbols.
std::string printExpected(const Manifest &manifest, const ShapePlan &plan,
                          format::ExprId id) {
  const std::string value = std::to_string(plan.value(id));
  const std::string expr = core::printExpr(manifest, id);
  if (expr == value)
    return value;
  return text(value, " (", expr, " for ", core::printSymbols(manifest, plan.symbols()),
              ")");
}

/// Strides that address something and differ from the specification: the first such
/// dimension, or the rank if there is none.
size_t firstWrongStride(const format::TensorSpec &spec, const ShapePlan &plan,
                        const TensorView &tensor) {
  const size_t rank = tensor.sizes.size();
  size_t wrong = rank;
  for (size_t d = 0; d < rank; ++d) {
    if (tensor.sizes[d] == 0)
      return rank;
    if (wrong == rank && tensor.sizes[d] != 1 &&
        tensor.strides[d] != plan.value(spec.strides[d]))
      wrong = d;
  }
  return wrong;
}

/// What every tensor with elements needs of its address.
template <typename Name>
Status checkAddress(const TensorView &tensor, size_t alignment, const Name &what) {
  if (core::isEmpty(tensor.sizes))
    return {};
  if (!tensor.data)
    return mismatch(ErrorCode::ArgumentNull, what(),
                    text("memory for sizes ", core::printList(tensor.sizes)),
                    "a null pointer");
  const auto address = reinterpret_cast<uintptr_t>(tensor.data);
  if (address % alignment != 0)
    return mismatch(ErrorCode::LayoutAlignment, what(),
                    text("an address that is a multiple of ", alignment),
                    text("one that is ", address % alignment, " bytes behind such"));
  return {};
}

template <typename Name>
core::Error strideError(const format::TensorSpec &spec, const ShapePlan &plan,
                        const Manifest &manifest, const TensorView &tensor, size_t dim,
                        const Name &what) {
  std::vector<int64_t> wanted;
  for (format::ExprId id : spec.strides)
    wanted.push_back(plan.value(id));
  return mismatch(ErrorCode::LayoutStride, text(what(), ": dimension ", dim),
                  text("stride ", printExpected(manifest, plan, spec.strides[dim])),
                  text(tensor.strides[dim], " (sizes ", core::printList(tensor.sizes),
                       ", strides ", core::printList(tensor.strides),
                       ", expected strides ", core::printList(wanted), ")"));
}

} // namespace

std::string argumentName(const Manifest &manifest, size_t index) {
  return text("argument ", index, " '", manifest.arguments[index].name, "'");
}

std::string resultName(const Manifest &manifest, size_t index) {
  return text("result ", index, " '", manifest.results[index].name, "'");
}

Status readSymbols(const Manifest &manifest, std::span<const Value> arguments,
                   std::span<int64_t> symbols) {
  if (arguments.size() != manifest.arguments.size())
    return mismatch(ErrorCode::ArgumentCount, "the call",
                    text(manifest.arguments.size(), " arguments"),
                    text(arguments.size()));
  for (size_t i = 0; i < arguments.size(); ++i)
    if (Status status = checkKind(manifest, i, arguments[i]); !status.ok())
      return status;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const format::Symbol &symbol = manifest.symbols[i];
    const Value &value = arguments[symbol.argument];
    const int64_t number =
        symbol.dim < 0 ? value.integer : value.tensor.sizes[size_t(symbol.dim)];
    if (symbol.dim >= 0 && number < 0)
      return mismatch(ErrorCode::LayoutSize, symbolPlace(manifest, symbol),
                      "a size of at least 0", text(number));
    // A number that is no multiple is left to checkSizes().
    int64_t multiple = 0;
    const bool overflows = __builtin_sub_overflow(number, symbol.offset, &multiple);
    symbols[i] = multiple / symbol.step;
    if (overflows || symbols[i] < symbol.min || symbols[i] > symbol.max)
      return mismatch(
          ErrorCode::LayoutRange, symbolPlace(manifest, symbol),
          text("a ", printMultiple(symbol), symbol.name, " of ", printRange(symbol)),
          text(number));
  }
  return {};
}

Status checkSymbolRanges(const Manifest &manifest, std::span<const int64_t> symbols) {
  for (size_t i = 0; i < symbols.size(); ++i) {
    const format::Symbol &symbol = manifest.symbols[i];
    if (symbols[i] < symbol.min || symbols[i] > symbol.max)
      return mismatch(ErrorCode::LayoutRange, text("symbol ", symbol.name),
                      printRange(symbol), text(symbols[i]));
  }
  return {};
}

Status checkSizes(const Manifest &manifest, const ShapePlan &plan,
                  std::span<const Value> arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Argument &argument = manifest.arguments[i];
    if (argument.kind == Argument::Kind::Int) {
      if (arguments[i].integer != plan.value(argument.value))
        return mismatch(ErrorCode::ArgumentValue, argumentName(manifest, i),
                        printExpected(manifest, plan, argument.value),
                        text(arguments[i].integer));
      continue;
    }
    if (argument.kind != Argument::Kind::Tensor)
      continue;
    const std::span<const int64_t> sizes = arguments[i].tensor.sizes;
    for (size_t d = 0; d < sizes.size(); ++d)
      if (sizes[d] != plan.value(argument.tensor.sizes[d]))
        return withOp(mismatch(ErrorCode::LayoutSize,
                               text(argumentName(manifest, i), ": dimension ", d),
                               text("size ", printExpected(manifest, plan,
                                                           argument.tensor.sizes[d])),
                               text(sizes[d], " (sizes ", core::printList(sizes), ")")),
                      argument);
  }
  return {};
}

Status checkPlacement(const Manifest &manifest, const ShapePlan &plan, size_t index,
                      const TensorView &tensor) {
  const Argument &argument = manifest.arguments[index];
  const auto name = [&] { return argumentName(manifest, index); };
  const size_t dim = firstWrongStride(argument.tensor, plan, tensor);
  if (dim != tensor.sizes.size())
    return withOp(strideError(argument.tensor, plan, manifest, tensor, dim, name),
                  argument);
  const size_t alignment =
      std::max<size_t>(argument.alignment, core::elementBytes(tensor.dtype));
  return checkAddress(tensor, alignment, name);
}

Status checkResultBuffer(const Manifest &manifest, const ShapePlan &plan, size_t index,
                         const Value &buffer) {
  const format::TensorSpec &spec = manifest.results[index].tensor;
  const auto name = [&] { return resultName(manifest, index); };
  const TensorView &tensor = buffer.tensor;
  if (Status status = checkTensorKind(buffer, spec, name); !status.ok())
    return status;
  for (size_t d = 0; d < tensor.sizes.size(); ++d)
    if (tensor.sizes[d] != plan.value(spec.sizes[d]))
      return mismatch(
          ErrorCode::LayoutSize, text(name(), ": dimension ", d),
          text("size ", printExpected(manifest, plan, spec.sizes[d])),
          text(tensor.sizes[d], " (sizes ", core::printList(tensor.sizes), ")"));
  const size_t dim = firstWrongStride(spec, plan, tensor);
  if (dim != tensor.sizes.size())
    return strideError(spec, plan, manifest, tensor, dim, name);
  return checkAddress(tensor, core::elementBytes(tensor.dtype), name);
}

} // namespace rtorch::executor
