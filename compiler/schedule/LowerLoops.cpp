// Values that loops and branches hand on become memory that their launches write.
#include "compiler/schedule/Passes.h"
#include "compiler/schedule/ViewChain.h"
#include "dialects/rt/transforms/Aliases.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::layout::Layout;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_LOWERLOOPS
#include "compiler/schedule/Passes.h.inc"
namespace {

/// The halves of a carried value's buffer begin at multiples of this.
constexpr int64_t kAlignment = 64;

/// Uses `fresh` for `old`, of which it has sizes and strides, but not the offset.
void replaceMoved(Value old, Value fresh, const layout::Guards &guards) {
  for (OpOperand &use : llvm::make_early_inc_range(old.getUses())) {
    Operation *user = use.getOwner();
    auto view = dyn_cast<rt::ViewOpInterface>(user);
    if (!view) {
      use.set(fresh);
      continue;
    }
    OpBuilder builder(user);
    replaceMoved(user->getResult(0), rt::replayView(builder, view, fresh, guards),
                 guards);
    user->erase();
  }
}

class Lowering {
public:
  explicit Lowering(rt::LoopOp loop)
      : loop_(loop), guards_(rt::guardsAround(loop)), builder_(loop),
        loc_(loop.getLoc()) {}

  void run();

private:
  /// Two places for a carried value: a round reads the one and writes the other.
  Value addPair(TensorType type);
  Value select(Value buffer, int64_t dim, const Expr &index);
  Expr parity(const Expr &round) const { return layout::mod(round, 2); }
  void lowerCarried(size_t index);
  void lowerStacked(size_t index);

  rt::LoopOp loop_;
  layout::Guards guards_;
  OpBuilder builder_;
  Location loc_;
  Value condition_;
};

Value Lowering::addPair(TensorType type) {
  Layout layout = type.withRowMajorLayout().getLayout();
  int64_t perLine = std::max<int64_t>(1, kAlignment / type.getElementBytes());
  Expr size = layout::ceildiv(layout::numel(layout.sizes), perLine) * Expr(perLine);
  layout.sizes.insert(layout.sizes.begin(), 2);
  layout.strides.insert(layout.strides.begin(), size);
  return rt::BufferOp::create(
      builder_, loc_, TensorType::get(type.getContext(), layout, type.getElementType()),
      rt::ExprAttr());
}

Value Lowering::select(Value buffer, int64_t dim, const Expr &index) {
  Layout layout = layout::selectIndex(tensorType(buffer).getLayout(), dim, index);
  return rt::SelectOp::create(builder_, loc_,
                              rt::withLayout(tensorType(buffer), layout), buffer, dim,
                              rt::ExprAttr::get(loop_.getContext(), index));
}

void Lowering::lowerCarried(size_t index) {
  Value init = loop_.getInits()[index];
  Expr round = loop_.getRoundExpr();
  builder_.setInsertionPoint(loop_);
  Value pair = addPair(tensorType(init));
  rt::WriteOp::create(builder_, loc_, init, select(pair, 0, 0));
  if (index == 0 && loop_.getConditional())
    condition_ = select(pair, 0, parity(round));
  builder_.setInsertionPointToStart(&loop_.getBlock());
  replaceMoved(loop_.getBlock().getArgument(index), select(pair, 0, parity(round)),
               guards_);
  builder_.setInsertionPoint(loop_.getNext());
  rt::WriteOp::create(builder_, loc_, loop_.getNext().getOperand(index),
                      select(pair, 0, parity(round + 1)));
  if (loop_.getResult(index).use_empty())
    return;
  // A conditional loop's count of rounds is known behind it, as the last round.
  builder_.setInsertionPointAfter(loop_);
  Expr rounds =
      loop_.getConditional() ? round : layout::max(loop_.getTrips().getValue(), 0);
  Value last = select(pair, 0, parity(guards_.simplify(rounds)));
  loop_.getResult(index).replaceAllUsesWith(
      rt::CloneOp::create(builder_, loc_, loop_.getResult(index).getType(), last));
}

void Lowering::lowerStacked(size_t index) {
  size_t position = loop_.getInits().size() + index;
  if (loop_.getResult(position).use_empty())
    return;
  builder_.setInsertionPoint(loop_);
  Value buffer = rt::BufferOp::create(
      builder_, loc_, tensorType(loop_.getResult(position)), rt::ExprAttr());
  builder_.setInsertionPoint(loop_.getNext());
  rt::WriteOp::create(
      builder_, loc_, loop_.getNext().getOperand(position),
      select(buffer, loop_.getStacked()[index], loop_.getStackIndex(index)));
  loop_.getResult(position).replaceAllUsesWith(buffer);
}

void Lowering::run() {
  for (size_t i = 0; i < loop_.getInits().size(); ++i)
    lowerCarried(i);
  for (size_t i = 0; i < loop_.getStacked().size(); ++i)
    lowerStacked(i);
  builder_.setInsertionPoint(loop_);
  auto lowered =
      rt::LoopOp::create(builder_, loc_, TypeRange(), loop_.getRoundAttr(),
                         loop_.getTripsAttr(), ValueRange(), ArrayRef<int64_t>(),
                         ArrayRef<bool>(), /*conditional=*/false, condition_);
  lowered.getBody().takeBody(loop_.getBody());
  lowered.getNext()->setOperands(ValueRange());
  lowered.getBlock().eraseArguments(0, lowered.getBlock().getNumArguments());
  loop_.erase();
}

void lowerBranch(rt::IfOp op) {
  OpBuilder builder(op);
  SmallVector<Value> buffers;
  for (Value result : op.getResults()) {
    buffers.push_back(
        rt::BufferOp::create(builder, op.getLoc(), tensorType(result), rt::ExprAttr()));
    result.replaceAllUsesWith(buffers.back());
  }
  auto lowered = rt::IfOp::create(builder, op.getLoc(), TypeRange(), op.getCondition());
  for (auto [from, to] : {std::pair{&op.getThen(), &lowered.getThen()},
                          std::pair{&op.getOtherwise(), &lowered.getOtherwise()}}) {
    to->takeBody(*from);
    auto next = cast<rt::NextOp>(to->front().back());
    builder.setInsertionPoint(next);
    for (auto [value, buffer] : llvm::zip_equal(next.getOperands(), buffers))
      rt::WriteOp::create(builder, op.getLoc(), value, buffer);
    next->setOperands(ValueRange());
  }
  op.erase();
}

struct LowerLoopsPass : impl::LowerLoopsBase<LowerLoopsPass> {
  void runOnOperation() override {
    // Inner ones first.
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<rt::LoopOp, rt::IfOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      if (auto loop = dyn_cast<rt::LoopOp>(op))
        Lowering(loop).run();
      else
        lowerBranch(cast<rt::IfOp>(op));
    }
  }
};

} // namespace
} // namespace rtorch::schedule
