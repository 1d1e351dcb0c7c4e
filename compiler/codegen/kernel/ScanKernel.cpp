// Running sums and kin: each line along the dim is walked from its beginning, many
// lines at once where they lie side by side.
#include "compiler/codegen/kernel/SliceNest.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
namespace {

/// Eager carries float32 in float64, and float16 and bfloat16 in float32.
Type carriedType(Type element) {
  if (element.isF32())
    return Float64Type::get(element.getContext());
  return registerType(element);
}

/// log(exp(a) + exp(b)) without overflow.
Value logAddExp(FormulaBuilder &f, Value a, Value b) {
  Value top = f.maximum(a, b), bottom = f.minimum(a, b);
  Value sum = f.add(top, f.log1p(f.exp(f.sub(bottom, top))));
  // inf - inf is NaN, but the sum of equal infinities is that infinity.
  return f.select(f.bitAnd(f.compare(FormulaBuilder::Eq, a, b), f.isInf(a)), a, sum);
}

Value combine(FormulaBuilder &f, StringRef how, Value sum, Value x) {
  if (how == "add")
    return f.add(sum, x);
  if (how == "mul")
    return f.mul(sum, x);
  if (how == "max")
    return f.maximum(sum, x);
  if (how == "min")
    return f.minimum(sum, x);
  return logAddExp(f, sum, x);
}

Value neutral(FormulaBuilder &f, StringRef how, Type type) {
  if (how == "add" || how == "mul")
    return f.constant(type, how == "mul");
  return how == "min" ? f.highest(type) : f.lowest(type);
}

void emitLine(gemm::Emitter &e, KernelState &state, rt::ScanOp scan, int64_t width,
              Indices position, Value mask) {
  FormulaBuilder f(e.b, e.loc);
  int64_t dim = scan.getDim();
  rt::TensorType stored = tensorType(state.kernel.getYield().getOperand(0));
  Type element = stored.getElementType(), carried = carriedType(element);
  Type type = width == 1 ? carried : Type(VectorType::get(width, carried));
  StringRef how = scan.getCombine();
  Value size = e.lower(stored.getSize(dim), state.symbols);
  e.loop(e.constant(0), size, 1, {neutral(f, how, type)},
         [&](Value at, ValueRange sums) -> SmallVector<Value> {
           Indices here = position;
           here[dim] = Index{at};
           Evaluator values(state, e.b, e.loc, width, mask);
           Value x = f.convert(values.vectorAt(scan.getX(), here), carried);
           Value sum = combine(f, how, sums[0], x);
           Value rounded = roundTo(f, f.convert(sum, registerType(element)), element);
           values.store(rounded, stored, state.buffers.back(), here);
           return {sum};
         });
}

} // namespace

KernelInfo emitScanKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                          const Target &target) {
  auto scan = *kernel.getBlock().getOps<rt::ScanOp>().begin();
  rt::TensorType type = tensorType(kernel.getYield().getOperand(0));
  int64_t dim = scan.getDim();
  SliceNest nest = SliceNest::of(type, {dim}, type.getSize(dim), target);
  KernelState state;
  state.kernel = kernel;
  emitKernelFunction(builder, symbol, state, [&](OpBuilder &b, Value tile, Value) {
    gemm::Emitter e(b, scan.getLoc());
    nest.forSlices(e, state, tile, [&](const Indices &position, Value mask) {
      emitLine(e, state, scan, nest.width, position, mask);
    });
  });
  KernelInfo info;
  info.grid = nest.grid();
  info.sites = std::move(state.sites);
  return info;
}

} // namespace rtorch::codegen
