// A copy of a tensor with updates combined at places that are data. Updates run in
// their row-major order, so that the result is the same for any number of threads; work
// is cut along dims in which no two updates can meet.
#include "compiler/codegen/kernel/SliceNest.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;
namespace {

/// The dim of the indices' broadcast along which `index` counts 0, 1, ..., and how far,
/// if it is rt.iota seen through views that only add dims.
std::optional<std::pair<int64_t, Expr>> countingDim(Value index, int64_t commonRank) {
  SmallVector<Operation *> views;
  Value source = index;
  while (auto view = source.getDefiningOp<rt::ViewOpInterface>()) {
    views.push_back(view);
    source = view.getViewSource();
  }
  auto iota = source.getDefiningOp<rt::IotaOp>();
  auto start = iota ? dyn_cast<rt::ExprAttr>(iota.getStart()) : rt::ExprAttr();
  auto step = iota ? dyn_cast<rt::ExprAttr>(iota.getStep()) : rt::ExprAttr();
  if (!start || !step || !start.getValue().isConstant(0) ||
      !step.getValue().isConstant(1))
    return std::nullopt;
  int64_t dim = 0;
  for (Operation *view : llvm::reverse(views)) {
    if (auto unsqueeze = dyn_cast<rt::UnsqueezeOp>(view))
      dim += static_cast<int64_t>(unsqueeze.getDim()) <= dim;
    else if (isa<rt::ExpandOp>(view))
      dim += tensorType(view->getResult(0)).getRank() -
             tensorType(view->getOperand(0)).getRank();
    else
      return std::nullopt;
  }
  dim += commonRank - tensorType(index).getRank();
  return std::pair(dim, tensorType(source).getSize(0));
}

class ScatterKernel {
public:
  ScatterKernel(KernelState &state, rt::ScatterOp op, const Target &target);

  KernelInfo info() const;
  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  void copySlice(gemm::Emitter &e, const Indices &position, Value mask);
  void updateSlice(gemm::Emitter &e, const Indices &position, Value mask);
  /// Combines one update (or a vector of them) with what its place holds.
  void update(gemm::Emitter &e, const Indices &position, const Indices &common,
              Value mask);
  /// Which of the slices at `position` have updates; null if all do.
  Value hasUpdates(gemm::Emitter &e, const Indices &position);
  Value combine(FormulaBuilder &f, Value old, Value x) const;

  bool isIndexed(int64_t dim) const { return llvm::is_contained(op_.getDims(), dim); }
  Value lower(gemm::Emitter &e, const Expr &expr) const {
    return e.lower(expr, state_.symbols);
  }

  KernelState &state_;
  mutable rt::ScatterOp op_; // a handle, whose getters are not const
  TensorType type_;          // of the stored result
  int64_t commonRank_;
  layout::Dims commonSizes_;
  /// For each dim of the result that is indexed by counting: the dim of the broadcast.
  std::map<int64_t, int64_t> counted_;
  SmallVector<int64_t> whole_; // dims of the result in which updates may meet
  SmallVector<int64_t> loops_; // dims of the broadcast that are walked in order
  SliceNest nest_;
  int64_t copyWidth_;
};

ScatterKernel::ScatterKernel(KernelState &state, rt::ScatterOp op, const Target &target)
    : state_(state), op_(op), type_(tensorType(state.kernel.getYield().getOperand(0))),
      copyWidth_(target.lanes(4)) {
  int64_t rank = type_.getRank();
  TensorType updates = tensorType(op.getUpdates());
  int64_t indexed = op.getDims().size();
  commonRank_ = updates.getRank() - (rank - indexed);
  for (int64_t i = 0; i < commonRank_; ++i)
    commonSizes_.push_back(updates.getSize(op.getPosition() + i));
  layout::Guards guards = rt::guardsAround(op);
  std::set<int64_t> taken;
  for (auto [dim, index] : llvm::zip_equal(op.getDims(), op.getIndices())) {
    auto counting = countingDim(index, commonRank_);
    bool fits = counting && guards.query(layout::Relation::Le, counting->second,
                                         type_.getSize(dim)) == layout::Answer::Proven;
    if (fits && taken.insert(counting->first).second)
      counted_[dim] = counting->first;
    else
      whole_.push_back(dim);
  }
  llvm::sort(whole_);
  Expr places = 1, steps = 1;
  for (int64_t dim : whole_)
    places *= type_.getSize(dim);
  for (int64_t dim = 0; dim < commonRank_; ++dim)
    if (!taken.count(dim)) {
      loops_.push_back(dim);
      steps *= commonSizes_[dim];
    }
  nest_ = SliceNest::of(type_, whole_, layout::max(places, steps), target);
}

KernelInfo ScatterKernel::info() const {
  KernelInfo info;
  info.grid = nest_.grid();
  return info;
}

void ScatterKernel::emitTile(OpBuilder &builder, Value tile, Value) {
  gemm::Emitter e(builder, op_.getLoc());
  nest_.forSlices(e, state_, tile, [&](const Indices &position, Value mask) {
    copySlice(e, position, mask);
    updateSlice(e, position, mask);
  });
}

void ScatterKernel::copySlice(gemm::Emitter &e, const Indices &position, Value mask) {
  auto copy = [&](const Indices &at, int64_t width, Value lanes) {
    Evaluator values(state_, e.b, e.loc, width, lanes);
    values.store(values.vectorAt(op_.getSource(), at), type_, state_.buffers.back(),
                 at);
  };
  // Slices one by one: vectors run along the last dim of the slice instead.
  bool along = nest_.laneDim < 0 && !whole_.empty();
  SmallVector<int64_t> outer(whole_);
  if (along)
    outer.pop_back();
  Expr count = 1;
  for (int64_t dim : outer)
    count *= type_.getSize(dim);
  e.loop(lower(e, count), [&](Value linear) {
    Indices at = position;
    delinearize(e, state_, type_.getSizes(), outer, linear, at);
    if (!along)
      return copy(at, nest_.width, mask);
    int64_t last = whole_.back();
    Value size = lower(e, type_.getSize(last));
    Value even = e.roundDown(size, copyWidth_);
    e.loop(e.constant(0), even, copyWidth_, [&](Value lane) {
      at[last] = Index{lane, 1, {}};
      copy(at, copyWidth_, {});
    });
    e.branch(e.less(even, size), [&] {
      at[last] = Index{even, 1, {}};
      copy(at, copyWidth_, e.laneMask(copyWidth_, e.sub(size, even)));
    });
  });
}

Value ScatterKernel::hasUpdates(gemm::Emitter &e, const Indices &position) {
  Value scalar;
  for (auto [dim, common] : counted_) {
    if (dim == nest_.laneDim || commonSizes_[common] == type_.getSize(dim))
      continue;
    Value inside = e.less(position[dim].base, lower(e, commonSizes_[common]));
    scalar = scalar ? Value(arith::AndIOp::create(e.b, e.loc, scalar, inside)) : inside;
  }
  return scalar;
}

void ScatterKernel::updateSlice(gemm::Emitter &e, const Indices &position, Value mask) {
  auto lane = counted_.find(nest_.laneDim);
  if (lane != counted_.end() &&
      commonSizes_[lane->second] != type_.getSize(nest_.laneDim)) {
    // Only the first lanes have updates.
    Value left =
        e.sub(lower(e, commonSizes_[lane->second]), position[nest_.laneDim].base);
    mask = e.laneMask(nest_.width, e.max(left, e.constant(0)));
  }
  auto walk = [&] {
    Indices common(commonRank_, Index{e.constant(0)});
    for (auto [dim, at] : counted_)
      common[at] = position[dim];
    std::function<void(size_t)> nested = [&](size_t depth) {
      if (depth == loops_.size())
        return update(e, position, common, mask);
      e.loop(lower(e, commonSizes_[loops_[depth]]), [&](Value at) {
        common[loops_[depth]] = Index{at};
        nested(depth + 1);
      });
    };
    nested(0);
  };
  if (Value some = hasUpdates(e, position))
    return e.branch(some, walk);
  walk();
}

Value ScatterKernel::combine(FormulaBuilder &f, Value old, Value x) const {
  StringRef how = op_.getCombine();
  if (how == "set")
    return x;
  if (how == "add")
    return f.add(old, x);
  if (how == "mul")
    return f.mul(old, x);
  return how == "amax" ? f.maximum(old, x) : f.minimum(old, x);
}

void ScatterKernel::update(gemm::Emitter &e, const Indices &position,
                           const Indices &common, Value mask) {
  Evaluator values(state_, e.b, e.loc, nest_.width, mask);
  FormulaBuilder f(e.b, e.loc);
  Indices target = position, source;
  for (int64_t dim = 0; dim < type_.getRank(); ++dim)
    if (!isIndexed(dim))
      source.push_back(position[dim]);
  source.insert(source.begin() + op_.getPosition(), common.begin(), common.end());
  for (auto [dim, index] : llvm::zip_equal(op_.getDims(), op_.getIndices()))
    if (!counted_.count(dim))
      target[dim] = values.checkedIndex(index, type_.getSize(dim), common,
                                        op_.getWraps(), op_.getLoc());
  Value x = values.vectorAt(op_.getUpdates(), source);
  Value buffer = state_.buffers.back();
  // An index out of range stands for place 0, which an empty dim does not have.
  Value some;
  for (int64_t dim : whole_)
    if (type_.getSize(dim).constant().value_or(0) == 0) {
      Value here = e.less(e.constant(0), lower(e, type_.getSize(dim)));
      some = some ? Value(arith::AndIOp::create(e.b, e.loc, some, here)) : here;
    }
  auto write = [&] {
    if (op_.getCombine() != "set") {
      Value old = values.broadcast(values.load(type_, buffer, target));
      x = roundTo(f, combine(f, old, x), type_.getElementType());
    }
    values.store(x, type_, buffer, target);
  };
  if (some)
    return e.branch(some, write);
  write();
}

} // namespace

KernelInfo emitScatterKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                             const Target &target) {
  auto op = *kernel.getBlock().getOps<rt::ScatterOp>().begin();
  return emitKernelOf<ScatterKernel>(builder, kernel, symbol, op, target);
}

} // namespace rtorch::codegen
