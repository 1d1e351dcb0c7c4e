#include "compiler/codegen/kernel/Stages.h"

#include <set>

using namespace mlir;
using rtorch::rt::tensorType;

namespace rtorch::codegen {

bool isExpensive(Operation *op) {
  return isa<rt::ExpOp, rt::Exp2Op, rt::Expm1Op, rt::LogOp, rt::Log2Op, rt::Log10Op,
             rt::Log1pOp, rt::SinOp, rt::CosOp, rt::TanOp, rt::AsinOp, rt::AcosOp,
             rt::AtanOp, rt::Atan2Op, rt::SinhOp, rt::CoshOp, rt::TanhOp, rt::AsinhOp,
             rt::AcoshOp, rt::AtanhOp, rt::ErfOp, rt::ErfcOp, rt::SigmoidOp, rt::SiluOp,
             rt::GeluOp, rt::GeluTanhOp, rt::PowOp, rt::DivOp, rt::SqrtOp>(op);
}

namespace {

/// The stage that computes `op` if it is a reduction: one after the last stage that its
/// operand needs.
size_t depthOf(Value value, llvm::DenseMap<Operation *, size_t> &depths) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return 0;
  if (auto it = depths.find(op); it != depths.end())
    return it->second;
  size_t depth = 0;
  for (Value operand : op->getOperands())
    depth = std::max(depth, depthOf(operand, depths));
  return depths[op] = depth + (isa<rt::ReductionOpInterface>(op) ? 1 : 0);
}

/// Collects which stages evaluate which values.
void markUses(Value value, size_t stage,
              llvm::DenseMap<Value, std::set<size_t>> &uses) {
  Operation *op = value.getDefiningOp();
  if (!op || isa<rt::ReductionOpInterface>(op) || !uses[value].insert(stage).second)
    return;
  for (Value operand : op->getOperands())
    markUses(operand, stage, uses);
}

} // namespace

Stages Stages::of(rt::KernelOp kernel, const LoopNest &nest) {
  Stages stages;
  llvm::DenseMap<Operation *, size_t> depths;
  llvm::DenseMap<Value, std::set<size_t>> uses;
  for (Operation &op : kernel.getBlock()) {
    if (!isa<rt::ReductionOpInterface>(op))
      continue;
    size_t stage = depthOf(op.getResult(0), depths) - 1;
    if (stages.reductions.size() <= stage)
      stages.reductions.resize(stage + 1);
    stages.reductions[stage].push_back(&op);
    markUses(op.getOperand(0), stage, uses);
  }
  for (Value value : kernel.getYield().getOperands())
    markUses(value, stages.reductions.size(), uses);
  for (Operation &op : kernel.getBlock()) {
    if (op.getNumResults() != 1 || !isExpensive(&op))
      continue;
    Value value = op.getResult(0);
    const std::set<size_t> &in = uses[value];
    bool plain = !tensorType(value).getElementType().isInteger(1);
    if (in.size() > 1 && plain && tensorType(value).getSizes() == nest.sizes)
      stages.stored.push_back({value, *in.begin()});
  }
  return stages;
}

} // namespace rtorch::codegen
