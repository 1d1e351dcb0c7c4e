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
  explicit Planner(layout::Guards guards) : guards_(std::move(guards)) {}

  /// Places the results of every launch, and every buffer, of the function; gives the
  /// arena's size.
  Expr run(Block &block);

private:
  using Lifetimes = llvm::DenseMap<Value, Operation *>;
  Lifetimes findLifetimes(Block &block) const;
  void plan(Block &block);
  size_t place(TensorType type);
  void setSlots(Block &block);

  layout::Guards guards_;
  llvm::DenseSet<Value> results_; // roots that live in a result's memory
  llvm::DenseMap<Value, size_t> slotOf_;
  std::vector<Slot> slots_;
};

/// The op of `block` that uses, or holds what uses, a root of the block last.
Planner::Lifetimes Planner::findLifetimes(Block &block) const {
  Lifetimes last;
  for (Operation &op : block)
    op.walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (Value root = viewRoot(operand); root.getParentBlock() == &block)
          last[root] = &op;
    });
  return last;
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

/// The values of a block that may get a place: results of launches, buffers.
SmallVector<Value> placedBy(Operation &op) {
  if (isa<rt::LaunchOp, rt::BufferOp>(op))
    return SmallVector<Value>(op.getResults());
  return {};
}

/// Places the values of a block and of the blocks inside it. What is in use around a
/// loop or branch stays so during the whole of it.
void Planner::plan(Block &block) {
  Lifetimes last = findLifetimes(block);
  SmallVector<Value> live;
  for (Operation &op : block) {
    for (Value value : placedBy(op))
      if (!results_.contains(value)) {
        slotOf_[value] = place(tensorType(value));
        live.push_back(value);
      }
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        plan(inner);
    // Results are placed before operands are freed: a kernel may not overwrite what it
    // still reads.
    llvm::erase_if(live, [&](Value value) {
      auto use = last.find(value);
      Operation *end = use == last.end() ? value.getDefiningOp() : use->second;
      if (end != &op)
        return false;
      slots_[slotOf_.lookup(value)].free = true;
      return true;
    });
  }
}

void Planner::setSlots(Block &block) {
  SmallVector<Expr> starts{Expr(0)};
  for (const Slot &slot : slots_)
    starts.push_back(starts.back() + slot.bytes);
  Builder builder(block.getParentOp()->getContext());
  auto startOf = [&](Value value) {
    auto slot = slotOf_.find(value);
    return slot == slotOf_.end()
               ? rt::ExprAttr()
               : rt::ExprAttr::get(builder.getContext(), starts[slot->second]);
  };
  block.walk([&](Operation *op) {
    if (auto buffer = dyn_cast<rt::BufferOp>(op))
      buffer.setSlotAttr(startOf(buffer.getResult()));
    auto launch = dyn_cast<rt::LaunchOp>(op);
    if (!launch)
      return;
    SmallVector<Attribute> places;
    for (Value result : launch.getResults()) {
      ExprAttr start = startOf(result);
      places.push_back(start ? Attribute(start) : Attribute(builder.getUnitAttr()));
    }
    launch.setSlotsAttr(builder.getArrayAttr(places));
  });
}

Expr Planner::run(Block &block) {
  for (Value operand : block.getTerminator()->getOperands())
    if (coversRoot(operand, guards_))
      results_.insert(viewRoot(operand));
  plan(block);
  setSlots(block);
  Expr bytes;
  for (const Slot &slot : slots_)
    bytes += slot.bytes;
  return bytes;
}

struct PlanMemoryPass : impl::PlanMemoryBase<PlanMemoryPass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<FunctionOpInterface>()) {
      Planner planner(rt::guardsOf(function));
      Expr bytes = planner.run(function.getFunctionBody().front());
      function->setAttr(kArenaAttr, ExprAttr::get(&getContext(), bytes));
    }
  }
};

} // namespace
} // namespace rtorch::schedule
