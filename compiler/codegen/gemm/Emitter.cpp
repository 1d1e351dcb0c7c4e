#include "compiler/codegen/gemm/Emitter.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace rtorch::gemm {

std::optional<int64_t> constantOf(Value value) {
  APInt constant;
  if (value && matchPattern(value, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  return std::nullopt;
}

Value Emitter::constant(int64_t value) {
  return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
}

Value Emitter::add(Value x, Value y) {
  return b.createOrFold<arith::AddIOp>(loc, x, y);
}

Value Emitter::sub(Value x, Value y) {
  return b.createOrFold<arith::SubIOp>(loc, x, y);
}

Value Emitter::mul(Value x, Value y) {
  return b.createOrFold<arith::MulIOp>(loc, x, y);
}

// Operands are not negative, so both kinds of division give the same. By a constant,
// the unsigned one is a shift or a multiplication. By a variable, the signed one, for
// LLVM's loop strength reduction looks through unsigned division and repeats it in
// inner loops (a product of 128x768x768 took 18 % longer).
Value Emitter::div(Value x, Value y) {
  if (constantOf(y))
    return b.createOrFold<arith::DivUIOp>(loc, x, y);
  return b.createOrFold<arith::DivSIOp>(loc, x, y);
}

Value Emitter::rem(Value x, Value y) {
  if (constantOf(y))
    return b.createOrFold<arith::RemUIOp>(loc, x, y);
  return b.createOrFold<arith::RemSIOp>(loc, x, y);
}

Value Emitter::min(Value x, Value y) {
  return b.createOrFold<arith::MinSIOp>(loc, x, y);
}

Value Emitter::max(Value x, Value y) {
  return b.createOrFold<arith::MaxSIOp>(loc, x, y);
}

Value Emitter::roundUp(Value x, int64_t multiple) {
  return roundDown(add(x, multiple - 1), multiple);
}

Value Emitter::roundDown(Value x, int64_t multiple) {
  return mul(div(x, constant(multiple)), multiple);
}

Value Emitter::equal(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, x, y);
}

Value Emitter::less(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, x, y);
}

Value Emitter::select(Value condition, Value x, Value y) {
  return b.createOrFold<arith::SelectOp>(loc, condition, x, y);
}

namespace {
/// The builder that layout::lower asks for. Its dividends may be negative, where the
/// quotient is rounded down as Python's.
struct ExprBuilder {
  Emitter &e;
  const std::map<std::string, Value> &symbols;

  Value constant(int64_t value) { return e.constant(value); }
  Value symbol(const std::string &name) { return symbols.at(name); }
  Value add(Value x, Value y) { return e.add(x, y); }
  Value mul(Value x, Value y) { return e.mul(x, y); }
  Value floordiv(Value x, Value y) {
    return e.b.createOrFold<arith::DivSIOp>(e.loc, e.sub(x, mod(x, y)), y);
  }
  Value mod(Value x, Value y) {
    Value rest = e.b.createOrFold<arith::RemSIOp>(e.loc, x, y), zero = e.constant(0);
    // A rest of the other sign than the divisor's is one divisor off.
    Value otherSign = e.less(e.mul(rest, y), zero);
    return e.select(otherSign, e.add(rest, y), rest);
  }
  Value min(Value x, Value y) { return e.min(x, y); }
  Value max(Value x, Value y) { return e.max(x, y); }
};
} // namespace

Value Emitter::lower(const layout::Expr &expr,
                     const std::map<std::string, Value> &symbols) {
  ExprBuilder builder{*this, symbols};
  return layout::lower(expr, builder);
}

Value Emitter::address(Type type, Value pointer, Value index) {
  if (std::optional<int64_t> fixed = constantOf(index))
    return address(type, pointer, *fixed);
  return LLVM::GEPOp::create(b, loc, pointer.getType(), type, pointer,
                             ValueRange{index});
}

Value Emitter::address(Type type, Value pointer, int64_t index) {
  if (index == 0)
    return pointer;
  if (index != static_cast<int32_t>(index))
    return LLVM::GEPOp::create(b, loc, pointer.getType(), type, pointer,
                               ValueRange{constant(index)},
                               LLVM::GEPNoWrapFlags::inbounds);
  return LLVM::GEPOp::create(b, loc, pointer.getType(), type, pointer,
                             {LLVM::GEPArg(static_cast<int32_t>(index))},
                             LLVM::GEPNoWrapFlags::inbounds);
}

static unsigned elementAlignment(Type type) {
  if (isa<LLVM::LLVMPointerType>(type))
    return 8;
  return getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8;
}

Value Emitter::load(Type type, Value pointer) {
  return LLVM::LoadOp::create(b, loc, type, pointer, elementAlignment(type));
}

void Emitter::store(Value value, Value pointer) {
  LLVM::StoreOp::create(b, loc, value, pointer, elementAlignment(value.getType()));
}

Value Emitter::load(VectorType type, Value pointer, Value mask) {
  if (!mask)
    return load(type, pointer);
  return LLVM::MaskedLoadOp::create(b, loc, type, pointer, mask, zero(type),
                                    elementAlignment(type));
}

void Emitter::store(Value value, Value pointer, Value mask) {
  if (!mask)
    return store(value, pointer);
  LLVM::MaskedStoreOp::create(b, loc, value, pointer, mask,
                              elementAlignment(value.getType()));
}

Value Emitter::zero(Type type) {
  return arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
}

Value Emitter::splat(VectorType type, double value) {
  Attribute element = b.getFloatAttr(type.getElementType(), value);
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, element));
}

Value Emitter::broadcast(int64_t width, Value scalar) {
  auto type = VectorType::get(width, scalar.getType());
  return vector::BroadcastOp::create(b, loc, type, scalar);
}

Value Emitter::laneMask(int64_t width, Value count) {
  // 32-bit lanes: half as many compares as with i64.
  Value narrow =
      arith::TruncIOp::create(b, loc, b.getI32Type(), min(count, constant(width)));
  SmallVector<int32_t> lanes(width);
  for (int64_t i = 0; i < width; ++i)
    lanes[i] = static_cast<int32_t>(i);
  Value lane = arith::ConstantOp::create(b, loc, b.getI32VectorAttr(lanes));
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lane,
                               broadcast(width, narrow));
}

Value Emitter::shuffle(Value x, Value y, ArrayRef<int64_t> lanes) {
  return vector::ShuffleOp::create(b, loc, x, y, lanes);
}

Value Emitter::slice(Value vector, int64_t offset, int64_t width) {
  if (cast<VectorType>(vector.getType()).getDimSize(0) == width)
    return vector;
  SmallVector<int64_t> lanes(width);
  for (int64_t i = 0; i < width; ++i)
    lanes[i] = offset + i;
  return shuffle(vector, vector, lanes);
}

void Emitter::loop(Value lower, Value upper, int64_t step,
                   function_ref<void(Value)> body) {
  std::optional<int64_t> first = constantOf(lower), last = constantOf(upper);
  if (first && last && *last <= *first)
    return;
  if (first && last && *last - *first <= step)
    return body(lower);
  // Not through a body builder: the body must be reachable from the module while it is
  // built, for functions are added to the module.
  auto loop = scf::ForOp::create(b, loc, lower, upper, constant(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

SmallVector<Value>
Emitter::loop(Value lower, Value upper, int64_t step, ValueRange initial,
              function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, loc, lower, upper, constant(step), initial);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b, loc, body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return SmallVector<Value>(loop.getResults());
}

void Emitter::branch(Value condition, function_ref<void()> then,
                     function_ref<void()> otherwise) {
  if (std::optional<int64_t> known = constantOf(condition)) {
    if (*known != 0)
      then();
    else if (otherwise)
      otherwise();
    return;
  }
  auto branch = scf::IfOp::create(b, loc, condition, static_cast<bool>(otherwise));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  then();
  if (otherwise) {
    b.setInsertionPointToStart(branch.elseBlock());
    otherwise();
  }
}

} // namespace rtorch::gemm
