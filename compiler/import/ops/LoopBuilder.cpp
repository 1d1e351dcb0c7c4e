#include "compiler/import/ops/LoopBuilder.h"

using namespace mlir;

namespace rtorch::translate {
namespace {

/// A symbol that counts a loop's rounds.
Expr declareRound(layout::Guards &guards, const Expr &trips) {
  std::string name;
  for (size_t i = 0; name.empty() || guards.ranges().contains(name); ++i)
    name = "i" + std::to_string(i);
  int64_t last = std::max<int64_t>(guards.rangeOf(trips).max, 1) - 1;
  guards.declare(name, {0, last}, 0);
  Expr round = Expr::symbol(name);
  guards.assume(layout::Relation::Lt, round, trips);
  return round;
}

Value rowMajorArgument(Block &block, Value init) {
  return block.addArgument(rt::tensorType(init).withRowMajorLayout(), init.getLoc());
}

/// Builds in a block of its own; gives what rt.next at its end passes on.
std::unique_ptr<Block> buildBlock(Emitter &e, std::unique_ptr<Block> block,
                                  const std::function<std::vector<Value>()> &body,
                                  std::vector<Value> &given) {
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToEnd(block.get());
  given = body();
  if (!llvm::all_of(given, [](Value value) { return bool(value); }))
    given.clear();
  rt::NextOp::create(e.builder, e.loc, ValueRange(given));
  return block;
}

/// A loop of one round is its body.
std::vector<Value> inlineRound(Emitter &e, const LoopSpec &loop, const Round &round) {
  std::vector<Value> carried;
  for (Value init : loop.inits)
    carried.push_back(e.withStrides(init, layout::contiguousStrides(sizesOf(init))));
  std::vector<Value> results = round(0, carried);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i])
      return {};
    // Nobody else's memory, as a loop's results.
    results[i] = e.cloneRowMajor(results[i]);
    if (i >= loop.inits.size())
      results[i] = e.unsqueeze(results[i], 0);
  }
  return results;
}

} // namespace

std::vector<Value> buildLoop(Emitter &e, const LoopSpec &loop, const Round &round) {
  if (!llvm::all_of(loop.inits, [](Value init) { return bool(init); }))
    return {};
  if (loop.trips.isConstant(1) && !loop.conditional)
    return inlineRound(e, loop, round);
  Expr number = declareRound(e.guards, loop.trips);
  auto block = std::make_unique<Block>();
  std::vector<Value> carried, given;
  for (Value init : loop.inits)
    carried.push_back(rowMajorArgument(*block, init));
  block =
      buildBlock(e, std::move(block), [&] { return round(number, carried); }, given);
  if (given.empty())
    return {};
  SmallVector<Type> types;
  for (auto [i, value] : llvm::enumerate(given)) {
    Dims sizes = sizesOf(value);
    if (i >= loop.inits.size())
      sizes.insert(sizes.begin(), loop.trips);
    types.push_back(rt::TensorType::get(e.loc.getContext(), sizes,
                                        rt::tensorType(value).getElementType()));
  }
  SmallVector<bool> reversed(loop.reversed.begin(), loop.reversed.end());
  auto op = rt::LoopOp::create(
      e.builder, e.loc, types, *number.symbolName(),
      rt::ExprAttr::get(e.loc.getContext(), loop.trips), ValueRange(loop.inits),
      SmallVector<int64_t>(reversed.size(), 0), reversed, loop.conditional, Value());
  op.getBody().push_back(block.release());
  return std::vector<Value>(op.result_begin(), op.result_end());
}

Value selectRound(Emitter &e, Value x, int64_t dim, const Expr &index) {
  if (!x)
    return x;
  layout::Layout layout = layout::selectIndex(layoutOf(x), dim, index);
  auto type = rt::TensorType::get(e.loc.getContext(), layout,
                                  rt::tensorType(x).getElementType());
  return rt::SelectOp::create(e.builder, e.loc, type, x, dim,
                              rt::ExprAttr::get(e.loc.getContext(), index));
}

std::vector<Value> buildBranch(Emitter &e, Value condition,
                               const std::function<std::vector<Value>()> &then,
                               const std::function<std::vector<Value>()> &otherwise) {
  if (!condition)
    return {};
  std::vector<Value> given, others;
  auto first = buildBlock(e, std::make_unique<Block>(), then, given);
  auto second = buildBlock(e, std::make_unique<Block>(), otherwise, others);
  if (given.empty() || others.size() != given.size())
    return {};
  SmallVector<Type> types;
  for (Value value : given) {
    layout::Layout layout = layoutOf(value);
    layout.strides = layout::preserveStrides(layout, e.guards);
    layout.offset = 0;
    types.push_back(rt::TensorType::get(e.loc.getContext(), layout,
                                        rt::tensorType(value).getElementType()));
  }
  auto op = rt::IfOp::create(e.builder, e.loc, types, condition);
  op.getThen().push_back(first.release());
  op.getOtherwise().push_back(second.release());
  return std::vector<Value>(op.result_begin(), op.result_end());
}

} // namespace rtorch::translate
