#include "dialects/rt/Rt.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

#include "dialects/rt/RtDialect.cpp.inc"
#include "dialects/rt/RtInterfaces.cpp.inc"

namespace rtorch::rt {

void RtDialect::initialize() {
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "dialects/rt/RtOps.cpp.inc"
      >();
}

layout::Guards guardsOf(Operation *op) {
  layout::Guards guards;
  auto symbols = op->getAttrOfType<ArrayAttr>(kSymbolsAttr);
  if (auto kernel = dyn_cast<KernelOp>(op))
    symbols = kernel.getSymbols();
  if (symbols)
    for (auto symbol : symbols.getAsRange<SymbolAttr>())
      guards.declare(symbol.getName().str(), {symbol.getMin(), symbol.getMax()},
                     symbol.getHint());
  if (auto checked = op->getAttrOfType<ArrayAttr>(kGuardsAttr))
    for (auto guard : checked.getAsRange<GuardAttr>())
      if (std::optional<layout::Relation> relation = relationNamed(guard.getRelation()))
        guards.assume(*relation, guard.getLhs().getValue(), guard.getRhs().getValue());
  return guards;
}

static constexpr llvm::StringLiteral kRelationNames[] = {"eq", "ne", "lt", "le"};

std::optional<layout::Relation> relationNamed(llvm::StringRef name) {
  for (auto [i, known] : llvm::enumerate(kRelationNames))
    if (name == known)
      return static_cast<layout::Relation>(i);
  return std::nullopt;
}

void addGuards(Operation *op, const layout::Guards &guards, llvm::StringRef source) {
  if (guards.recorded().empty())
    return;
  MLIRContext *context = op->getContext();
  SmallVector<Attribute> all;
  if (auto checked = op->getAttrOfType<ArrayAttr>(kGuardsAttr))
    llvm::append_range(all, checked);
  for (const layout::Guard &guard : guards.recorded()) {
    auto attr =
        GuardAttr::get(context, kRelationNames[static_cast<size_t>(guard.relation)],
                       ExprAttr::get(context, guard.lhs),
                       ExprAttr::get(context, guard.rhs), guard.reason, source);
    if (!llvm::is_contained(all, attr))
      all.push_back(attr);
  }
  op->setAttr(kGuardsAttr, ArrayAttr::get(context, all));
}

layout::Guards guardsAround(Operation *op) {
  while (op && !op->hasAttr(kSymbolsAttr) && !isa<KernelOp>(op))
    op = op->getParentOp();
  return op ? guardsOf(op) : layout::Guards();
}

std::string printDims(const layout::Dims &dims) {
  std::string text = "[";
  for (const layout::Expr &dim : dims)
    text += (text.size() > 1 ? ", " : "") + dim.str();
  return text + "]";
}

} // namespace rtorch::rt
