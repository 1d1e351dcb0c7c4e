#include "compiler/schedule/Passes.h"
#include "compiler/schedule/ViewChain.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using rtorch::layout::Answer;
using rtorch::layout::Expr;
using rtorch::rt::ExprAttr;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_PLANMEMORY
#include "compiler/schedule/Passes.h.inc"
namespace {

constexpr int64_t kAlignment = 64;

/// Bytes from a tensor's base to behind its last element, rounded up.
Expr bytesOf(TensorType type, const layout::Guards &guards) {
  Expr last = type.getOffset();
  for (auto [size, stride] : llvm::zip_equal(type.getSizes(), type.getStrides()))
    last += layout::max(size - 1, 0) * stride;
  Expr bytes = guards.simplify((last + 1) * type.getElementBytes());
  return layout::ceildiv(bytes, kAlignment) * kAlignment;
}

/// A place in the arena that tensors use one after the other.
struct Slot {
  Expr bytes;
  bool free = false;
};

class Planner {
public:
  Planner(Block &block, layout::Guards guards)
      : block_(block), guards_(std::move(guards)) {}

  /// Places every launch's results; gives the arena's size.
  Expr run();

private:
  void findLifetimes();
  size_t place(TensorType type);

  Block &block_;
  layout::Guards guards_;
  llvm::DenseMap<Value, size_t> lastUse_; // position of a root's last use
  llvm::DenseSet<Value> results_;         // roots that live in a result's memory
  std::vector<Slot> slots_;
};

void Planner::findLifetimes() {
  size_t position = 0;
  for (Operation &op : block_) {
    for (Value operand : op.getOperands()) {
      Value root = viewRoot(operand);
      lastUse_[root] = position;
      if (isa<rt::ReturnOp>(op))
        results_.insert(root);
    }
    ++position;
  }
}

/// A free slot that the tensor provably fits in, else the largest free one, grown; a
/// new one if none is free.
size_t Planner::place(TensorType type) {
  Expr bytes = bytesOf(type, guards_);
  std::optional<size_t> any;
  for (auto [i, slot] : llvm::enumerate(slots_)) {
    if (!slot.free)
      continue;
    if (guards_.query(layout::Relation::Le, bytes, slot.bytes) == Answer::Proven) {
      slot.free = false;
      return i;
    }
    any = i;
  }
  if (!any) {
    slots_.push_back({bytes, false});
    return slots_.size() - 1;
  }
  Slot &slot = slots_[*any];
  bool covers =
      guards_.query(layout::Relation::Le, slot.bytes, bytes) == Answer::Proven;
  slot.bytes = covers ? bytes : layout::max(slot.bytes, bytes);
  slot.free = false;
  return *any;
}

Expr Planner::run() {
  findLifetimes();
  llvm::DenseMap<Value, size_t> slotOf;
  size_t position = 0;
  for (Operation &op : block_) {
    if (auto launch = dyn_cast<rt::LaunchOp>(op))
      for (Value result : launch.getResults())
        if (!results_.contains(result))
          slotOf[result] = place(tensorType(result));
    // Results are placed before operands are freed: a kernel may not overwrite what it
    // still reads.
    for (auto [value, slot] : slotOf) {
      auto last = lastUse_.find(value);
      bool dies = last == lastUse_.end() ? value.getDefiningOp() == &op
                                         : last->second == position;
      if (dies)
        slots_[slot].free = true;
    }
    ++position;
  }
  SmallVector<Expr> starts{Expr(0)};
  for (const Slot &slot : slots_)
    starts.push_back(starts.back() + slot.bytes);
  Builder builder(block_.getParentOp()->getContext());
  for (auto launch : block_.getOps<rt::LaunchOp>()) {
    SmallVector<Attribute> places;
    for (Value result : launch.getResults()) {
      auto slot = slotOf.find(result);
      places.push_back(slot == slotOf.end()
                           ? Attribute(builder.getUnitAttr())
                           : ExprAttr::get(builder.getContext(), starts[slot->second]));
    }
    launch.setSlotsAttr(builder.getArrayAttr(places));
  }
  return starts.back();
}

struct PlanMemoryPass : impl::PlanMemoryBase<PlanMemoryPass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<FunctionOpInterface>()) {
      Planner planner(function.getFunctionBody().front(), rt::guardsOf(function));
      function->setAttr(kArenaAttr, ExprAttr::get(&getContext(), planner.run()));
    }
  }
};

} // namespace
} // namespace rtorch::schedule
