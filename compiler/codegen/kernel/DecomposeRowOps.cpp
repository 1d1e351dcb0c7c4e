// softmax, log_softmax and layer_norm as reductions and pointwise ops.
#include "compiler/codegen/kernel/KernelFunction.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;
namespace {

/// Creates ops on tensors that broadcast against `full`.
struct RowBuilder {
  OpBuilder &b;
  Location loc;
  TensorType full;
  SmallVector<int64_t> dims;

  TensorType reduced() const {
    Dims sizes = full.getSizes();
    for (int64_t dim : dims)
      sizes[dim] = 1;
    return TensorType::get(b.getContext(), sizes, full.getElementType());
  }
  /// `x` as eager computes rows: float16 and bfloat16 in float32.
  Value widened(Value x) {
    TensorType type = tensorType(x);
    if (!type.getElementType().isF16() && !type.getElementType().isBF16())
      return x;
    return rt::ConvertOp::create(
        b, loc, TensorType::get(b.getContext(), type.getSizes(), b.getF32Type()), x);
  }
  template <typename Op> Value reduce(Value x) {
    return Op::create(b, loc, reduced(), x, b.getDenseI64ArrayAttr(dims),
                      b.getBoolAttr(true));
  }
  template <typename Op, typename... Args> Value map(Value first, Args... rest) {
    TensorType type = tensorType(first).withRowMajorLayout();
    return Op::create(b, loc, type, first, rest...);
  }
  Value scalar(Attribute value) {
    return rt::FullOp::create(
        b, loc, TensorType::get(b.getContext(), Dims{}, full.getElementType()), value);
  }
  Value scalar(double value) {
    return scalar(b.getFloatAttr(full.getElementType(), value));
  }
  Value count() {
    Expr product = 1;
    for (int64_t dim : dims)
      product *= full.getSize(dim);
    if (product.isConstant())
      return scalar(static_cast<double>(*product.constant()));
    return scalar(rt::ExprAttr::get(b.getContext(), product));
  }
};

Value softmax(RowBuilder &row, Value x, bool log) {
  x = row.widened(x);
  Value shifted = row.map<rt::SubOp>(x, row.reduce<rt::AmaxOp>(x));
  Value exponentials = row.map<rt::ExpOp>(shifted);
  Value sum = row.reduce<rt::SumOp>(exponentials);
  if (log)
    return row.map<rt::SubOp>(shifted, row.map<rt::LogOp>(sum));
  return row.map<rt::MulOp>(exponentials, row.map<rt::ReciprocalOp>(sum));
}

Value layerNorm(RowBuilder &row, rt::LayerNormOp op) {
  Value x = row.widened(op.getX()), count = row.count();
  Value mean = row.map<rt::DivOp>(row.reduce<rt::SumOp>(x), count);
  Value centered = row.map<rt::SubOp>(x, mean);
  Value squares = row.reduce<rt::SumOp>(row.map<rt::MulOp>(centered, centered));
  Value variance = row.map<rt::DivOp>(squares, count);
  Value eps = row.scalar(op.getEps().convertToDouble());
  Value scale = row.map<rt::RsqrtOp>(row.map<rt::AddOp>(variance, eps));
  Value result = row.map<rt::MulOp>(centered, scale);
  if (op.getWeight())
    result = row.map<rt::MulOp>(result, row.widened(op.getWeight()));
  if (op.getBias())
    result = row.map<rt::AddOp>(result, row.widened(op.getBias()));
  return result;
}

} // namespace

void decomposeRowOps(rt::KernelOp kernel) {
  for (Operation &op : llvm::make_early_inc_range(kernel.getBlock())) {
    if (!isa<rt::SoftmaxOp, rt::LogSoftmaxOp, rt::LayerNormOp>(op))
      continue;
    OpBuilder builder(&op);
    TensorType type = tensorType(op.getResult(0));
    RowBuilder row{builder, op.getLoc(), type, {}};
    row.full = tensorType(row.widened(op.getOperand(0)));
    Value result;
    if (auto norm = dyn_cast<rt::LayerNormOp>(op)) {
      for (int64_t dim = row.full.getRank() - norm.getNormalizedDims();
           dim < row.full.getRank(); ++dim)
        row.dims.push_back(dim);
      result = layerNorm(row, norm);
    } else {
      row.dims.push_back(isa<rt::SoftmaxOp>(op) ? cast<rt::SoftmaxOp>(op).getDim()
                                                : cast<rt::LogSoftmaxOp>(op).getDim());
      result = softmax(row, op.getOperand(0), isa<rt::LogSoftmaxOp>(op));
    }
    // The op's own layout stays: it may be what the kernel yields.
    if (row.full.getElementType() == type.getElementType())
      result.setType(type);
    else
      result = rt::ConvertOp::create(builder, op.getLoc(), type, result);
    op.getResult(0).replaceAllUsesWith(result);
    op.erase();
  }
}

} // namespace rtorch::codegen
