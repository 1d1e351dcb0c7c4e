#include "dialects/rt/OpVerifiers.h"

using namespace mlir;
using rtorch::layout::Dims;

namespace rtorch::rt {

/// All operands that are there, and the result, have one dtype.
static LogicalResult verifyOneDtype(Operation *op, ValueRange values) {
  Type dtype = tensorType(op->getResult(0)).getElementType();
  for (Value value : values)
    if (value && tensorType(value).getElementType() != dtype)
      return op->emitOpError() << "expects dtype " << dtype << " everywhere, but got "
                               << tensorType(value).getElementType();
  return success();
}

static LogicalResult verifyResultSizes(Operation *op, const Dims &expected) {
  TensorType result = tensorType(op->getResult(0));
  if (expected != result.getSizes())
    return op->emitOpError() << "expects result sizes " << printDims(expected)
                             << ", but got " << printSizes(result);
  return success();
}

LogicalResult LinearOp::verify() {
  TensorType x = tensorType(getX()), weight = tensorType(getWeight());
  // linear_c1
  if (x.getRank() < 1 || weight.getRank() != 2 ||
      (getBias() && tensorType(getBias()).getRank() != 1))
    return emitOpError() << "expects 'x' of rank 1 or more, 'weight' of rank 2 and "
                            "'bias' of rank 1, but got "
                         << x << " and " << weight;
  // linear_c2
  if (x.getSize(x.getRank() - 1) != weight.getSize(1))
    return emitOpError() << "expects equal last sizes of 'x' and 'weight', but got "
                         << printSizes(x) << " and " << printSizes(weight);
  // linear_c3
  Dims expected = x.getSizes();
  expected.back() = weight.getSize(0);
  if (failed(verifyResultSizes(*this, expected)))
    return failure();
  if (getBias() && tensorType(getBias()).getSize(0) != weight.getSize(0))
    return emitOpError() << "expects 'bias' of size " << weight.getSize(0).str()
                         << ", but got " << printSizes(tensorType(getBias()));
  // linear_c4
  return verifyOneDtype(*this, getOperands());
}

SmallVector<Dims> LinearOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult PackedLinearOp::verify() {
  TensorType x = tensorType(getX()), packed = tensorType(getPacked());
  // packed_linear_c1
  if (x.getRank() < 1 || packed.getRank() != 3 ||
      (getBias() && tensorType(getBias()).getRank() != 1))
    return emitOpError() << "expects 'x' of rank 1 or more, 'packed' of rank 3 and "
                            "'bias' of rank 1, but got "
                         << x << " and " << packed;
  // packed_linear_c2
  Dims expected = x.getSizes();
  expected.back() = static_cast<int64_t>(getColumns());
  if (failed(verifyResultSizes(*this, expected)))
    return failure();
  if (getBias() && tensorType(getBias()).getSize(0) != expected.back())
    return emitOpError() << "expects 'bias' of size " << expected.back().str()
                         << ", but got " << printSizes(tensorType(getBias()));
  // packed_linear_c3
  return verifyOneDtype(*this, getOperands());
}

SmallVector<Dims> PackedLinearOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult MatmulOp::verify() {
  TensorType lhs = tensorType(getLhs()), rhs = tensorType(getRhs());
  int64_t l = lhs.getRank(), r = rhs.getRank();
  // matmul_c1
  if (l < 2 || r < 2)
    return emitOpError() << "expects operands of rank 2 or more, but got " << lhs
                         << " and " << rhs;
  // matmul_c2
  if (lhs.getSize(l - 1) != rhs.getSize(r - 2))
    return emitOpError() << "expects the last size of 'lhs' to be the last but one of "
                            "'rhs', but got "
                         << printSizes(lhs) << " and " << printSizes(rhs);
  // matmul_c3
  Dims left = lhs.getSizes(), right = rhs.getSizes();
  left.resize(l - 2), right.resize(r - 2);
  layout::Guards guards = guardsAround(*this);
  std::optional<Dims> expected =
      layout::broadcastSizes(std::vector<Dims>{left, right}, guards);
  if (!expected)
    return emitOpError() << "cannot broadcast leading sizes " << printDims(left)
                         << " and " << printDims(right);
  expected->push_back(lhs.getSize(l - 2));
  expected->push_back(rhs.getSize(r - 1));
  if (failed(verifyResultSizes(*this, *expected)))
    return failure();
  // matmul_c4
  return verifyOneDtype(*this, getOperands());
}

SmallVector<Dims> MatmulOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

Dims ConvolutionOp::resultSizes(const Dims &x, const Dims &weight,
                                ArrayRef<int64_t> stride, ArrayRef<int64_t> padding,
                                ArrayRef<int64_t> dilation, int64_t groups,
                                std::optional<ArrayRef<int64_t>> outputPadding) {
  Dims sizes = {x[0], outputPadding ? weight[1] * layout::Expr(groups) : weight[0]};
  for (size_t i = 0; i + 2 < x.size(); ++i) {
    layout::Expr size = x[i + 2], window = (weight[i + 2] - 1) * dilation[i] + 1;
    if (outputPadding)
      sizes.push_back((size - 1) * stride[i] - 2 * padding[i] + window +
                      (*outputPadding)[i]);
    else
      sizes.push_back(floordiv(size + 2 * padding[i] - window, stride[i]) + 1);
  }
  return sizes;
}

/// `numbers` has one for each spatial dim of a tensor of `rank`, all at least `least`.
static bool fitsSpatialDims(ArrayRef<int64_t> numbers, int64_t rank, int64_t least) {
  return static_cast<int64_t>(numbers.size()) == rank - 2 &&
         llvm::all_of(numbers, [&](int64_t number) { return number >= least; });
}

/// The bias of a convolution has one number for each of `channels`.
static LogicalResult verifyChannelBias(Operation *op, Value bias,
                                       const layout::Expr &channels) {
  if (bias && tensorType(bias).getSize(0) != channels)
    return op->emitOpError() << "expects 'bias' of size " << channels.str()
                             << ", but got " << printSizes(tensorType(bias));
  return success();
}

LogicalResult ConvolutionOp::verify() {
  TensorType x = tensorType(getX()), weight = tensorType(getWeight()),
             result = tensorType(getResult());
  int64_t rank = x.getRank();
  // convolution_c1
  if (rank < 3 || rank > 5 || weight.getRank() != rank || result.getRank() != rank ||
      (getBias() && tensorType(getBias()).getRank() != 1))
    return emitOpError() << "expects 'x' and 'weight' of equal ranks of 3 to 5 and "
                            "'bias' of rank 1, but got "
                         << x << " and " << weight;
  // convolution_c2
  if (!fitsSpatialDims(getStride(), rank, 1) ||
      !fitsSpatialDims(getPadding(), rank, 0) ||
      !fitsSpatialDims(getDilation(), rank, 1) ||
      (isTransposed() && !fitsSpatialDims(*getOutputPadding(), rank, 0)))
    return emitOpError() << "expects a positive stride and dilation and a padding of 0 "
                            "or more for each of "
                         << rank - 2 << " dims, but got stride [" << getStride()
                         << "], padding [" << getPadding() << "], dilation ["
                         << getDilation() << "]";
  // convolution_c3
  int64_t groups = getGroups();
  layout::Expr inGroup = isTransposed() ? result.getSize(1) : x.getSize(1);
  if (groups < 1 || weight.getSize(1) * groups != inGroup ||
      layout::mod(weight.getSize(0), groups) != layout::Expr(0) ||
      (isTransposed() && weight.getSize(0) != x.getSize(1)))
    return emitOpError() << "expects a weight for " << groups << " groups of "
                         << x.getSize(1).str() << " channels, but got "
                         << printSizes(weight);
  // convolution_c4
  Dims expected = resultSizes(x.getSizes(), weight.getSizes(), getStride(),
                              getPadding(), getDilation(), groups, getOutputPadding());
  if (failed(verifyResultSizes(*this, expected)) ||
      failed(verifyChannelBias(*this, getBias(), expected[1])))
    return failure();
  // convolution_c5
  return verifyOneDtype(*this, getOperands());
}

/// Channels last if the input or the weight is; a 1-d convolution is a 2-d one of a
/// row-major input.
SmallVector<Dims> ConvolutionOp::eagerStrides(layout::Guards &guards) {
  TensorType x = tensorType(getX()), weight = tensorType(getWeight());
  Dims sizes = tensorType(getResult()).getSizes();
  auto suggests = [&](const layout::Layout &layout) {
    return layout::suggestMemoryFormat(layout, guards) !=
           layout::MemoryFormat::Contiguous;
  };
  if (x.getRank() == 3) {
    layout::Layout input = x.getLayout();
    if (!layout::isContiguous(input, guards)) // strides of dims of size 1 stay
      input.strides = layout::contiguousStrides(input.sizes);
    Dims flat = sizes;
    flat.insert(flat.begin() + 2, 1);
    bool last = suggests(layout::unsqueezeDim(input, 2)) ||
                suggests(layout::unsqueezeDim(weight.getLayout(), 2));
    if (!last)
      return {layout::contiguousStrides(sizes)};
    Dims strides = layout::stridesOf(layout::MemoryFormat::ChannelsLast, flat);
    strides.erase(strides.begin() + 2);
    return {strides};
  }
  bool last = suggests(x.getLayout()) || suggests(weight.getLayout());
  if (!last)
    return {layout::contiguousStrides(sizes)};
  return {layout::stridesOf(x.getRank() == 4 ? layout::MemoryFormat::ChannelsLast
                                             : layout::MemoryFormat::ChannelsLast3d,
                            sizes)};
}

LogicalResult PackedConvolutionOp::verify() {
  TensorType x = tensorType(getX()), packed = tensorType(getPacked());
  int64_t rank = x.getRank(), channels = getChannels();
  // packed_convolution_c1
  if (rank < 3 || rank > 5 || packed.getRank() != rank + 2 ||
      (getBias() && tensorType(getBias()).getRank() != 1))
    return emitOpError()
           << "expects 'x' of rank 3 to 5, 'packed' of a rank larger by 2 "
              "and 'bias' of rank 1, but got "
           << x << " and " << packed;
  // packed_convolution_c2
  if (!fitsSpatialDims(getStride(), rank, 1) ||
      !fitsSpatialDims(getPadding(), rank, 0) ||
      !fitsSpatialDims(getDilation(), rank, 1))
    return emitOpError() << "expects a positive stride and dilation and a padding of 0 "
                            "or more for each of "
                         << rank - 2 << " dims, but got stride [" << getStride()
                         << "], padding [" << getPadding() << "], dilation ["
                         << getDilation() << "]";
  // packed_convolution_c3
  Dims packedSizes = packed.getSizes();
  int64_t groups = packedSizes[0].constant().value_or(0);
  if (groups < 1 || channels % groups != 0 ||
      packedSizes[rank] * groups != x.getSize(1) ||
      packedSizes[1] != layout::ceildiv(channels / groups, packedSizes[rank + 1]))
    return emitOpError() << "expects panels of " << channels << " channels of a result "
                         << "of " << x.getSize(1).str() << " channels, but got "
                         << printSizes(packed);
  // packed_convolution_c6
  Dims taps(packedSizes.begin() + 2, packedSizes.begin() + rank);
  if (getWinograd()) {
    auto isOne = [](int64_t number) { return number == 1; };
    if (taps != Dims{4, 4} || !llvm::all_of(getStride(), isOne) ||
        !llvm::all_of(getDilation(), isOne))
      return emitOpError() << "expects windows of 4 x 4 in 'packed', strides and "
                              "dilations of 1 with 'winograd', but got "
                           << printSizes(packed) << ", stride [" << getStride()
                           << "], dilation [" << getDilation() << "]";
    taps = {3, 3};
  }
  // packed_convolution_c4
  Dims weight = {layout::Expr(channels), packedSizes[rank]};
  weight.insert(weight.end(), taps.begin(), taps.end());
  Dims expected =
      ConvolutionOp::resultSizes(x.getSizes(), weight, getStride(), getPadding(),
                                 getDilation(), groups, std::nullopt);
  if (failed(verifyResultSizes(*this, expected)) ||
      failed(verifyChannelBias(*this, getBias(), expected[1])))
    return failure();
  // packed_convolution_c5
  return verifyOneDtype(*this, getOperands());
}

SmallVector<Dims> PackedConvolutionOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult AttentionOp::verify() {
  TensorType q = tensorType(getQuery()), k = tensorType(getKey()),
             v = tensorType(getValue());
  int64_t rank = q.getRank();
  // attention_c1
  if (rank < 2 || k.getRank() != rank || v.getRank() != rank)
    return emitOpError()
           << "expects 'query', 'key' and 'value' of one rank of 2 or more, "
              "but got "
           << q << ", " << k << " and " << v;
  // attention_c2
  if (q.getSize(rank - 1) != k.getSize(rank - 1) ||
      k.getSize(rank - 2) != v.getSize(rank - 2))
    return emitOpError() << "expects equal head sizes of 'query' and 'key' and equal "
                            "lengths of 'key' and 'value', but got "
                         << printSizes(q) << ", " << printSizes(k) << " and "
                         << printSizes(v);
  // attention_c3
  Dims expected = q.getSizes();
  expected.back() = v.getSize(rank - 1);
  if (failed(verifyResultSizes(*this, expected)))
    return failure();
  // attention_c4
  if (failed(verifyOneDtype(*this, {getQuery(), getKey(), getValue()})))
    return failure();
  if (!getMask())
    return success();
  TensorType mask = tensorType(getMask());
  if (!mask.getElementType().isInteger(1) &&
      mask.getElementType() != q.getElementType())
    return emitOpError() << "expects 'mask' of bool or " << q.getElementType()
                         << ", but got " << mask.getElementType();
  // attention_c5
  Dims scores = q.getSizes();
  scores.back() = k.getSize(rank - 2);
  layout::Guards guards = guardsAround(*this);
  auto sizes =
      layout::broadcastSizes(std::vector<Dims>{scores, mask.getSizes()}, guards);
  if (!sizes || *sizes != scores)
    return emitOpError() << "expects 'mask' to broadcast to " << printDims(scores)
                         << ", but got " << printSizes(mask);
  return success();
}

SmallVector<Dims> AttentionOp::eagerStrides(layout::Guards &guards) {
  // The fused kernel keeps the query's format; it needs last strides of 1 and equal
  // head sizes. Everything else takes the math path, whose result is row-major.
  TensorType q = tensorType(getQuery());
  int64_t last = q.getRank() - 1;
  bool fused =
      q.getSize(last) == tensorType(getValue()).getSize(last) && q.getRank() == 4;
  for (Value operand : {getQuery(), getKey(), getValue()})
    fused = fused && tensorType(operand).getStrides()[last].isConstant(1);
  if (fused)
    return {layout::preserveStrides(q.getLayout(), guards)};
  return rowMajorEagerStrides(*this);
}

LogicalResult PackOp::verify() {
  TensorType source = tensorType(getSource());
  // pack_c1
  if (source.getRank() != 2)
    return emitOpError() << "expects 'source' of rank 2, but got " << source;
  // pack_c2
  int64_t kDim = getTransposed() ? 1 : 0;
  int64_t panel = getPanel(), multiple = getKMultiple();
  Dims expected = {
      layout::ceildiv(source.getSize(1 - kDim), panel),
      layout::ceildiv(source.getSize(kDim), multiple) * layout::Expr(multiple), panel};
  return verifyResultSizes(*this, expected);
}

} // namespace rtorch::rt
