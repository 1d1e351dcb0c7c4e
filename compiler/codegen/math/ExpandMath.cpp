#include "compiler/codegen/math/ExpandMath.h"

#include "compiler/codegen/math/Functions.h"
#include "compiler/codegen/math/NumberFormats.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

using Expansion = V (*)(ArrayRef<V> operands);

template <V (*function)(V)> V unary(ArrayRef<V> operands) {
  return function(operands[0]);
}
template <V (*function)(V, V)> V binary(ArrayRef<V> operands) {
  return function(operands[0], operands[1]);
}

V rsqrt(ArrayRef<V> operands) { return 1.0 / sqrt(operands[0]); }

/// The expansion of the op called `name`, or null if it has an instruction.
Expansion expansionOf(StringRef name) {
  static const llvm::StringMap<Expansion> table = {
      {"arith.remf", binary<emitRemainder>},
      {"math.acos", unary<emitAcos>},
      {"math.acosh", unary<emitAcosh>},
      {"math.asin", unary<emitAsin>},
      {"math.asinh", unary<emitAsinh>},
      {"math.atan", unary<emitAtan>},
      {"math.atan2", binary<emitAtan2>},
      {"math.atanh", unary<emitAtanh>},
      {"math.cos", unary<emitCos>},
      {"math.cosh", unary<emitCosh>},
      {"math.erf", unary<emitErf>},
      {"math.erfc", unary<emitErfc>},
      {"math.exp", unary<emitExp>},
      {"math.exp2", unary<emitExp2>},
      {"math.expm1", unary<emitExpm1>},
      {"math.log", unary<emitLog>},
      {"math.log10", unary<emitLog10>},
      {"math.log1p", unary<emitLog1p>},
      {"math.log2", unary<emitLog2>},
      {"math.powf", binary<emitPow>},
      {"math.rsqrt", rsqrt},
      {"math.sin", unary<emitSin>},
      {"math.sinh", unary<emitSinh>},
      {"math.tan", unary<emitTan>},
      {"math.tanh", unary<emitTanh>},
  };
  return table.lookup(name);
}

/// Replaces `op` by its expansion; types narrower than f32 are computed in f32.
LogicalResult expandOp(Operation *op, Expansion expansion) {
  Type type = op->getResult(0).getType();
  Type element = getElementTypeOrSelf(type);
  bool narrow = element.isF16() || element.isBF16();
  if (!narrow && !element.isF32() && !element.isF64())
    return op->emitOpError() << "is only expanded for f16, bf16, f32 and f64, but got "
                             << type;
  OpBuilder builder(op);
  Type wideType = type;
  if (narrow) {
    wideType = builder.getF32Type();
    if (auto vector = dyn_cast<VectorType>(type))
      wideType = vector.clone(wideType);
  }
  Emitter emitter(builder, op->getLoc(), wideType);
  SmallVector<V> operands;
  for (Value operand : op->getOperands()) {
    if (narrow)
      operand = arith::ExtFOp::create(builder, op->getLoc(), wideType, operand);
    operands.push_back(emitter.wrap(operand));
  }
  Value result = expansion(operands).value;
  if (narrow)
    result = arith::TruncFOp::create(builder, op->getLoc(), type, result);
  op->getResult(0).replaceAllUsesWith(result);
  op->erase();
  return success();
}

/// `math.sincos` → `math.sin` and `math.cos`; `math.fpowi` → `math.powf`.
void splitCompositeOps(Operation *root) {
  root->walk([](Operation *op) {
    OpBuilder builder(op);
    if (auto sincos = dyn_cast<mlir::math::SincosOp>(op)) {
      Value operand = sincos.getOperand();
      op->getResult(0).replaceAllUsesWith(
          mlir::math::SinOp::create(builder, op->getLoc(), operand));
      op->getResult(1).replaceAllUsesWith(
          mlir::math::CosOp::create(builder, op->getLoc(), operand));
      op->erase();
    } else if (auto power = dyn_cast<mlir::math::FPowIOp>(op)) {
      Value exponent = arith::SIToFPOp::create(builder, op->getLoc(), power.getType(),
                                               power.getRhs());
      op->getResult(0).replaceAllUsesWith(
          mlir::math::PowFOp::create(builder, op->getLoc(), power.getLhs(), exponent));
      op->erase();
    }
  });
}

} // namespace

LogicalResult expandMath(Operation *root, const ExpandMathOptions &options) {
  splitCompositeOps(root);
  SmallVector<std::pair<Operation *, Expansion>> work;
  root->walk([&](Operation *op) {
    if (Expansion expansion = expansionOf(op->getName().getStringRef()))
      work.emplace_back(op, expansion);
  });
  for (auto [op, expansion] : work)
    if (failed(expandOp(op, expansion)))
      return failure();
  expandIntegerPowers(root);
  expandNarrowConversions(root, options.hasF16);
  if (!options.hasFma)
    expandFusedMultiplyAdd(root);
  return success();
}

} // namespace rtorch::codegen
