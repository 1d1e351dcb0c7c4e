// How the evaluator reaches memory: the formats of elements, indices and addresses.
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

//===----------------------------------------------------------------------===//
// Formats
//===----------------------------------------------------------------------===//

Type memoryType(Type elementType) {
  if (elementType.isInteger(1))
    return IntegerType::get(elementType.getContext(), 8);
  if (elementType.isF16() || elementType.isBF16())
    return IntegerType::get(elementType.getContext(), 16);
  if (auto integer = dyn_cast<IntegerType>(elementType))
    return IntegerType::get(elementType.getContext(), integer.getWidth());
  return elementType;
}

Type registerType(Type elementType) {
  MLIRContext *context = elementType.getContext();
  if (elementType.isF16() || elementType.isBF16())
    return Float32Type::get(context);
  if (elementType.isUnsignedInteger(8))
    return IntegerType::get(context, 32);
  return elementType;
}

/// The same bits as elements of another type.
static Value bitcast(FormulaBuilder f, Value x, Type elementType) {
  Type type = FormulaBuilder::withElement(x.getType(), elementType);
  return arith::BitcastOp::create(f.builder(), f.loc(), type, x);
}

static bool isHalf(Type type) { return type.isF16() || type.isBF16(); }

/// From memory to registers; what is in memory for a bool is a byte.
static Value fromMemory(FormulaBuilder f, Value loaded, Type elementType) {
  if (elementType.isInteger(1))
    return f.compare(FormulaBuilder::Ne, loaded, f.like(loaded, 0));
  if (elementType.isUnsignedInteger(8))
    return arith::ExtUIOp::create(
        f.builder(), f.loc(),
        FormulaBuilder::withElement(loaded.getType(), registerType(elementType)),
        loaded);
  if (isHalf(elementType))
    loaded = bitcast(f, loaded, elementType);
  return f.convert(loaded, registerType(elementType));
}

static Value toMemory(FormulaBuilder f, Value value, Type elementType) {
  if (isHalf(elementType))
    return bitcast(f, f.convert(value, elementType), memoryType(elementType));
  return f.convert(value, memoryType(elementType));
}

Value roundTo(FormulaBuilder f, Value value, Type elementType) {
  if (registerType(elementType) == elementType)
    return value;
  return fromMemory(f, toMemory(f, value, elementType), elementType);
}

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

Value Evaluator::materialize(const Index &index) {
  if (index.lanes || index.laneStep == 0)
    return index.lanes ? index.lanes : index.base;
  auto type = VectorType::get(width_, e_.b.getI64Type());
  SmallVector<int64_t> steps;
  for (int64_t lane = 0; lane < width_; ++lane)
    steps.push_back(lane * index.laneStep);
  Value iota = arith::ConstantOp::create(e_.b, e_.loc,
                                         DenseElementsAttr::get(type, ArrayRef(steps)));
  Value base = e_.broadcast(width_, index.base);
  return arith::AddIOp::create(e_.b, e_.loc, base, iota);
}

Index Evaluator::addTo(const Index &index, Value offset) {
  if (index.lanes)
    return {
        {},
        0,
        arith::AddIOp::create(e_.b, e_.loc, index.lanes, e_.broadcast(width_, offset))};
  return {e_.add(index.base, offset), index.laneStep, {}};
}

Index Evaluator::add(const Index &a, const Index &b) {
  if (!b.lanes && b.laneStep == 0)
    return addTo(a, b.base);
  if (!a.lanes && a.laneStep == 0)
    return addTo(b, a.base);
  if (!a.lanes && !b.lanes)
    return {e_.add(a.base, b.base), a.laneStep + b.laneStep, {}};
  return {{}, 0, arith::AddIOp::create(e_.b, e_.loc, materialize(a), materialize(b))};
}

Index Evaluator::scale(const Index &index, int64_t factor) {
  if (index.lanes)
    return {{},
            0,
            arith::MulIOp::create(e_.b, e_.loc, index.lanes,
                                  e_.broadcast(width_, e_.constant(factor)))};
  return {e_.mul(index.base, factor), index.laneStep * factor, {}};
}

Indices Evaluator::broadcastIndices(TensorType operand, ArrayRef<Index> indices) {
  Indices result;
  size_t skipped = indices.size() - operand.getRank();
  for (int64_t dim = 0; dim < operand.getRank(); ++dim)
    result.push_back(operand.getSize(dim).isConstant(1) ? Index{e_.constant(0)}
                                                        : indices[skipped + dim]);
  return result;
}

Index Evaluator::linearize(TensorType type, ArrayRef<Index> indices) {
  Index sum{e_.constant(0)};
  Value lanes;
  layout::Dims strides = type.getStrides();
  for (auto [index, stride] : llvm::zip_equal(indices, strides)) {
    if (stride.isConstant(0))
      continue;
    Value factor = lower(stride);
    bool perLane = index.lanes || (index.laneStep && !stride.isConstant());
    if (!perLane) {
      sum.base = e_.add(sum.base, e_.mul(index.base, factor));
      sum.laneStep += index.laneStep * stride.constant().value_or(0);
      continue;
    }
    Value scaled = arith::MulIOp::create(e_.b, e_.loc, materialize(index),
                                         e_.broadcast(width_, factor));
    lanes = lanes ? Value(arith::AddIOp::create(e_.b, e_.loc, lanes, scaled)) : scaled;
  }
  if (lanes)
    return {{}, 0, arith::AddIOp::create(e_.b, e_.loc, lanes, [&] {
              Value base = materialize(sum);
              return sum.laneStep ? base : e_.broadcast(width_, base);
            }())};
  return sum;
}

Value Evaluator::broadcast(Value x) {
  if (width_ == 1 || isa<VectorType>(x.getType()))
    return x;
  return vector::BroadcastOp::create(e_.b, e_.loc, VectorType::get(width_, x.getType()),
                                     x);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// The addresses of elements, one a lane.
static Value laneAddresses(gemm::Emitter &e, Type type, Value buffer, Value offsets) {
  auto pointers = VectorType::get(cast<VectorType>(offsets.getType()).getShape(),
                                  LLVM::LLVMPointerType::get(type.getContext()));
  return LLVM::GEPOp::create(e.b, e.loc, pointers, type, buffer,
                             ArrayRef<LLVM::GEPArg>{offsets});
}

static Value fullMask(gemm::Emitter &e, int64_t width) {
  auto type = VectorType::get(width, e.b.getI1Type());
  return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(type, true));
}

/// Every `laneStep`-th element from as many vectors. The last one ends with the last
/// lane's element: nothing past it is read.
static Value loadStrided(gemm::Emitter &e, VectorType type, Value buffer,
                         const Index &offset) {
  int64_t width = type.getNumElements(), step = offset.laneStep;
  Type element = type.getElementType();
  Value start = e.address(element, buffer, offset.base), result;
  for (int64_t part = 0; part < step; ++part) {
    int64_t first = part + 1 < step ? part * width : (width - 1) * step - (width - 1);
    Value elements = e.load(type, e.address(element, start, first), Value());
    if (!result) { // the lanes that it lacks come with the next parts
      SmallVector<int64_t> lanes(width);
      for (int64_t lane = 0; lane < width; ++lane)
        lanes[lane] = std::min(lane * step, width - 1);
      result = e.shuffle(elements, elements, lanes);
      continue;
    }
    SmallVector<int64_t> lanes(width);
    for (int64_t lane = 0; lane < width; ++lane) {
      int64_t at = lane * step - first;
      bool mine = lane * step >= part * width && at < width;
      lanes[lane] = mine ? width + at : lane;
    }
    result = e.shuffle(result, elements, lanes);
  }
  return result;
}

Value Evaluator::load(TensorType type, Value buffer, ArrayRef<Index> indices) {
  Type element = memoryType(type.getElementType());
  FormulaBuilder f(e_.b, e_.loc);
  Index offset = linearize(type, indices);
  if (width_ == 1 || offset.isUniform()) {
    Value address = e_.address(element, buffer, offset.base);
    return fromMemory(f, e_.load(element, address), type.getElementType());
  }
  auto vectorType = VectorType::get(width_, element);
  if (!offset.lanes && offset.laneStep == 1) {
    Value address = e_.address(element, buffer, offset.base);
    return fromMemory(f, e_.load(vectorType, address, mask_), type.getElementType());
  }
  if (!offset.lanes && !mask_ && offset.laneStep > 1 && offset.laneStep <= kShortStep &&
      offset.laneStep <= width_)
    return fromMemory(f, loadStrided(e_, vectorType, buffer, offset),
                      type.getElementType());
  Value addresses = laneAddresses(e_, element, buffer, materialize(offset));
  Value zero = e_.zero(vectorType);
  Value gathered = LLVM::masked_gather::create(
      e_.b, e_.loc, vectorType, addresses, mask_ ? mask_ : fullMask(e_, width_),
      ValueRange{zero},
      e_.b.getI32IntegerAttr((element.getIntOrFloatBitWidth() + 7) / 8));
  return fromMemory(f, gathered, type.getElementType());
}

void Evaluator::store(Value value, TensorType type, Value buffer,
                      ArrayRef<Index> indices) {
  Type element = memoryType(type.getElementType());
  value = toMemory(FormulaBuilder(e_.b, e_.loc), value, type.getElementType());
  Index offset = linearize(type, indices);
  if (width_ == 1 || offset.isUniform()) {
    if (auto vectorType = dyn_cast<VectorType>(value.getType()))
      value = vector::ExtractOp::create(e_.b, e_.loc, value, ArrayRef<int64_t>{0});
    e_.store(value, e_.address(element, buffer, offset.base));
    return;
  }
  value = broadcast(value);
  if (!offset.lanes && offset.laneStep == 1) {
    e_.store(value, e_.address(element, buffer, offset.base), mask_);
    return;
  }
  Value addresses = laneAddresses(e_, element, buffer, materialize(offset));
  LLVM::masked_scatter::create(
      e_.b, e_.loc, value, addresses, mask_ ? mask_ : fullMask(e_, width_),
      e_.b.getI32IntegerAttr((element.getIntOrFloatBitWidth() + 7) / 8));
}

} // namespace rtorch::codegen
