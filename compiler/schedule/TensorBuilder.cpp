#include "compiler/schedule/TensorBuilder.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::layout::Layout;
using rtorch::rt::ExprAttr;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;

TensorType TensorBuilder::type(const Layout &layout, Value like) {
  return TensorType::get(b.getContext(), layout, tensorType(like).getElementType());
}

layout::Guards TensorBuilder::guards() {
  return rt::guardsOf(b.getInsertionBlock()->getParentOp());
}

Value TensorBuilder::permute(Value x, ArrayRef<int64_t> permutation) {
  Layout layout = layout::permuteDims(tensorType(x).getLayout(), permutation);
  return rt::PermuteOp::create(b, loc, type(layout, x), x, permutation);
}

Value TensorBuilder::view(Value x, const Dims &sizes) {
  if (tensorType(x).getSizes() == sizes)
    return x;
  layout::Guards guards = this->guards();
  std::optional<Layout> layout =
      layout::viewAs(tensorType(x).getLayout(), sizes, guards);
  assert(layout && "the caller knows that the view exists");
  return rt::ViewOp::create(b, loc, type(*layout, x), x);
}

Value TensorBuilder::split(Value x, int64_t dim, const Expr &outer, const Expr &inner) {
  Dims sizes = tensorType(x).getSizes();
  sizes[dim] = inner;
  sizes.insert(sizes.begin() + dim, outer);
  return view(x, sizes);
}

Value TensorBuilder::slice(Value x, int64_t dim, const Expr &start, const Expr &end) {
  layout::Guards guards = this->guards();
  Layout layout =
      layout::sliceDim(tensorType(x).getLayout(), dim, start, end, 1, guards);
  return rt::SliceOp::create(b, loc, type(layout, x), x, dim,
                             ExprAttr::get(b.getContext(), start),
                             ExprAttr::get(b.getContext(), end), 1);
}

Value TensorBuilder::expand(Value x, const Dims &sizes) {
  layout::Guards guards = this->guards();
  std::optional<Layout> layout =
      layout::expandTo(tensorType(x).getLayout(), sizes, guards);
  assert(layout && "the caller knows that the sizes expand");
  return rt::ExpandOp::create(b, loc, type(*layout, x), x);
}

Value TensorBuilder::clone(Value x, const Dims &strides) {
  return rt::CloneOp::create(b, loc, withStrides(tensorType(x), strides), x);
}

Value TensorBuilder::cloneRowMajor(Value x) {
  return clone(x, layout::contiguousStrides(tensorType(x).getSizes()));
}

Value TensorBuilder::pad(Value x, const Dims &low, const Dims &sizes,
                         const Dims &strides) {
  SmallVector<Attribute> lows;
  for (const Expr &expr : low)
    lows.push_back(ExprAttr::get(b.getContext(), expr));
  Attribute zero = b.getFloatAttr(tensorType(x).getElementType(), 0.0);
  return rt::PadOp::create(b, loc, type({sizes, strides, 0}, x), x,
                           b.getArrayAttr(lows), zero);
}

Value TensorBuilder::padTo(Value x, int64_t dim, const Expr &size) {
  Dims sizes = tensorType(x).getSizes();
  if (sizes[dim] == size)
    return x;
  sizes[dim] = size;
  return pad(x, Dims(sizes.size(), 0), sizes, layout::contiguousStrides(sizes));
}

Value TensorBuilder::cat(ValueRange inputs, int64_t dim) {
  Dims sizes = tensorType(inputs.front()).getSizes();
  for (Value input : inputs.drop_front())
    sizes[dim] = sizes[dim] + tensorType(input).getSize(dim);
  TensorType result =
      type({sizes, layout::contiguousStrides(sizes), 0}, inputs.front());
  return rt::CatOp::create(b, loc, result, inputs, dim);
}

Value TensorBuilder::add(Value x, Value y) {
  return rt::AddOp::create(b, loc, tensorType(x).withRowMajorLayout(), x, y);
}

Value TensorBuilder::sub(Value x, Value y) {
  return rt::SubOp::create(b, loc, tensorType(x).withRowMajorLayout(), x, y);
}

Value TensorBuilder::scale(Value x, double factor) {
  TensorType type = tensorType(x);
  auto scalar = TensorType::get(b.getContext(), Dims{}, type.getElementType());
  Value number =
      rt::FullOp::create(b, loc, scalar, b.getFloatAttr(type.getElementType(), factor));
  return rt::MulOp::create(b, loc, type.withRowMajorLayout(), x, number);
}

Value TensorBuilder::flip(Value x, int64_t dim) {
  Expr size = tensorType(x).getSize(dim);
  if (size.isConstant(1))
    return x;
  auto indexType = TensorType::get(b.getContext(), Dims{size}, b.getI64Type());
  Value places =
      rt::IotaOp::create(b, loc, indexType, ExprAttr::get(b.getContext(), size - 1),
                         ExprAttr::get(b.getContext(), -1));
  TensorType result = tensorType(x).withRowMajorLayout();
  return rt::IndexOp::create(b, loc, result, x, ValueRange{places},
                             b.getDenseI64ArrayAttr({dim}), b.getI64IntegerAttr(dim),
                             /*wraps=*/UnitAttr());
}

Value TensorBuilder::flip(Value x, ArrayRef<int64_t> dims) {
  for (int64_t dim : dims)
    x = flip(x, dim);
  return x;
}

std::pair<Value, SmallVector<int64_t>> withoutFlips(Value x, int64_t first) {
  SmallVector<int64_t> dims;
  while (auto index = x.getDefiningOp<rt::IndexOp>()) {
    auto places = index.getIndices().size() == 1
                      ? index.getIndices()[0].getDefiningOp<rt::IotaOp>()
                      : nullptr;
    const int64_t dim = index.getDims()[0];
    if (!places || dim < first || static_cast<int64_t>(index.getPosition()) != dim ||
        llvm::is_contained(dims, dim))
      break;
    Expr size = tensorType(index.getSource()).getSize(dim);
    auto start = dyn_cast<ExprAttr>(places.getStart()),
         step = dyn_cast<ExprAttr>(places.getStep());
    if (!start || !step || start.getValue() != size - 1 ||
        !step.getValue().isConstant(-1) ||
        tensorType(places.getResult()).getSize(0) != size)
      break;
    if (!size.isConstant(1)) // nothing to flip
      dims.push_back(dim);
    x = index.getSource();
  }
  return {x, dims};
}

} // namespace rtorch::schedule
