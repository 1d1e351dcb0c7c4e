#include "dialects/rt/transforms/Aliases.h"

using namespace mlir;
using rtorch::layout::Answer;
using rtorch::layout::Expr;
using rtorch::layout::Guards;
using rtorch::layout::Layout;
using rtorch::layout::Relation;

namespace rtorch::rt {

Value aliasBase(Value value) {
  while (auto view = value.getDefiningOp<ViewOpInterface>())
    value = view.getViewSource();
  return value;
}

bool isExternal(Value base) {
  return isa<BlockArgument>(base) || base.getDefiningOp<ParameterOp>();
}

bool shareStorage(Value a, Value b) {
  if (a == b)
    return true;
  auto first = a.getDefiningOp<ParameterOp>(), second = b.getDefiningOp<ParameterOp>();
  return first && second && first.getStorage() == second.getStorage();
}

std::optional<Layout> provenViewLayout(ViewOpInterface view, const Layout &source,
                                       const Guards &guards) {
  Guards trial = guards;
  std::optional<Layout> layout = view.viewLayout(source, trial);
  if (!layout || trial.recorded().size() != guards.recorded().size())
    return std::nullopt;
  return layout;
}

static bool provenEqual(const Expr &a, const Expr &b, const Guards &guards) {
  return a == b || guards.query(Relation::Eq, a, b) == Answer::Proven;
}

bool sameAddresses(const Layout &a, const Layout &b, const Guards &guards) {
  if (a.rank() != b.rank() || !provenEqual(a.offset, b.offset, guards))
    return false;
  for (size_t dim = 0; dim < a.rank(); ++dim) {
    if (!provenEqual(a.sizes[dim], b.sizes[dim], guards))
      return false;
    if (!provenEqual(a.strides[dim], b.strides[dim], guards) &&
        !provenEqual(a.sizes[dim], 1, guards))
      return false;
  }
  return true;
}

TensorType withLayout(TensorType type, const Layout &layout) {
  return TensorType::get(type.getContext(), layout, type.getElementType());
}

Value transposeMatrices(OpBuilder &builder, Location loc, Value value) {
  TensorType type = tensorType(value);
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  layout::Layout layout = layout::permuteDims(type.getLayout(), order);
  return PermuteOp::create(builder, loc, withLayout(type, layout), value, order);
}

Value transposedMatrix(Value value) {
  auto permute = value.getDefiningOp<PermuteOp>();
  return permute && permute.getPermutation() == ArrayRef<int64_t>{1, 0}
             ? permute.getSource()
             : Value();
}

Value makeRowMajor(OpBuilder &builder, Location loc, Value value) {
  TensorType type = tensorType(value);
  if (type.isRowMajor())
    return value;
  return CloneOp::create(builder, loc, type.withRowMajorLayout(), value);
}

Value replayView(OpBuilder &builder, ViewOpInterface view, Value source,
                 const Guards &guards) {
  std::optional<Layout> result =
      provenViewLayout(view, tensorType(source).getLayout(), guards);
  if (!result) {
    source = makeRowMajor(builder, view->getLoc(), source);
    Guards trial = guards;
    result = view.viewLayout(tensorType(source).getLayout(), trial);
    assert(result && "every view but as_strided exists on a row-major tensor");
  }
  Operation *copy = builder.clone(*view);
  copy->setOperand(0, source);
  // Sizes stay as they are written: users' types name them.
  Layout layout = {tensorType(view->getResult(0)).getSizes(), result->strides,
                   result->offset};
  copy->getResult(0).setType(withLayout(tensorType(source), layout));
  return copy->getResult(0);
}

} // namespace rtorch::rt
