// Stable sorting along a dim. Each element becomes one integer word whose upper half
// orders like the element and whose lower half is its index: words are all different,
// so that any sort of them is stable. The words of a line are merged bottom up between
// two halves of the scratch memory.
#include "compiler/codegen/kernel/SliceNest.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
namespace {

/// The first few of a line are found among so many candidates or more.
constexpr int64_t kLeastRoom = 64;

class SortKernel {
public:
  SortKernel(KernelState &state, rt::SortOp sort) : state_(state), sort_(sort) {
    Type element = registerType(tensorType(sort.getX()).getElementType());
    wide_ = element.getIntOrFloatBitWidth() > 32;
  }

  KernelInfo info() const;
  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  void emitLine(gemm::Emitter &e, const Indices &position, Value scratch);
  /// The words of the line that may be among the first.
  struct Words {
    Value from, to, count;
  };
  Words collectAll(gemm::Emitter &e, const Indices &position, Words room);
  Words collectFirst(gemm::Emitter &e, const Indices &position, Words room);
  Value wordAt(gemm::Emitter &e, const Indices &position, Value i);
  /// An integer that orders like `x`, NaN last.
  Value keyOf(FormulaBuilder &f, Value x) const;
  Value pack(gemm::Emitter &e, Value key, Value index) const;
  Value indexOf(gemm::Emitter &e, Value word) const;
  /// Sorts `count` words at `from`, with room for as many at `to`; gives where they
  /// are.
  Value mergeSort(gemm::Emitter &e, Value from, Value to, Value count);
  void mergeRuns(gemm::Emitter &e, Value from, Value to, Value start, Value middle,
                 Value end);

  /// Above all words.
  Value highestWord(gemm::Emitter &e) const {
    auto word = cast<IntegerType>(wordType(e.b));
    return arith::ConstantOp::create(
        e.b, e.loc,
        e.b.getIntegerAttr(word, APInt::getSignedMaxValue(word.getWidth())));
  }
  int64_t wordBytes() const { return wide_ ? 16 : 8; }
  Type keyType(OpBuilder &b) const { return b.getIntegerType(wide_ ? 64 : 32); }
  Type wordType(OpBuilder &b) const { return b.getIntegerType(wide_ ? 128 : 64); }
  Expr lineSize() const { return tensorType(sort_.getX()).getSize(sort_.getDim()); }
  /// Elements that are asked for.
  Expr kept() const { return tensorType(sort_.getValues()).getSize(sort_.getDim()); }
  bool keepsAll() const { return kept() == lineSize(); }
  /// Words that a half of the scratch memory holds.
  Expr capacity() const {
    return keepsAll() ? lineSize() : layout::max(kept() * 2, kLeastRoom);
  }
  SliceNest nest() const;

  KernelState &state_;
  mutable rt::SortOp sort_; // a handle, whose getters are not const
  bool wide_;
};

SliceNest SortKernel::nest() const {
  SliceNest nest;
  nest.sizes = tensorType(sort_.getX()).getSizes();
  for (int64_t dim = 0; dim < static_cast<int64_t>(nest.sizes.size()); ++dim)
    if (dim != static_cast<int64_t>(sort_.getDim()))
      nest.outer.push_back(dim);
  nest.slice = lineSize() * 8; // levels of merging
  return nest;
}

KernelInfo SortKernel::info() const {
  KernelInfo info;
  info.grid = nest().grid();
  info.scratchBytes = layout::ceildiv(capacity() * wordBytes(), 64) * 128;
  return info;
}

void SortKernel::emitTile(OpBuilder &builder, Value tile, Value scratch) {
  gemm::Emitter e(builder, sort_.getLoc());
  nest().forSlices(e, state_, tile, [&](const Indices &position, Value) {
    emitLine(e, position, scratch);
  });
}

Value SortKernel::keyOf(FormulaBuilder &f, Value x) const {
  Type key = keyType(f.builder());
  if (!isa<FloatType>(x.getType()))
    return f.convert(x, key);
  Value bits = arith::BitcastOp::create(f.builder(), f.loc(), key, x);
  Value largest = f.highest(key);
  // Negative numbers order the other way round; both zeros are equal.
  Value flipped = f.bitXor(bits, largest);
  Value ordered =
      f.select(f.compare(FormulaBuilder::Lt, bits, f.like(bits, 0)), flipped, bits);
  ordered = f.select(f.compare(FormulaBuilder::Eq, x, f.like(x, 0)), f.like(bits, 0),
                     ordered);
  return f.select(f.isNan(x), largest, ordered);
}

Value SortKernel::pack(gemm::Emitter &e, Value key, Value index) const {
  FormulaBuilder f(e.b, e.loc);
  if (sort_.getDescending())
    key = f.bitNot(key);
  Type word = wordType(e.b);
  Value high = f.shiftLeft(f.convert(key, word), f.integer(word, wide_ ? 64 : 32));
  return f.bitOr(high, f.convert(index, word));
}

Value SortKernel::indexOf(gemm::Emitter &e, Value word) const {
  FormulaBuilder f(e.b, e.loc);
  if (wide_)
    return arith::TruncIOp::create(e.b, e.loc, e.b.getI64Type(), word);
  return f.bitAnd(word, f.integer(word.getType(), 0xffffffff));
}

void SortKernel::mergeRuns(gemm::Emitter &e, Value from, Value to, Value start,
                           Value middle, Value end) {
  Type word = wordType(e.b);
  auto at = [&](Value base, Value index) { return e.address(word, base, index); };
  auto merging = scf::WhileOp::create(
      e.b, e.loc, TypeRange{e.b.getI64Type(), e.b.getI64Type()},
      ValueRange{start, middle},
      [&](OpBuilder &, Location, ValueRange v) {
        Value both =
            arith::AndIOp::create(e.b, e.loc, e.less(v[0], middle), e.less(v[1], end));
        scf::ConditionOp::create(e.b, e.loc, both, v);
      },
      [&](OpBuilder &, Location, ValueRange v) {
        Value a = e.load(word, at(from, v[0])), b = e.load(word, at(from, v[1]));
        Value first = e.less(a, b);
        Value place = e.sub(e.add(v[0], v[1]), middle);
        e.store(e.select(first, a, b), at(to, place));
        Value moved = arith::ExtUIOp::create(e.b, e.loc, e.b.getI64Type(), first);
        Value next = e.add(v[0], moved);
        Value other = e.add(v[1], e.sub(e.constant(1), moved));
        scf::YieldOp::create(e.b, e.loc, ValueRange{next, other});
      });
  Value i = merging.getResult(0), j = merging.getResult(1);
  // What is left of one run lies behind all of the other.
  Value offset = e.sub(j, middle);
  e.loop(i, middle, 1, [&](Value k) {
    e.store(e.load(word, at(from, k)), at(to, e.add(k, offset)));
  });
  e.loop(j, end, 1, [&](Value k) { e.store(e.load(word, at(from, k)), at(to, k)); });
}

Value SortKernel::mergeSort(gemm::Emitter &e, Value from, Value to, Value count) {
  Type i64 = e.b.getI64Type(), pointer = from.getType();
  auto passes = scf::WhileOp::create(
      e.b, e.loc, TypeRange{i64, pointer, pointer}, ValueRange{e.constant(1), from, to},
      [&](OpBuilder &, Location, ValueRange v) {
        scf::ConditionOp::create(e.b, e.loc, e.less(v[0], count), v);
      },
      [&](OpBuilder &, Location, ValueRange v) {
        Value run = v[0], pair = e.mul(run, 2);
        Value pairs = e.div(e.add(count, e.sub(pair, e.constant(1))), pair);
        e.loop(pairs, [&](Value number) {
          Value start = e.mul(number, pair);
          Value middle = e.min(e.add(start, run), count);
          mergeRuns(e, v[1], v[2], start, middle, e.min(e.add(start, pair), count));
        });
        scf::YieldOp::create(e.b, e.loc, ValueRange{pair, v[2], v[1]});
      });
  return passes.getResult(1);
}

Value SortKernel::wordAt(gemm::Emitter &e, const Indices &position, Value i) {
  FormulaBuilder f(e.b, e.loc);
  Indices here = position;
  here[sort_.getDim()] = Index{i};
  Evaluator values(state_, e.b, e.loc, 1, {});
  return pack(e, keyOf(f, values.at(sort_.getX(), here)), i);
}

SortKernel::Words SortKernel::collectAll(gemm::Emitter &e, const Indices &position,
                                         Words room) {
  Value count = e.lower(lineSize(), state_.symbols);
  e.loop(count, [&](Value i) {
    e.store(wordAt(e, position, i), e.address(wordType(e.b), room.from, i));
  });
  return {room.from, room.to, count};
}

SortKernel::Words SortKernel::collectFirst(gemm::Emitter &e, const Indices &position,
                                           Words room) {
  Type word = wordType(e.b);
  Value size = e.lower(lineSize(), state_.symbols);
  Value kept = e.lower(this->kept(), state_.symbols);
  Value capacity = e.lower(this->capacity(), state_.symbols);
  // Candidates, where they are, the other half, and what all further ones are below.
  SmallVector<Value> state{e.constant(0), room.from, room.to, highestWord(e)};
  state = e.loop(
      e.constant(0), size, 1, state,
      [&](Value i, ValueRange current) -> SmallVector<Value> {
        Value count = current[0], from = current[1], to = current[2];
        Value candidate = wordAt(e, position, i);
        e.store(candidate, e.address(word, from, count));
        Value below = e.less(candidate, current[3]);
        Value next =
            e.add(count, arith::ExtUIOp::create(e.b, e.loc, e.b.getI64Type(), below));
        auto full = scf::IfOp::create(e.b, e.loc, current.getTypes(),
                                      e.equal(next, capacity), true);
        OpBuilder::InsertionGuard guard(e.b);
        e.b.setInsertionPointToStart(full.thenBlock());
        Value sorted = mergeSort(e, from, to, capacity);
        Value isFrom =
            LLVM::ICmpOp::create(e.b, e.loc, LLVM::ICmpPredicate::eq, sorted, from);
        Value other = e.select(isFrom, to, from);
        Value last = e.max(e.sub(kept, e.constant(1)), e.constant(0));
        Value limit = e.load(word, e.address(word, sorted, last));
        scf::YieldOp::create(e.b, e.loc, ValueRange{kept, sorted, other, limit});
        e.b.setInsertionPointToStart(full.elseBlock());
        scf::YieldOp::create(e.b, e.loc, ValueRange{next, from, to, current[3]});
        return SmallVector<Value>(full.getResults());
      });
  return {state[1], state[2], state[0]};
}

void SortKernel::emitLine(gemm::Emitter &e, const Indices &position, Value scratch) {
  FormulaBuilder f(e.b, e.loc);
  Type word = wordType(e.b);
  int64_t dim = sort_.getDim();
  Expr half = layout::ceildiv(capacity() * wordBytes(), 64) * 64;
  Value other = e.address(e.b.getI8Type(), scratch, e.lower(half, state_.symbols));
  Words words = keepsAll() ? collectAll(e, position, {scratch, other, {}})
                           : collectFirst(e, position, {scratch, other, {}});
  Value sorted = mergeSort(e, words.from, words.to, words.count);
  Value count = e.lower(kept(), state_.symbols);
  size_t inputs = state_.kernel.getBlock().getNumArguments();
  auto results = state_.kernel.getYield().getOperands();
  e.loop(count, [&](Value i) {
    Indices here = position, source = position;
    here[dim] = Index{i};
    Value index = indexOf(e, e.load(word, e.address(word, sorted, i)));
    source[dim] = Index{index};
    Evaluator values(state_, e.b, e.loc, 1, {});
    values.store(values.at(sort_.getX(), source), tensorType(results[0]),
                 state_.buffers[inputs], here);
    rt::TensorType type = tensorType(results[1]);
    values.store(f.convert(index, type.getElementType()), type,
                 state_.buffers[inputs + 1], here);
  });
}

} // namespace

KernelInfo emitSortKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                          const Target &) {
  auto op = *kernel.getBlock().getOps<rt::SortOp>().begin();
  return emitKernelOf<SortKernel>(builder, kernel, symbol, op);
}

} // namespace rtorch::codegen
