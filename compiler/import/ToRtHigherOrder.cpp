// Loops and branches of the graph: cond, while_loop, scan and map.
#include "compiler/import/ToRtParts.h"
#include "compiler/import/ops/LoopBuilder.h"

using namespace mlir;
using rtorch::layout::Answer;
using rtorch::layout::Relation;
using rtorch::translate::Emitter;

namespace rtorch::importer {
namespace {

using Values = std::vector<mlir::Value>;

/// Translates one higher-order node.
class HigherOrder {
public:
  HigherOrder(Emitter &e, const Graph &graph, const Node &node,
              const translate::Call::Lookup &lookup, const TranslateBody &body)
      : e_(e), graph_(graph), node_(node), lookup_(lookup), translateBody_(body) {}

  FailureOr<Values> run();

private:
  const Argument &argument(size_t index) const { return node_.arguments[index].value; }
  const Graph &body(size_t index) const {
    return *std::get<GraphRef>(argument(index)).graph;
  }
  Values tensors(size_t index) const;
  /// What a body gives for these operands; empty where an error was reported.
  Values call(size_t index, const Values &operands) {
    FailureOr<Values> results = translateBody_(body(index), operands);
    return succeeded(results) ? *results : Values();
  }

  FailureOr<Values> branch();
  FailureOr<Values> whileLoop();
  FailureOr<Values> scan();
  FailureOr<Values> map();
  /// The slices that a round sees, and what every round sees as it is.
  Values sliced(const Values &stacks, const layout::Expr &round, const Values &whole);
  FailureOr<layout::Expr> tripsOf(const Values &stacks) const;
  std::optional<bool> decide(const BoolExpr &expr) const;
  mlir::Value boolTensor(const BoolExpr &expr);
  mlir::Value scalarBool(mlir::Value value);

  Emitter &e_;
  const Graph &graph_;
  const Node &node_;
  const translate::Call::Lookup &lookup_;
  const TranslateBody &translateBody_;
};

FailureOr<Values> resultsOr(Values results) {
  if (results.empty())
    return failure();
  return results;
}

/// The tensors of an argument. Numbers among the operands of a body are expressions
/// that it knows already: they take a place without a value.
Values HigherOrder::tensors(size_t index) const {
  Values values;
  if (index >= node_.arguments.size())
    return values;
  if (auto *list = std::get_if<TensorList>(&argument(index)))
    for (TensorRef ref : *list)
      values.push_back(lookup_(ref.id));
  else if (auto *ref = std::get_if<TensorRef>(&argument(index)))
    values.push_back(lookup_(ref->id));
  else if (auto *numbers = std::get_if<SymIntList>(&argument(index)))
    values.resize(numbers->items.size());
  else if (auto *numbers = std::get_if<std::vector<int64_t>>(&argument(index)))
    values.resize(numbers->size());
  return values;
}

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

std::optional<bool> HigherOrder::decide(const BoolExpr &expr) const {
  auto relation = [&](Relation relation) -> std::optional<bool> {
    Answer answer = e_.guards.query(relation, expr.lhs, expr.rhs);
    return answer == Answer::Open ? std::nullopt
                                  : std::optional(answer == Answer::Proven);
  };
  switch (expr.kind) {
  case BoolExpr::Kind::Constant:
    return expr.value;
  case BoolExpr::Kind::Eq:
    return relation(Relation::Eq);
  case BoolExpr::Kind::Ne:
    return relation(Relation::Ne);
  case BoolExpr::Kind::Lt:
    return relation(Relation::Lt);
  case BoolExpr::Kind::Le:
    return relation(Relation::Le);
  case BoolExpr::Kind::Not: {
    std::optional<bool> operand = decide(expr.operands.front());
    return operand ? std::optional(!*operand) : std::nullopt;
  }
  case BoolExpr::Kind::And:
  case BoolExpr::Kind::Or:
    break;
  }
  bool isAnd = expr.kind == BoolExpr::Kind::And, open = false;
  for (const BoolExpr &operand : expr.operands) {
    std::optional<bool> decided = decide(operand);
    if (decided && *decided != isAnd)
      return !isAnd;
    open |= !decided;
  }
  return open ? std::nullopt : std::optional(isAnd);
}

/// A condition over sizes, computed when the module runs.
mlir::Value HigherOrder::boolTensor(const BoolExpr &expr) {
  auto number = [&](const layout::Expr &value) {
    return e_.full(translate::Scalar::of(value), ScalarType::Long);
  };
  switch (expr.kind) {
  case BoolExpr::Kind::Constant:
    return e_.full(translate::Scalar::of(expr.value), ScalarType::Bool);
  case BoolExpr::Kind::Eq:
    return e_.compare<rt::EqOp>(number(expr.lhs), number(expr.rhs));
  case BoolExpr::Kind::Ne:
    return e_.compare<rt::NeOp>(number(expr.lhs), number(expr.rhs));
  case BoolExpr::Kind::Lt:
    return e_.compare<rt::LtOp>(number(expr.lhs), number(expr.rhs));
  case BoolExpr::Kind::Le:
    return e_.compare<rt::LeOp>(number(expr.lhs), number(expr.rhs));
  case BoolExpr::Kind::Not:
    return e_.unary<rt::LogicalNotOp>(boolTensor(expr.operands.front()));
  case BoolExpr::Kind::And:
  case BoolExpr::Kind::Or:
    break;
  }
  bool isAnd = expr.kind == BoolExpr::Kind::And;
  mlir::Value result = e_.full(translate::Scalar::of(isAnd), ScalarType::Bool);
  for (const BoolExpr &operand : expr.operands) {
    mlir::Value value = boolTensor(operand);
    result = isAnd ? e_.binary<rt::BitwiseAndOp>(result, value)
                   : e_.binary<rt::BitwiseOrOp>(result, value);
  }
  return result;
}

/// A bool of one element as one of rank 0.
mlir::Value HigherOrder::scalarBool(mlir::Value value) {
  return value && translate::rankOf(value) != 0 ? e_.reshape(value, {}) : value;
}

// (condition, body if true, body if false, operands)
FailureOr<Values> HigherOrder::branch() {
  Values operands = tensors(3);
  mlir::Value condition;
  std::optional<bool> known;
  if (auto *ref = std::get_if<TensorRef>(&argument(0))) {
    condition = scalarBool(lookup_(ref->id));
  } else if (auto *constant = std::get_if<bool>(&argument(0))) {
    known = *constant;
  } else {
    const BoolExpr &expr =
        *graph_.value(*std::get<SymBoolRef>(argument(0)).id).symBool()->expr;
    known = decide(expr);
    if (!known)
      condition = boolTensor(expr);
  }
  if (known)
    return resultsOr(call(*known ? 1 : 2, operands));
  return resultsOr(buildBranch(
      e_, condition, [&] { return call(1, operands); },
      [&] { return call(2, operands); }));
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

// (condition's body, body, carried values, operands)
FailureOr<Values> HigherOrder::whileLoop() {
  Values carried = tensors(2), operands = tensors(3);
  auto withOperands = [&](ArrayRef<mlir::Value> values) {
    Values all(values.begin(), values.end());
    all.insert(all.end(), operands.begin(), operands.end());
    return all;
  };
  auto condition = [&](ArrayRef<mlir::Value> values) {
    Values result = call(0, withOperands(values));
    return result.size() == 1 ? scalarBool(result.front()) : mlir::Value();
  };
  translate::LoopSpec loop;
  loop.trips = INT64_MAX;
  loop.conditional = true;
  loop.inits = {condition(carried)};
  loop.inits.insert(loop.inits.end(), carried.begin(), carried.end());
  Values results =
      buildLoop(e_, loop, [&](const layout::Expr &, ArrayRef<mlir::Value> values) {
        Values next = call(1, withOperands(values.drop_front()));
        if (next.size() != carried.size())
          return Values();
        next.insert(next.begin(), condition(next));
        return next;
      });
  if (!results.empty())
    results.erase(results.begin());
  return resultsOr(std::move(results));
}

Values HigherOrder::sliced(const Values &stacks, const layout::Expr &round,
                           const Values &whole) {
  Values operands;
  for (mlir::Value stack : stacks)
    operands.push_back(translate::selectRound(e_, stack, 0, round));
  operands.insert(operands.end(), whole.begin(), whole.end());
  return operands;
}

/// The size of dim 0 that all stacks have.
FailureOr<layout::Expr> HigherOrder::tripsOf(const Values &stacks) const {
  for (mlir::Value stack : stacks)
    if (!stack || translate::rankOf(stack) == 0 ||
        translate::sizeOf(stack, 0) != translate::sizeOf(stacks.front(), 0)) {
      e_.error() << "expects tensors of equal sizes in dim 0 to run over";
      return failure();
    }
  if (stacks.empty()) {
    e_.error() << "expects tensors to run over, but got none";
    return failure();
  }
  return translate::sizeOf(stacks.front(), 0);
}

// (body, initial carried values, stacks, operands)
FailureOr<Values> HigherOrder::scan() {
  Values stacks = tensors(2), operands = tensors(3);
  FailureOr<layout::Expr> trips = tripsOf(stacks);
  if (failed(trips))
    return failure();
  translate::LoopSpec loop;
  loop.trips = *trips;
  loop.inits = tensors(1);
  size_t given = body(0).outputs.size(), carried = loop.inits.size();
  loop.reversed.resize(given - std::min(given, carried));
  return resultsOr(
      buildLoop(e_, loop, [&](const layout::Expr &round, ArrayRef<mlir::Value> values) {
        Values all(values.begin(), values.end());
        Values rest = sliced(stacks, round, operands);
        all.insert(all.end(), rest.begin(), rest.end());
        return call(0, all);
      }));
}

// (body, stacks, operands)
FailureOr<Values> HigherOrder::map() {
  Values stacks = tensors(1), operands = tensors(2);
  FailureOr<layout::Expr> trips = tripsOf(stacks);
  if (failed(trips))
    return failure();
  translate::LoopSpec loop;
  loop.trips = *trips;
  loop.reversed.resize(body(0).outputs.size());
  return resultsOr(
      buildLoop(e_, loop, [&](const layout::Expr &round, ArrayRef<mlir::Value>) {
        return call(0, sliced(stacks, round, operands));
      }));
}

FailureOr<Values> HigherOrder::run() {
  if (node_.op == "higher_order.cond")
    return branch();
  if (node_.op == "higher_order.while_loop")
    return whileLoop();
  return node_.op == "higher_order.scan" ? scan() : map();
}

/// The places of the bodies among the arguments; no places for another op.
ArrayRef<size_t> bodyPlaces(llvm::StringRef op) {
  static constexpr size_t cond[] = {1, 2}, whileLoop[] = {0, 1}, one[] = {0};
  if (op == "higher_order.cond")
    return cond;
  if (op == "higher_order.while_loop")
    return whileLoop;
  if (op == "higher_order.scan" || op == "higher_order.map_impl")
    return one;
  return {};
}

} // namespace

bool isLoopOrBranch(const Node &node) { return !bodyPlaces(node.op).empty(); }

SmallVector<const Graph *> bodiesOf(const Node &node) {
  SmallVector<const Graph *> bodies;
  for (size_t place : bodyPlaces(node.op))
    if (place < node.arguments.size())
      if (auto *body = std::get_if<GraphRef>(&node.arguments[place].value))
        bodies.push_back(body->graph.get());
  return bodies;
}

std::string refuseLoopOrBranch(const Node &node) {
  SmallVector<const Graph *> bodies = bodiesOf(node);
  if (bodies.size() != bodyPlaces(node.op).size())
    return "bodies are expected among its arguments";
  for (const Graph *body : bodies)
    for (const Argument &output : body->outputs)
      if (!std::holds_alternative<TensorRef>(output))
        return "a body gives a " + std::string(argumentKindName(output)) +
               ", and not a tensor";
  size_t carried = node.op == "higher_order.while_loop" ? 2 : 1;
  if (node.op == "higher_order.cond") {
    const Argument &condition = node.arguments[0].value;
    if (!std::holds_alternative<TensorRef>(condition) &&
        !std::holds_alternative<SymBoolRef>(condition) &&
        !std::holds_alternative<bool>(condition))
      return "a condition of another kind than a bool";
  } else if (carried >= node.arguments.size() ||
             !std::holds_alternative<TensorList>(node.arguments[carried].value)) {
    return "carried values that are not tensors";
  }
  return {};
}

FailureOr<Values> translateLoopOrBranch(Emitter &e, const Graph &graph,
                                        const Node &node,
                                        const translate::Call::Lookup &lookup,
                                        const TranslateBody &body) {
  return HigherOrder(e, graph, node, lookup, body).run();
}

} // namespace rtorch::importer
