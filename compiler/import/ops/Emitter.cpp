#include "compiler/import/ops/Emitter.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using rtorch::layout::Layout;

namespace rtorch::translate {

std::vector<int64_t> allDims(int64_t rank) {
  std::vector<int64_t> dims(rank);
  std::iota(dims.begin(), dims.end(), 0);
  return dims;
}

rt::TensorType Emitter::rowMajor(const Dims &sizes, ScalarType dtype) const {
  return rt::TensorType::get(context(), sizes, elementType(context(), dtype));
}

rt::TensorType Emitter::withLayout(Value x, const Layout &layout) const {
  return rt::TensorType::get(context(), layout, rt::tensorType(x).getElementType());
}

Value Emitter::inferStrides(Operation *op) {
  Value result = op->getResult(0);
  SmallVector<Dims> strides = cast<rt::LayoutOpInterface>(op).eagerStrides(guards);
  result.setType(withLayout(result, {sizesOf(result), strides.front(), 0}));
  return result;
}

std::optional<Dims> Emitter::broadcast(std::vector<Value> operands) {
  std::vector<Dims> sizes;
  for (Value operand : operands)
    sizes.push_back(sizesOf(operand));
  std::optional<Dims> result = layout::broadcastSizes(sizes, guards);
  if (!result) {
    InFlightDiagnostic diag = error() << "cannot broadcast tensors of sizes ";
    llvm::interleaveComma(sizes, diag,
                          [&](const Dims &dims) { diag << rt::printDims(dims); });
  }
  return result;
}

Value Emitter::sized(Value x, const Dims &sizes) {
  Layout layout = layoutOf(x), other = layout;
  size_t shift = sizes.size() - layout.rank();
  for (size_t i = 0; i < layout.rank(); ++i) {
    const Expr &own = layout.sizes[i], &wanted = sizes[shift + i];
    if (guards.query(layout::Relation::Eq, own, 1) == layout::Answer::Proven)
      other.sizes[i] = 1; // kernels see by it that the dim is broadcast
    else if (guards.equal(own, wanted))
      other.sizes[i] = wanted;
  }
  return other == layout ? x : asStrided(x, other);
}

Value Emitter::where(Value condition, Value a, Value b) {
  return a ? pointwise<rt::WhereOp>(dtypeOf(a), condition, a, b) : a;
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

/// Truncates like a cast of the compiler that eager is built with, without undefined
/// behaviour.
static int64_t truncate(double value) {
  if (!(value > -0x1p63 && value < 0x1p63))
    return INT64_MIN;
  return static_cast<int64_t>(value);
}

Attribute Emitter::elementAttr(const Scalar &scalar, ScalarType dtype) const {
  if (scalar.expr)
    return rt::ExprAttr::get(context(), *scalar.expr);
  Type type = elementType(context(), dtype);
  if (isFloat(dtype))
    return FloatAttr::get(type, *scalar.constant());
  bool real = scalar.category == Category::Float;
  if (dtype == ScalarType::Bool)
    return BoolAttr::get(context(), real ? scalar.real != 0 : scalar.integer != 0);
  int64_t value = real ? truncate(scalar.real) : scalar.integer;
  return IntegerAttr::get(type, APInt(type.getIntOrFloatBitWidth(), value,
                                      /*isSigned=*/true, /*implicitTrunc=*/true));
}

Value Emitter::real(const importer::RealExpr &expr) {
  using Kind = importer::RealExpr::Kind;
  constexpr ScalarType kDouble = ScalarType::Double;
  if (expr.kind == Kind::Constant)
    return number(expr.value, kDouble);
  if (expr.kind == Kind::Integer)
    return full(Scalar{Category::Float, 0, 0, expr.integer}, kDouble);
  SmallVector<Value> x;
  for (const importer::RealExpr &operand : expr.operands)
    x.push_back(real(operand));
  auto fold = [&](auto join) {
    Value result = x[0];
    for (Value operand : llvm::drop_begin(x))
      result = join(result, operand);
    return result;
  };
  switch (expr.kind) {
  case Kind::Add:
    return fold([&](Value a, Value b) { return binary<rt::AddOp>(a, b); });
  case Kind::Mul:
    return fold([&](Value a, Value b) { return binary<rt::MulOp>(a, b); });
  case Kind::Min:
    return fold([&](Value a, Value b) { return binary<rt::MinimumOp>(a, b); });
  case Kind::Max:
    return fold([&](Value a, Value b) { return binary<rt::MaximumOp>(a, b); });
  case Kind::Div:
    return binary<rt::DivOp>(x[0], x[1]);
  case Kind::Pow:
    return binary<rt::PowOp>(x[0], x[1]);
  case Kind::Sqrt:
    return unary<rt::SqrtOp>(x[0]);
  case Kind::Exp:
    return unary<rt::ExpOp>(x[0]);
  case Kind::Log:
    return unary<rt::LogOp>(x[0]);
  case Kind::Log2:
    return unary<rt::Log2Op>(x[0]);
  case Kind::Sin:
    return unary<rt::SinOp>(x[0]);
  case Kind::Cos:
    return unary<rt::CosOp>(x[0]);
  default:
    return unary<rt::TanhOp>(x[0]);
  }
}

Value Emitter::full(const Scalar &scalar, ScalarType dtype, const Dims &sizes) {
  if (scalar.realExpr) {
    Value number = convert(real(*scalar.realExpr), dtype);
    return sizes.empty()
               ? number
               : clone(expand(number, sizes), layout::contiguousStrides(sizes));
  }
  // An expression is not a bool, and does not wrap.
  if (scalar.expr && !isFloat(dtype) && dtype != ScalarType::Long)
    return convert(full(scalar, ScalarType::Long, sizes), dtype);
  return compute<rt::FullOp>(sizes, dtype, elementAttr(scalar, dtype));
}

Value Emitter::iota(const Expr &size, ScalarType dtype, const Expr &start,
                    const Expr &step) {
  return compute<rt::IotaOp>({size}, dtype, rt::ExprAttr::get(context(), start),
                             rt::ExprAttr::get(context(), step));
}

Value Emitter::countAlong(const Expr &size, int64_t dim, int64_t rank) {
  Value result = iota(size);
  for (int64_t i = 0; i < rank; ++i)
    if (i != dim)
      result = unsqueeze(result, i);
  return result;
}

Value Emitter::materialize(const Operand &operand, ScalarType dtype) {
  return operand.tensor ? convert(operand.tensor, dtype) : full(operand.scalar, dtype);
}

Value Emitter::convert(Value x, ScalarType dtype) {
  if (!x || dtypeOf(x) == dtype)
    return x;
  return compute<rt::ConvertOp>(sizesOf(x), dtype, x);
}

Value Emitter::clone(Value x, const Dims &strides) {
  if (!x)
    return x;
  return rt::CloneOp::create(builder, loc, withLayout(x, {sizesOf(x), strides, 0}), x);
}

Value Emitter::cloneRowMajor(Value x) {
  return x ? clone(x, layout::contiguousStrides(sizesOf(x))) : x;
}

Value Emitter::withStrides(Value x, const Dims &strides) {
  if (!x || layoutOf(x) == Layout{sizesOf(x), strides, 0})
    return x;
  return clone(x, strides);
}

Dims Emitter::stridesOfTwin(Value x) {
  Layout source = layoutOf(x);
  return layout::isExpanded(source, guards) ? layout::preserveStrides(source, guards)
                                            : source.strides;
}

Value Emitter::likeUnary(Value result, Value x) {
  if (!result || !x)
    return {};
  Layout operand = layoutOf(x);
  return withStrides(result,
                     layout::pointwiseStrides(sizesOf(result), {&operand, 1}, guards));
}

Dims Emitter::reducedSizes(Value x, const std::vector<int64_t> &dims,
                           bool keepdim) const {
  Dims sizes;
  for (int64_t dim = 0; dim < rankOf(x); ++dim) {
    if (!llvm::is_contained(dims, dim))
      sizes.push_back(sizeOf(x, dim));
    else if (keepdim)
      sizes.push_back(1);
  }
  return sizes;
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

Value Emitter::view(Value x, const Dims &sizes) {
  if (!x)
    return x;
  if (!guards.equal(layout::numel(sizesOf(x)), layout::numel(sizes))) {
    error() << "cannot view " << rt::tensorType(x) << " with sizes "
            << rt::printDims(sizes) << ", which have another number of elements";
    return {};
  }
  std::optional<Layout> layout = layout::viewAs(layoutOf(x), sizes, guards);
  if (!layout) {
    error() << "cannot view " << rt::tensorType(x) << " with sizes "
            << rt::printDims(sizes) << " without a copy";
    return {};
  }
  return rt::ViewOp::create(builder, loc, withLayout(x, *layout), x);
}

Value Emitter::reshape(Value x, const Dims &sizes) {
  if (!x)
    return x;
  if (layout::queryView(layoutOf(x), sizes, guards) == layout::Answer::Proven)
    return view(x, sizes);
  return view(cloneRowMajor(x), sizes);
}

Value Emitter::permute(Value x, const std::vector<int64_t> &permutation) {
  if (!x)
    return x;
  Layout layout = layout::permuteDims(layoutOf(x), permutation);
  return rt::PermuteOp::create(builder, loc, withLayout(x, layout), x, permutation);
}

Value Emitter::transpose(Value x, int64_t dim0, int64_t dim1) {
  if (!x || dim0 == dim1)
    return x;
  std::vector<int64_t> permutation = allDims(rankOf(x));
  std::swap(permutation[dim0], permutation[dim1]);
  return permute(x, permutation);
}

Value Emitter::expand(Value x, const Dims &sizes) {
  if (!x)
    return x;
  std::optional<Layout> layout = layout::expandTo(layoutOf(x), sizes, guards);
  if (!layout) {
    error() << "cannot expand " << rt::tensorType(x) << " to sizes "
            << rt::printDims(sizes);
    return {};
  }
  return rt::ExpandOp::create(builder, loc, withLayout(x, *layout), x);
}

Value Emitter::unsqueeze(Value x, int64_t dim) {
  if (!x)
    return x;
  Layout layout = layout::unsqueezeDim(layoutOf(x), dim);
  return rt::UnsqueezeOp::create(builder, loc, withLayout(x, layout), x, dim);
}

Value Emitter::squeeze(Value x, const std::vector<int64_t> &dims) {
  if (!x)
    return x;
  Layout layout = layout::squeezeDims(layoutOf(x), dims, guards);
  return rt::SqueezeOp::create(builder, loc, withLayout(x, layout), x, dims);
}

Value Emitter::select(Value x, int64_t dim, Expr index) {
  if (!x)
    return x;
  if (guards.less(index, 0))
    index += sizeOf(x, dim);
  if (guards.query(layout::Relation::Lt, index, sizeOf(x, dim)) ==
      layout::Answer::Refuted) {
    error() << "the index " << index.str() << " is out of range for dim " << dim
            << " of " << rt::tensorType(x);
    return {};
  }
  Layout layout = layout::selectIndex(layoutOf(x), dim, index);
  return rt::SelectOp::create(builder, loc, withLayout(x, layout), x, dim,
                              rt::ExprAttr::get(context(), index));
}

Value Emitter::slice(Value x, int64_t dim, const Expr &start, const Expr &end,
                     int64_t step) {
  if (!x)
    return x;
  Layout layout = layout::sliceDim(layoutOf(x), dim, start, end, step, guards);
  return rt::SliceOp::create(builder, loc, withLayout(x, layout), x, dim,
                             rt::ExprAttr::get(context(), start),
                             rt::ExprAttr::get(context(), end), step);
}

Value Emitter::diagonal(Value x, int64_t offset, int64_t dim1, int64_t dim2) {
  if (!x)
    return x;
  Layout layout = layout::diagonalOf(layoutOf(x), offset, dim1, dim2, guards);
  return rt::DiagonalOp::create(builder, loc, withLayout(x, layout), x, offset, dim1,
                                dim2);
}

Value Emitter::unfold(Value x, int64_t dim, int64_t size, int64_t step,
                      int64_t dilation) {
  if (!x)
    return x;
  Layout layout = layout::unfoldDim(layoutOf(x), dim, size, step, dilation);
  return rt::UnfoldOp::create(builder, loc, withLayout(x, layout), x, dim, size, step,
                              dilation);
}

Value Emitter::asStrided(Value x, const Layout &layout) {
  return x ? rt::AsStridedOp::create(builder, loc, withLayout(x, layout), x) : x;
}

//===----------------------------------------------------------------------===//
// Products, indexing, writes
//===----------------------------------------------------------------------===//

Value Emitter::matmul(Value lhs, Value rhs) {
  if (!lhs || !rhs)
    return {};
  Dims left = sizesOf(lhs), right = sizesOf(rhs);
  if (left.size() < 2 || right.size() < 2) {
    error() << "expects matrices, but got " << rt::tensorType(lhs) << " and "
            << rt::tensorType(rhs);
    return {};
  }
  Expr m = left[left.size() - 2], n = right.back();
  left.resize(left.size() - 2), right.resize(right.size() - 2);
  std::optional<Dims> sizes =
      layout::broadcastSizes(std::vector<Dims>{left, right}, guards);
  if (!sizes) {
    error() << "cannot broadcast the leading sizes of " << rt::tensorType(lhs)
            << " and " << rt::tensorType(rhs);
    return {};
  }
  // Integers have no kernels of their own for this.
  if (!isFloat(dtypeOf(lhs)))
    return reduce<rt::SumOp>(
        binary<rt::MulOp>(unsqueeze(lhs, rankOf(lhs)), unsqueeze(rhs, rankOf(rhs) - 2)),
        {static_cast<int64_t>(sizes->size()) + 1}, false);
  sizes->push_back(m);
  sizes->push_back(n);
  Dims factors = sizesOf(rhs);
  factors[factors.size() - 2] = sizesOf(lhs).back();
  return compute<rt::MatmulOp>(*sizes, dtypeOf(lhs), lhs, sized(rhs, factors));
}

Value Emitter::linear(Value x, Value weight, Value bias) {
  if (!x || !weight)
    return {};
  if (rankOf(x) < 1 || rankOf(weight) != 2) {
    error() << "expects a weight of rank 2 and an input of rank 1 or more, but got "
            << rt::tensorType(weight) << " and " << rt::tensorType(x);
    return {};
  }
  if (!isFloat(dtypeOf(x))) {
    Value row = rankOf(x) == 1 ? unsqueeze(x, 0) : x;
    Value result = matmul(row, transpose(weight, 0, 1));
    result = rankOf(x) == 1 && result ? squeeze(result, {0}) : result;
    return bias ? binary<rt::AddOp>(result, bias) : result;
  }
  Dims sizes = sizesOf(x);
  sizes.back() = sizeOf(weight, 0);
  return compute<rt::LinearOp>(sizes, dtypeOf(x), x, weight, bias);
}

Value Emitter::indexSelect(Value source, Value indices, int64_t dim) {
  if (!source || !indices)
    return {};
  if (dim < 0 || dim >= rankOf(source)) {
    error() << "expects a dim below rank " << rankOf(source) << ", but got " << dim;
    return {};
  }
  Dims sizes = sizesOf(source), inner = sizesOf(indices);
  sizes.erase(sizes.begin() + dim);
  sizes.insert(sizes.begin() + dim, inner.begin(), inner.end());
  return compute<rt::IndexOp>(sizes, dtypeOf(source), source, ValueRange{indices},
                              ArrayRef<int64_t>{dim}, dim, false);
}

/// Sizes of a result of rt.index, and of the updates of rt.scatter.
static std::optional<Dims> indexedSizes(Emitter &e, Value source,
                                        ArrayRef<Value> indices, ArrayRef<int64_t> dims,
                                        int64_t position) {
  std::optional<Dims> common = e.broadcast({indices.begin(), indices.end()});
  if (!common)
    return std::nullopt;
  Dims sizes;
  for (int64_t dim = 0; dim < rankOf(source); ++dim)
    if (!llvm::is_contained(dims, dim))
      sizes.push_back(sizeOf(source, dim));
  sizes.insert(sizes.begin() + position, common->begin(), common->end());
  return sizes;
}

Value Emitter::index(Value source, ArrayRef<Value> indices, ArrayRef<int64_t> dims,
                     int64_t position, bool wraps) {
  if (!source || !llvm::all_of(indices, [](Value v) { return bool(v); }))
    return {};
  std::optional<Dims> sizes = indexedSizes(*this, source, indices, dims, position);
  return sizes ? compute<rt::IndexOp>(*sizes, dtypeOf(source), source,
                                      ValueRange(indices), dims, position, wraps)
               : Value();
}

Value Emitter::scatter(Value source, ArrayRef<Value> indices, Value updates,
                       ArrayRef<int64_t> dims, int64_t position, bool wraps,
                       StringRef combine) {
  if (!source || !updates || !llvm::all_of(indices, [](Value v) { return bool(v); }))
    return {};
  std::optional<Dims> sizes = indexedSizes(*this, source, indices, dims, position);
  updates = sizes ? expand(updates, *sizes) : Value();
  if (!updates)
    return {};
  return compute<rt::ScatterOp>(sizesOf(source), dtypeOf(source), source,
                                ValueRange(indices), updates, dims, position, combine,
                                wraps);
}

/// Indices that select along `dim` and count along the other dims.
static std::vector<Value> indicesAlong(Emitter &e, Value indices, int64_t dim) {
  std::vector<Value> all;
  for (int64_t i = 0; i < rankOf(indices); ++i)
    all.push_back(i == dim ? indices
                           : e.countAlong(sizeOf(indices, i), i, rankOf(indices)));
  return all;
}

Value Emitter::gather(Value source, Value indices, int64_t dim) {
  if (!source || !indices)
    return {};
  if (rankOf(source) != rankOf(indices)) {
    error() << "expects indices of rank " << rankOf(source) << ", but got "
            << rt::tensorType(indices);
    return {};
  }
  return index(source, indicesAlong(*this, indices, dim), allDims(rankOf(source)), 0,
               false);
}

Value Emitter::scatterAlong(Value source, Value indices, Value updates, int64_t dim,
                            StringRef combine) {
  if (!source || !indices)
    return {};
  if (rankOf(source) != rankOf(indices)) {
    error() << "expects indices of rank " << rankOf(source) << ", but got "
            << rt::tensorType(indices);
    return {};
  }
  return scatter(source, indicesAlong(*this, indices, dim), updates,
                 allDims(rankOf(source)), 0, false, combine);
}

Value Emitter::scan(Value x, int64_t dim, StringRef combine) {
  return x ? compute<rt::ScanOp>(sizesOf(x), dtypeOf(x), x, dim, combine) : x;
}

std::pair<Value, Value> Emitter::sort(Value x, int64_t dim, bool descending,
                                      std::optional<Expr> count) {
  if (!x)
    return {};
  Dims sizes = sizesOf(x);
  if (count)
    sizes[dim] = *count;
  Type values = rowMajor(sizes, dtypeOf(x));
  Type indices = rowMajor(sizes, ScalarType::Long);
  auto op = rt::SortOp::create(builder, loc, values, indices, x, dim, descending);
  SmallVector<Dims> strides = op.eagerStrides(guards);
  for (auto [result, dims] : llvm::zip_equal(op->getResults(), strides))
    result.setType(withLayout(result, {sizes, dims, 0}));
  return {op.getValues(), op.getIndices()};
}

Value Emitter::pad(Value x, const Dims &low, const Dims &sizes, const Scalar &value) {
  if (!x)
    return x;
  if (value.realExpr) {
    error() << "expects a padding value that is a number or a size";
    return {};
  }
  SmallVector<Attribute> starts;
  for (const Expr &start : low)
    starts.push_back(rt::ExprAttr::get(context(), start));
  return compute<rt::PadOp>(sizes, dtypeOf(x), x, builder.getArrayAttr(starts),
                            elementAttr(value, dtypeOf(x)));
}

Value Emitter::cat(ArrayRef<Value> inputs, int64_t dim) {
  if (inputs.empty() || !llvm::all_of(inputs, [](Value v) { return bool(v); }))
    return {};
  Dims sizes = sizesOf(inputs.front());
  if (dim < 0 || dim >= static_cast<int64_t>(sizes.size())) {
    error() << "expects a dim below rank " << sizes.size() << ", but got " << dim;
    return {};
  }
  sizes[dim] = 0;
  for (Value input : inputs) {
    if (rankOf(input) != static_cast<int64_t>(sizes.size())) {
      error() << "expects tensors of rank " << sizes.size() << ", but got "
              << rt::tensorType(input);
      return {};
    }
    sizes[dim] += sizeOf(input, dim);
  }
  SmallVector<Value> fitting;
  for (Value input : inputs) {
    Dims wanted = sizes;
    wanted[dim] = sizeOf(input, dim);
    fitting.push_back(sized(input, wanted));
  }
  return compute<rt::CatOp>(sizes, dtypeOf(inputs.front()), fitting, dim);
}

LogicalResult Emitter::write(Value value, Value target) {
  if (!value || !target)
    return failure();
  if (value == target)
    return success();
  value = convert(value, dtypeOf(target));
  if (sizesOf(value) != sizesOf(target))
    value = expand(value, sizesOf(target));
  if (!value)
    return failure();
  rt::WriteOp::create(builder, loc, value, target);
  return success();
}

} // namespace rtorch::translate
