#include "compiler/import/PinStrides.h"

namespace rtorch::importer {

using layout::Expr;

namespace {

using Numbers = std::map<std::string, Expr>;

void put(BoolExpr &condition, const Numbers &numbers) {
  condition.lhs = condition.lhs.substitute(numbers);
  condition.rhs = condition.rhs.substitute(numbers);
  for (BoolExpr &operand : condition.operands)
    put(operand, numbers);
}

void put(TensorMeta &meta, const Numbers &numbers) {
  for (Expr &size : meta.sizes)
    size = size.substitute(numbers);
  for (Expr &stride : meta.strides)
    stride = stride.substitute(numbers);
  meta.offset = meta.offset.substitute(numbers);
}

void put(RealExpr &expr, const Numbers &numbers) {
  expr.integer = expr.integer.substitute(numbers);
  for (RealExpr &operand : expr.operands)
    put(operand, numbers);
}

void put(Value &value, const Numbers &numbers) {
  if (auto *meta = std::get_if<TensorMeta>(&value.type))
    put(*meta, numbers);
  else if (auto *number = std::get_if<SymInt>(&value.type); number && number->expr)
    number->expr = number->expr->substitute(numbers);
  else if (auto *real = std::get_if<SymFloat>(&value.type); real && real->expr)
    put(*real->expr, numbers);
  else if (auto *truth = std::get_if<SymBool>(&value.type); truth && truth->expr)
    put(*truth->expr, numbers);
}

void put(Graph &graph, const Numbers &numbers) {
  for (Value &value : graph.values)
    put(value, numbers);
  for (Node &node : graph.nodes)
    for (NamedArgument &argument : node.arguments)
      if (auto *body = std::get_if<GraphRef>(&argument.value))
        put(*body->graph, numbers);
}

/// Calls `visit` with each user input that is a tensor or an integer.
template <typename Visit> void eachUserInput(const Program &program, Visit visit) {
  for (const InputSpec &input : program.inputs) {
    if (input.kind != InputSpec::Kind::UserInput)
      continue;
    if (auto *tensor = std::get_if<TensorRef>(&input.argument))
      visit(program.graph.value(tensor->id));
    else if (auto *number = std::get_if<SymIntRef>(&input.argument);
             number && number->id)
      visit(program.graph.value(*number->id));
  }
}

} // namespace

void pinStrideSymbols(Program &program) {
  Numbers numbers;
  eachUserInput(program, [&](const Value &value) {
    if (!value.tensor())
      return;
    std::vector<Expr> places = value.tensor()->strides;
    places.push_back(value.tensor()->offset);
    for (const Expr &place : places)
      if (std::optional<std::string> symbol = place.symbolName())
        if (auto hint = program.hints.find(*symbol); hint != program.hints.end())
          numbers.emplace(*symbol, hint->second);
  });
  eachUserInput(program, [&](const Value &value) {
    if (value.tensor())
      for (const Expr &size : value.tensor()->sizes)
        numbers.erase(size.symbolName().value_or(""));
    else if (value.symInt() && value.symInt()->expr)
      numbers.erase(value.symInt()->expr->symbolName().value_or(""));
  });
  if (numbers.empty())
    return;
  put(program.graph, numbers);
  for (const auto &[symbol, number] : numbers)
    program.ranges.erase(symbol);
}

} // namespace rtorch::importer
