// Geometry of the view ops: each is one call into the stride algebra.
#include "dialects/rt/OpVerifiers.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using rtorch::layout::Guards;
using rtorch::layout::Layout;
using ViewResult = std::optional<Layout>;

namespace rtorch::rt {

static bool hasDim(const Layout &source, int64_t dim) {
  return dim >= 0 && dim < static_cast<int64_t>(source.rank());
}

ViewResult ViewOp::viewLayout(const Layout &source, Guards &guards) {
  return layout::viewAs(source, tensorType(getResult()).getSizes(), guards);
}

ViewResult PermuteOp::viewLayout(const Layout &source, Guards &) {
  // permute_c2
  llvm::SmallBitVector seen(source.rank());
  if (getPermutation().size() != source.rank())
    return std::nullopt;
  for (int64_t dim : getPermutation()) {
    if (!hasDim(source, dim) || seen[dim])
      return std::nullopt;
    seen.set(dim);
  }
  return layout::permuteDims(source, getPermutation());
}

ViewResult ExpandOp::viewLayout(const Layout &source, Guards &guards) {
  return layout::expandTo(source, tensorType(getResult()).getSizes(), guards);
}

ViewResult UnsqueezeOp::viewLayout(const Layout &source, Guards &) {
  int64_t dim = getDim();
  if (dim < 0 || dim > static_cast<int64_t>(source.rank()))
    return std::nullopt;
  return layout::unsqueezeDim(source, dim);
}

ViewResult SqueezeOp::viewLayout(const Layout &source, Guards &guards) {
  for (auto [i, dim] : llvm::enumerate(getDims()))
    if (!hasDim(source, dim) || (i && getDims()[i - 1] >= dim))
      return std::nullopt;
  return layout::squeezeDims(source, getDims(), guards);
}

ViewResult SelectOp::viewLayout(const Layout &source, Guards &) {
  if (!hasDim(source, getDim()))
    return std::nullopt;
  return layout::selectIndex(source, getDim(), getIndex().getValue());
}

ViewResult SliceOp::viewLayout(const Layout &source, Guards &guards) {
  if (!hasDim(source, getDim()) || static_cast<int64_t>(getStep()) < 1)
    return std::nullopt;
  return layout::sliceDim(source, getDim(), getStart().getValue(), getEnd().getValue(),
                          getStep(), guards);
}

ViewResult DiagonalOp::viewLayout(const Layout &source, Guards &guards) {
  if (!hasDim(source, getDim1()) || !hasDim(source, getDim2()) ||
      getDim1() == getDim2())
    return std::nullopt;
  return layout::diagonalOf(source, getOffset(), getDim1(), getDim2(), guards);
}

ViewResult UnfoldOp::viewLayout(const Layout &source, Guards &) {
  if (!hasDim(source, getDim()) || static_cast<int64_t>(getSize()) < 0 ||
      static_cast<int64_t>(getStep()) < 1 || static_cast<int64_t>(getDilation()) < 1)
    return std::nullopt;
  return layout::unfoldDim(source, getDim(), getSize(), getStep(), getDilation());
}

ViewResult AsStridedOp::viewLayout(const Layout &, Guards &) {
  Layout result = tensorType(getResult()).getLayout();
  for (const layout::Expr &stride : result.strides)
    if (stride.constant().value_or(0) < 0)
      return std::nullopt;
  return result;
}

/// Whether all numbers of the layout are known.
static bool isStatic(const Layout &layout) {
  auto isNumber = [](const layout::Expr &expr) { return expr.isConstant(); };
  return llvm::all_of(layout.sizes, isNumber) &&
         llvm::all_of(layout.strides, isNumber) && layout.offset.isConstant();
}

static LogicalResult verifyDim(Operation *op, const Layout &source, int64_t dim) {
  if (hasDim(source, dim))
    return success();
  return op->emitOpError() << "expects a dim below rank " << source.rank()
                           << ", but got " << dim;
}

/// The constraints on attributes and sizes, without which there is no view of any
/// layout.
static LogicalResult verifyArguments(Operation *op, const Layout &source,
                                     Guards &guards) {
  TensorType result = tensorType(op->getResult(0));
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](ViewOp) -> LogicalResult {
        // view_c2
        layout::Expr count = numel(source.sizes), viewed = numel(result.getSizes());
        if (guards.query(layout::Relation::Eq, count, viewed) ==
            layout::Answer::Refuted)
          return op->emitOpError() << "expects a result of " << count.str()
                                   << " elements, but got " << viewed.str();
        return success();
      })
      .Case([&](PermuteOp permute) -> LogicalResult {
        // permute_c2
        llvm::SmallBitVector seen(source.rank());
        for (int64_t dim : permute.getPermutation())
          if (hasDim(source, dim))
            seen.set(dim);
        if (permute.getPermutation().size() != source.rank() || !seen.all())
          return op->emitOpError()
                 << "expects a permutation of " << source.rank() << " dims, but got ["
                 << permute.getPermutation() << "]";
        return success();
      })
      .Case([&](ExpandOp expand) -> LogicalResult {
        // expand_c2
        if (!expand.viewLayout(source, guards))
          return op->emitOpError() << "cannot expand sizes " << printDims(source.sizes)
                                   << " to " << printSizes(result);
        return success();
      })
      .Case([&](UnsqueezeOp unsqueeze) -> LogicalResult {
        // unsqueeze_c2
        int64_t dim = unsqueeze.getDim();
        if (dim < 0 || dim > static_cast<int64_t>(source.rank()))
          return op->emitOpError()
                 << "expects a dim up to rank " << source.rank() << ", but got " << dim;
        return success();
      })
      .Case([&](SqueezeOp squeeze) -> LogicalResult {
        // squeeze_c2
        for (auto [i, dim] : llvm::enumerate(squeeze.getDims()))
          if (!hasDim(source, dim) || (i && squeeze.getDims()[i - 1] >= dim))
            return op->emitOpError()
                   << "expects ascending dims below rank " << source.rank()
                   << ", but got [" << squeeze.getDims() << "]";
        return success();
      })
      .Case([&](SelectOp select) { // select_c2
        return verifyDim(op, source, select.getDim());
      })
      .Case([&](SliceOp slice) -> LogicalResult {
        // slice_c2
        if (failed(verifyDim(op, source, slice.getDim())))
          return failure();
        // slice_c3
        if (static_cast<int64_t>(slice.getStep()) < 1)
          return op->emitOpError() << "expects a positive step, but got "
                                   << static_cast<int64_t>(slice.getStep());
        return success();
      })
      .Case([&](DiagonalOp diagonal) -> LogicalResult {
        // diagonal_c2
        int64_t first = diagonal.getDim1(), second = diagonal.getDim2();
        if (!hasDim(source, first) || !hasDim(source, second) || first == second)
          return op->emitOpError()
                 << "expects two different dims below rank " << source.rank()
                 << ", but got " << first << " and " << second;
        return success();
      })
      .Case([&](UnfoldOp unfold) -> LogicalResult {
        // unfold_c2
        if (failed(verifyDim(op, source, unfold.getDim())))
          return failure();
        // unfold_c3
        int64_t size = unfold.getSize(), step = unfold.getStep(),
                dilation = unfold.getDilation();
        if (size < 0 || step < 1 || dilation < 1)
          return op->emitOpError()
                 << "expects a size of 0 or more and a positive step and dilation, "
                    "but got "
                 << size << ", " << step << " and " << dilation;
        return success();
      })
      .Case([&](AsStridedOp) -> LogicalResult {
        // as_strided_c1
        for (const layout::Expr &stride : result.getStrides())
          if (stride.constant().value_or(0) < 0)
            return op->emitOpError() << "expects strides of 0 or more, but got "
                                     << printDims(result.getStrides());
        return success();
      })
      .Default([](Operation *) { return success(); });
}

LogicalResult verifyView(ViewOpInterface view) {
  Operation *op = view.getOperation();
  TensorType source = tensorType(view.getViewSource()),
             result = tensorType(op->getResult(0));
  if (source.getElementType() != result.getElementType())
    return op->emitOpError() << "expects the source's dtype " << source.getElementType()
                             << ", but got " << result.getElementType();
  Guards guards = guardsAround(op);
  if (failed(verifyArguments(op, source.getLayout(), guards)))
    return failure();
  ViewResult expected = view.viewLayout(source.getLayout(), guards);
  if (!expected) {
    InFlightDiagnostic diag = op->emitOpError() << "cannot view " << source << " as "
                                                << result << " without a copy";
    if (Operation *producer = view.getViewSource().getDefiningOp())
      diag.attachNote(producer->getLoc())
          << "strides " << printDims(source.getStrides())
          << " come from here; insert 'rt.clone' before the view";
    return diag;
  }
  // With symbols, equal layouts may be written differently: rt-verify-layouts compares
  // them with what is known about the symbols.
  if (!isStatic(source.getLayout()) || !isStatic(result.getLayout()))
    return success();
  if (expected->sizes != result.getSizes())
    return op->emitOpError() << "expects result sizes " << printDims(expected->sizes)
                             << ", but got " << printSizes(result);
  if (*expected != result.getLayout())
    return op->emitOpError() << "expects result strides "
                             << printDims(expected->strides) << " and offset "
                             << expected->offset.str() << ", but got "
                             << printDims(result.getStrides()) << " and "
                             << result.getOffset().str();
  return success();
}

} // namespace rtorch::rt
