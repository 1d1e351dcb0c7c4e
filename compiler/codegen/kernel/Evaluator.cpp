#include "compiler/codegen/kernel/Evaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

Value Evaluator::vectorAt(Value value, ArrayRef<Index> indices) {
  return broadcast(at(value, indices));
}

Value Evaluator::filledAt(Value value, ArrayRef<Index> indices) {
  Value result = at(value, indices);
  auto type = VectorType::get(width_, FormulaBuilder::elementOf(result.getType()));
  bool isVector = isa<VectorType>(result.getType());
  Value vector =
      isVector ? result : vector::BroadcastOp::create(e_.b, e_.loc, type, result);
  // Masked loads give 0 by themselves, formulas of them need not.
  if (mask_ && !(isVector && isa<BlockArgument>(value)))
    vector = arith::SelectOp::create(e_.b, e_.loc, mask_, vector, e_.zero(type));
  return vector;
}

void Evaluator::storeResults(ArrayRef<Index> indices) {
  size_t inputs = state_.kernel.getBlock().getNumArguments();
  for (auto [i, value] : llvm::enumerate(state_.kernel.getYield().getOperands()))
    store(vectorAt(value, indices), tensorType(value), state_.buffers[inputs + i],
          indices);
}

Value Evaluator::at(Value value, ArrayRef<Index> indices) {
  if (auto it = bindings_.find(value); it != bindings_.end())
    return it->second(*this, indices);
  Block *block = e_.b.getInsertionBlock();
  for (const Known &known : known_)
    if (known.value == value && known.block == block && known.mask == mask_ &&
        known.indices == Indices(indices))
      return known.result;
  Value result;
  if (auto argument = dyn_cast<BlockArgument>(value))
    result = load(tensorType(value), state_.buffers[argument.getArgNumber()], indices);
  else
    result = compute(value.getDefiningOp(), indices);
  known_.push_back({value, Indices(indices), mask_, result, block});
  return result;
}

Value Evaluator::compute(Operation *op, ArrayRef<Index> indices) {
  if (isa<rt::PointwiseOpInterface>(op))
    return pointwise(op, indices);
  if (auto viewOp = dyn_cast<rt::ViewOpInterface>(op))
    return view(viewOp, indices);
  if (auto clone = dyn_cast<rt::CloneOp>(op))
    return at(clone.getSource(), indices);
  if (auto fullOp = dyn_cast<rt::FullOp>(op))
    return full(fullOp);
  if (auto iotaOp = dyn_cast<rt::IotaOp>(op))
    return iota(iotaOp, indices);
  if (auto indexOp = dyn_cast<rt::IndexOp>(op))
    return index(indexOp, indices);
  if (auto padOp = dyn_cast<rt::PadOp>(op))
    return pad(padOp, indices);
  if (auto catOp = dyn_cast<rt::CatOp>(op))
    return cat(catOp, indices);
  llvm_unreachable("checked by findUnsupported");
}

Value Evaluator::pointwise(Operation *op, ArrayRef<Index> indices) {
  SmallVector<Value> operands;
  bool anyVector = false;
  for (Value operand : op->getOperands()) {
    operands.push_back(at(operand, broadcastIndices(tensorType(operand), indices)));
    anyVector |= isa<VectorType>(operands.back().getType());
  }
  if (anyVector)
    for (Value &operand : operands)
      operand = broadcast(operand);
  FormulaBuilder f(e_.b, e_.loc);
  f.raiseIf = [&](Value condition, StringRef message) {
    raiseIf(condition, message, op->getLoc());
  };
  Type element = tensorType(op->getResult(0)).getElementType();
  if (isa<rt::ConvertOp>(op))
    return roundTo(f, f.convert(operands[0], registerType(element)), element);
  return roundTo(f, cast<rt::PointwiseOpInterface>(op).emitFormula(f, operands),
                 element);
}

/// The constant that `op` is a view of, if it is one: the same at any index.
static rt::FullOp viewedFull(rt::ViewOpInterface op) {
  Value source = op.getViewSource();
  while (auto outer = source.getDefiningOp<rt::ViewOpInterface>())
    source = outer.getViewSource();
  return source.getDefiningOp<rt::FullOp>();
}

Operation *findUnsupported(rt::KernelOp kernel) {
  for (Operation &op : kernel.getBlock()) {
    auto view = dyn_cast<rt::ViewOpInterface>(op);
    bool known =
        isa<rt::PointwiseOpInterface, rt::ReductionOpInterface, rt::SoftmaxOp,
            rt::LogSoftmaxOp, rt::LayerNormOp, rt::CloneOp, rt::FullOp, rt::IotaOp,
            rt::IndexOp, rt::PadOp, rt::CatOp, rt::PermuteOp, rt::ExpandOp,
            rt::UnsqueezeOp, rt::SqueezeOp, rt::SelectOp, rt::SliceOp, rt::UnfoldOp,
            rt::LinearOp, rt::PackedLinearOp, rt::MatmulOp, rt::ConvolutionOp,
            rt::PackedConvolutionOp, rt::AttentionOp, rt::ScanOp, rt::SortOp,
            rt::ScatterOp, rt::YieldOp>(op) ||
        (view && viewedFull(view));
    if (!known)
      return &op;
  }
  return nullptr;
}

std::optional<Indices> Evaluator::mapView(rt::ViewOpInterface op,
                                          ArrayRef<Index> indices) {
  TensorType source = tensorType(op.getViewSource());
  Indices mapped(indices);
  return llvm::TypeSwitch<Operation *, std::optional<Indices>>(op.getOperation())
      .Case([&](rt::PermuteOp permute) {
        for (auto [i, dim] : llvm::enumerate(permute.getPermutation()))
          mapped[dim] = indices[i];
        return mapped;
      })
      .Case([&](rt::ExpandOp) { return broadcastIndices(source, indices); })
      .Case([&](rt::UnsqueezeOp unsqueeze) {
        mapped.erase(mapped.begin() + unsqueeze.getDim());
        return mapped;
      })
      .Case([&](rt::SqueezeOp squeeze) {
        for (int64_t dim : squeeze.getDims())
          if (source.getSize(dim).isConstant(1))
            mapped.insert(mapped.begin() + dim, Index{e_.constant(0)});
        return mapped;
      })
      .Case([&](rt::SelectOp select) {
        mapped.insert(mapped.begin() + select.getDim(),
                      Index{lower(select.getIndex().getValue())});
        return mapped;
      })
      .Case([&](rt::SliceOp slice) {
        layout::Guards guards = rt::guardsAround(slice);
        layout::Layout line{{source.getSize(slice.getDim())}, {1}, 0};
        Expr start =
            layout::sliceDim(line, 0, slice.getStart().getValue(),
                             slice.getEnd().getValue(), slice.getStep(), guards)
                .offset;
        Index &index = mapped[slice.getDim()];
        index = addTo(scale(index, slice.getStep()), lower(start));
        return mapped;
      })
      .Case([&](rt::UnfoldOp unfold) {
        Index inWindow = scale(mapped.pop_back_val(), unfold.getDilation());
        if (mapped.empty()) // of rank 0
          return mapped;
        Index &index = mapped[unfold.getDim()];
        index = add(scale(index, unfold.getStep()), inWindow);
        return mapped;
      })
      .Default([](Operation *) { return std::nullopt; });
}

Value Evaluator::view(rt::ViewOpInterface op, ArrayRef<Index> indices) {
  if (rt::FullOp constant = viewedFull(op))
    return full(constant);
  std::optional<Indices> mapped = mapView(op, indices);
  assert(mapped && "checked by findUnsupported");
  return at(op.getViewSource(), *mapped);
}

Value Evaluator::constant(Attribute value, Type stored) {
  Type element = registerType(stored);
  FormulaBuilder f(e_.b, e_.loc);
  Value result;
  if (auto expr = dyn_cast<rt::ExprAttr>(value))
    result = f.convert(lower(expr.getValue()), element);
  else if (auto real = dyn_cast<FloatAttr>(value))
    result = f.constant(element, real.getValueAsDouble());
  else if (auto truth = dyn_cast<BoolAttr>(value))
    result = f.constant(element, truth.getValue());
  else
    result = f.integer(element, cast<IntegerAttr>(value).getValue().getSExtValue());
  return roundTo(f, result, stored);
}

Value Evaluator::full(rt::FullOp op) {
  return constant(op.getValue(), tensorType(op.getResult()).getElementType());
}

Value Evaluator::iota(rt::IotaOp op, ArrayRef<Index> indices) {
  Type stored = tensorType(op.getResult()).getElementType();
  Type element = registerType(stored);
  FormulaBuilder f(e_.b, e_.loc);
  auto number = [&](Attribute value, Type like) -> Value {
    if (auto expr = dyn_cast<rt::ExprAttr>(value)) {
      Value scalar = f.convert(lower(expr.getValue()), element);
      return isa<VectorType>(like) ? broadcast(scalar) : scalar;
    }
    if (auto real = dyn_cast<FloatAttr>(value))
      return f.constant(like, real.getValueAsDouble());
    return f.integer(like, cast<IntegerAttr>(value).getValue().getSExtValue());
  };
  Value index = f.convert(materialize(indices[0]), element);
  Value step = number(op.getStep(), index.getType());
  Value result = f.add(number(op.getStart(), index.getType()), f.mul(index, step));
  return roundTo(f, result, stored);
}

} // namespace rtorch::codegen
