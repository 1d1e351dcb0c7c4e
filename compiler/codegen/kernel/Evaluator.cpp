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

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Indexing
//===----------------------------------------------------------------------===//

void Evaluator::raiseIf(Value condition, StringRef message, Location loc) {
  auto number = llvm::find_if(state_.sites, [&](const ErrorSiteInfo &site) {
    return site.loc == loc && site.message == message;
  });
  int64_t site = number - state_.sites.begin() + 1;
  if (number == state_.sites.end())
    state_.sites.push_back({message.str(), loc});
  if (mask_ && width_ > 1) {
    condition = broadcast(condition);
    condition = arith::AndIOp::create(e_.b, e_.loc, condition, mask_);
  }
  if (isa<VectorType>(condition.getType()))
    condition =
        vector::ReductionOp::create(e_.b, e_.loc, vector::CombiningKind::OR, condition);
  e_.branch(condition, [&] {
    Value code = arith::ConstantOp::create(e_.b, e_.loc, e_.b.getI32IntegerAttr(site));
    e_.store(code, state_.error);
  });
}

std::optional<Index> Evaluator::affineAt(Value value, ArrayRef<Index> indices) {
  Operation *op = value.getDefiningOp();
  if (auto iotaOp = dyn_cast_or_null<rt::IotaOp>(op)) {
    auto start = dyn_cast<rt::ExprAttr>(iotaOp.getStart()),
         step = dyn_cast<rt::ExprAttr>(iotaOp.getStep());
    if (!start || !step || !step.getValue().isConstant())
      return std::nullopt;
    return addTo(scale(indices[0], *step.getValue().constant()),
                 lower(start.getValue()));
  }
  if (auto viewOp = dyn_cast_or_null<rt::ViewOpInterface>(op))
    if (std::optional<Indices> mapped = mapView(viewOp, indices))
      return affineAt(viewOp.getViewSource(), *mapped);
  return std::nullopt;
}

namespace {
/// Bounds of the elements of an integer tensor, as far as they are known.
struct Bounds {
  std::optional<Expr> low, high;
};

std::optional<Expr> exprOf(Attribute attribute) {
  if (auto expr = dyn_cast<rt::ExprAttr>(attribute))
    return expr.getValue();
  if (auto integer = dyn_cast<IntegerAttr>(attribute))
    return integer.getValue().getSExtValue();
  return std::nullopt;
}

/// `combine` of both, of the one that is known if one is enough, or nothing.
template <typename Combine>
std::optional<Expr> combined(const std::optional<Expr> &x, const std::optional<Expr> &y,
                             bool oneIsEnough, Combine combine) {
  if (x && y)
    return combine(*x, *y);
  return oneIsEnough ? (x ? x : y) : std::nullopt;
}

Bounds boundsOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto viewOp = dyn_cast_or_null<rt::ViewOpInterface>(op))
    return boundsOf(viewOp.getViewSource());
  if (auto fullOp = dyn_cast_or_null<rt::FullOp>(op)) {
    std::optional<Expr> number = exprOf(fullOp.getValue());
    return {number, number};
  }
  if (auto iotaOp = dyn_cast_or_null<rt::IotaOp>(op)) {
    std::optional<Expr> start = exprOf(iotaOp.getStart()),
                        step = exprOf(iotaOp.getStep());
    if (!start || !step)
      return {};
    Expr last = *start + (tensorType(value).getSize(0) - 1) * *step;
    return {layout::min(*start, last), layout::max(*start, last)};
  }
  if (!isa_and_nonnull<rt::AddOp, rt::MinimumOp, rt::MaximumOp, rt::FloorDivideOp>(op))
    return {};
  Bounds x = boundsOf(op->getOperand(0)), y = boundsOf(op->getOperand(1));
  auto both = [&](bool lowNeedsOne, bool highNeedsOne, auto combine) {
    return Bounds{combined(x.low, y.low, lowNeedsOne, combine),
                  combined(x.high, y.high, highNeedsOne, combine)};
  };
  if (isa<rt::AddOp>(op))
    return both(false, false, [](const Expr &a, const Expr &b) { return a + b; });
  if (isa<rt::MinimumOp>(op))
    return both(false, true,
                [](const Expr &a, const Expr &b) { return layout::min(a, b); });
  if (isa<rt::MaximumOp>(op))
    return both(true, false,
                [](const Expr &a, const Expr &b) { return layout::max(a, b); });
  if (!y.low || y.low != y.high || y.low->constant().value_or(0) <= 0)
    return {};
  return both(false, false,
              [](const Expr &a, const Expr &b) { return layout::floordiv(a, b); });
}
} // namespace

/// Whether all elements of an index are known to lie in [0, size).
static bool isInRange(Value index, const Expr &size) {
  if (!tensorType(index).getElementType().isInteger(64) || !index.getDefiningOp())
    return false;
  Bounds bounds = boundsOf(index);
  if (!bounds.low || !bounds.high)
    return false;
  layout::Guards guards = rt::guardsAround(index.getDefiningOp());
  return guards.query(layout::Relation::Le, 0, *bounds.low) == layout::Answer::Proven &&
         guards.query(layout::Relation::Lt, *bounds.high, size) ==
             layout::Answer::Proven;
}

Index Evaluator::checkedIndex(Value index, const Expr &size, ArrayRef<Index> indices,
                              bool wraps, Location loc) {
  Indices at = broadcastIndices(tensorType(index), indices);
  bool inRange = isInRange(index, size);
  if (inRange)
    if (std::optional<Index> affine = affineAt(index, at))
      return *affine;
  FormulaBuilder f(e_.b, e_.loc);
  Value loaded = f.convert(this->at(index, at), e_.b.getI64Type());
  auto indexOf = [](Value value) {
    return isa<VectorType>(value.getType()) ? Index{{}, 0, value} : Index{value};
  };
  if (inRange)
    return indexOf(loaded);
  Value limit = lower(size), zero = f.like(loaded, 0);
  if (isa<VectorType>(loaded.getType()))
    limit = broadcast(limit);
  if (wraps)
    loaded = f.select(f.compare(FormulaBuilder::Lt, loaded, zero), f.add(loaded, limit),
                      loaded);
  Value bad = f.bitOr(f.compare(FormulaBuilder::Lt, loaded, zero),
                      f.compare(FormulaBuilder::Ge, loaded, limit));
  raiseIf(bad, "index out of range", loc);
  // A bad index reads element 0 instead; the launch fails all the same.
  Value safe = f.select(bad, zero, loaded);
  return indexOf(safe);
}

Value Evaluator::index(rt::IndexOp op, ArrayRef<Index> indices) {
  TensorType source = tensorType(op.getSource()), result = tensorType(op.getResult());
  ArrayRef<int64_t> dims = op.getDims();
  int64_t position = op.getPosition();
  int64_t common = result.getRank() - (source.getRank() - dims.size());
  ArrayRef<Index> shared = indices.slice(position, common);
  Indices rest(indices.take_front(position));
  rest.append(indices.begin() + position + common, indices.end());
  Indices mapped(source.getRank());
  Value notEmpty;
  for (int64_t dim = 0, kept = 0; dim < source.getRank(); ++dim) {
    const auto *found = llvm::find(dims, dim);
    if (found == dims.end()) {
      mapped[dim] = rest[kept++];
      continue;
    }
    Expr size = source.getSize(dim);
    Value index = op.getIndices()[found - dims.begin()];
    mapped[dim] = checkedIndex(index, size, shared, op.getWraps(), op.getLoc());
    if (size.constant().value_or(0) == 0 && !isInRange(index, size)) {
      Value some = e_.less(e_.constant(0), lower(size));
      notEmpty = notEmpty ? FormulaBuilder(e_.b, e_.loc).bitAnd(notEmpty, some) : some;
    }
  }
  if (!notEmpty)
    return at(op.getSource(), mapped);
  return where(notEmpty, registerType(source.getElementType()),
               [&] { return at(op.getSource(), mapped); });
}

Value Evaluator::pad(rt::PadOp op, ArrayRef<Index> indices) {
  TensorType source = tensorType(op.getSource()), result = tensorType(op.getResult());
  FormulaBuilder f(e_.b, e_.loc);
  layout::Guards guards = rt::guardsAround(op);
  Indices mapped(indices);
  Value inside;
  for (int64_t dim = 0; dim < source.getRank(); ++dim) {
    Expr low = cast<rt::ExprAttr>(op.getLow()[dim]).getValue();
    Expr size = source.getSize(dim);
    if (low.isConstant(0) && (size == result.getSize(dim) ||
                              guards.query(layout::Relation::Le, result.getSize(dim),
                                           size) == layout::Answer::Proven))
      continue;
    mapped[dim] = addTo(indices[dim], lower(-low));
    if (insidePads_.contains(op))
      continue;
    Value index = materialize(mapped[dim]), limit = lower(size);
    if (isa<VectorType>(index.getType()))
      limit = broadcast(limit);
    Value fits = f.bitAnd(f.compare(FormulaBuilder::Ge, index, f.like(index, 0)),
                          f.compare(FormulaBuilder::Lt, index, limit));
    if (inside && isa<VectorType>(inside.getType()) != isa<VectorType>(fits.getType()))
      inside = broadcast(inside), fits = broadcast(fits);
    inside = inside ? f.bitAnd(inside, fits) : fits;
  }
  if (!inside)
    return at(op.getSource(), mapped);
  Type element = registerType(source.getElementType());
  Value value = where(inside, element, [&] { return at(op.getSource(), mapped); });
  Value outside = constant(op.getValue(), source.getElementType());
  if (isa<VectorType>(value.getType()))
    inside = broadcast(inside), outside = broadcast(outside);
  return f.select(inside, value, outside);
}

Value Evaluator::where(Value condition, Type elementType, function_ref<Value()> body) {
  if (isa<VectorType>(condition.getType())) {
    Value outer = mask_;
    mask_ = outer ? Value(arith::AndIOp::create(e_.b, e_.loc, outer, condition))
                  : condition;
    Value result = broadcast(body());
    mask_ = outer;
    return arith::SelectOp::create(e_.b, e_.loc, condition, result,
                                   e_.zero(result.getType()));
  }
  auto type = width_ == 1 ? elementType : Type(VectorType::get(width_, elementType));
  auto branch =
      scf::IfOp::create(e_.b, e_.loc, TypeRange{type}, condition, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(e_.b);
  e_.b.setInsertionPointToStart(&branch.getThenRegion().front());
  scf::YieldOp::create(e_.b, e_.loc, broadcast(body()));
  e_.b.setInsertionPointToStart(&branch.getElseRegion().front());
  scf::YieldOp::create(e_.b, e_.loc, e_.zero(type));
  return branch.getResult(0);
}

Value Evaluator::cat(rt::CatOp op, ArrayRef<Index> indices) {
  int64_t dim = op.getDim();
  Type element = registerType(tensorType(op.getResult()).getElementType());
  FormulaBuilder f(e_.b, e_.loc);
  Value index = materialize(indices[dim]), result;
  Expr start;
  for (Value input : op.getInputs()) {
    Expr end = start + tensorType(input).getSize(dim);
    auto bound = [&](const Expr &expr) {
      Value value = lower(expr);
      return isa<VectorType>(index.getType()) ? broadcast(value) : value;
    };
    Value inside = f.bitAnd(f.compare(FormulaBuilder::Ge, index, bound(start)),
                            f.compare(FormulaBuilder::Lt, index, bound(end)));
    Indices mapped(indices);
    mapped[dim] = addTo(indices[dim], lower(-start));
    Value piece = broadcast(where(inside, element, [&] { return at(input, mapped); }));
    if (isa<VectorType>(piece.getType()))
      inside = broadcast(inside);
    result = result ? f.select(inside, piece, result) : piece;
    start = end;
  }
  return result;
}

} // namespace rtorch::codegen
