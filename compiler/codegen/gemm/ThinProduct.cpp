// Two orders, by the direction in which the right operand B is contiguous:
//
//     along its rows:     for each few rows of B: all columns' sums += a b
//     along its columns:  for each few columns of B: dot products with the rows of A
//
// Both read several streams of B from beginning to end, which the hardware prefetches.

#include "compiler/codegen/gemm/ThinProduct.h"

using namespace mlir;

namespace rtorch::gemm {

using layout::Expr;

bool isReadInPlace(const MatrixSource &b) {
  return b.rowContiguous || b.columnContiguous;
}

Expr thinStride(const Expr &depth, const RegisterTile &tile) {
  return ceildiv(depth, tile.lanes) * tile.lanes;
}

void packThinRows(Emitter &e, Type type, const RegisterTile &tile,
                  const MatrixSource &source, Value first, Value existing,
                  const Range &depth, const ThinRows &rows) {
  auto vector = VectorType::get(tile.lanes, type);
  Value whole = e.roundDown(depth.length, tile.lanes);
  for (int64_t i = 0; i < rows.count; ++i) {
    Value to = e.address(type, rows.pointer, e.mul(rows.stride, i));
    auto copy = [&](Value k, Value mask) {
      Value row = e.add(first, i), col = e.add(depth.start, k);
      e.store(source.alongRow(e.b, e.loc, row, col, tile.lanes, mask),
              e.address(type, to, k));
    };
    auto copyRow = [&] {
      e.loop(e.constant(0), whole, tile.lanes, [&](Value k) { copy(k, Value()); });
      e.branch(e.less(whole, depth.length), [&] {
        copy(whole, e.laneMask(tile.lanes, e.sub(depth.length, whole)));
      });
    };
    e.branch(e.less(e.constant(i), existing), copyRow, [&] {
      e.loop(e.constant(0), rows.stride, tile.lanes,
             [&](Value k) { e.store(e.zero(vector), e.address(type, to, k)); });
    });
  }
}

void clearThinSums(Emitter &e, Type type, const RegisterTile &tile, int64_t rows,
                   Value columns, const ThinSums &sums) {
  auto vector = VectorType::get(tile.lanes, type);
  e.loop(e.constant(0), columns, tile.lanes, [&](Value j) {
    for (int64_t i = 0; i < rows; ++i) {
      Value row = e.address(type, sums.pointer, e.mul(sums.stride, i));
      e.store(e.zero(vector), e.address(type, row, j));
    }
  });
}

namespace {

class ThinEmitter {
public:
  ThinEmitter(Emitter &e, Type type, const RegisterTile &tile, const ThinRows &a,
              const MatrixSource &b, const Range &depth, const Range &columns,
              const ThinSums &sums)
      : e(e), type_(type), lanes_(tile.lanes), a_(a), b_(b), depth_(depth),
        columns_(columns), sums_(sums), vector_(VectorType::get(tile.lanes, type)) {}

  void emitAlongRows();
  void emitAlongColumns();

private:
  Value rowOfA(int64_t i, Value k) {
    Value row = e.address(type_, a_.pointer, e.mul(a_.stride, i));
    return e.address(type_, row, k);
  }
  Value sumAt(int64_t i, Value j) {
    Value row = e.address(type_, sums_.pointer, e.mul(sums_.stride, i));
    return e.address(type_, row, j);
  }
  Value multiplyAdd(Value x, Value y, Value sum) {
    return sum ? Value(vector::FMAOp::create(e.b, e.loc, x, y, sum))
               : Value(arith::MulFOp::create(e.b, e.loc, x, y));
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(e.b, e.loc, x, y); }

  void addRowsOfB(Value k, int64_t count);
  void emitDots(Value column, int64_t count);
  using Sums = SmallVector<Value>;
  /// Adds the products of `vectors` vectors of k, from `k` on.
  Sums addProducts(ValueRange sums, Value column, int64_t count, Value k,
                   int64_t vectors, Value mask);
  Value combineLanes(ArrayRef<Value> sums);
  Value interleaveAdd(Value x, Value y);

  Emitter &e;
  Type type_;
  int64_t lanes_;
  const ThinRows &a_;
  const MatrixSource &b_;
  const Range &depth_;
  const Range &columns_;
  const ThinSums &sums_;
  VectorType vector_;
};

/// Rows of B that are read side by side.
constexpr int64_t kStreams = 8;

void ThinEmitter::emitAlongRows() {
  int64_t streams = a_.count <= 2 ? kStreams : kStreams / 2;
  Value whole = e.roundDown(depth_.length, streams);
  e.loop(e.constant(0), whole, streams, [&](Value k) { addRowsOfB(k, streams); });
  e.loop(whole, depth_.length, 1, [&](Value k) { addRowsOfB(k, 1); });
}

/// sums[i][..] += a[i][k .. k + count] b[k .. k + count][..].
void ThinEmitter::addRowsOfB(Value k, int64_t count) {
  SmallVector<Value> factors;
  for (int64_t i = 0; i < a_.count; ++i)
    for (int64_t step = 0; step < count; ++step) {
      Value scalar = e.load(type_, e.address(type_, rowOfA(i, k), step));
      factors.push_back(e.broadcast(lanes_, scalar));
    }
  auto addVector = [&](Value j, Value mask) {
    SmallVector<Value> rows;
    for (int64_t step = 0; step < count; ++step)
      rows.push_back(b_.alongRow(e.b, e.loc, e.add(depth_.start, e.add(k, step)),
                                 e.add(columns_.start, j), lanes_, mask));
    for (int64_t i = 0; i < a_.count; ++i) {
      Value products; // of these rows alone: rounding errors of long sums grow less
      for (int64_t step = 0; step < count; ++step)
        products = multiplyAdd(factors[i * count + step], rows[step], products);
      Value at = sumAt(i, j);
      e.store(add(e.load(vector_, at, Value()), products), at);
    }
  };
  Value whole = e.roundDown(columns_.length, lanes_);
  e.loop(e.constant(0), whole, lanes_, [&](Value j) { addVector(j, Value()); });
  e.branch(e.less(whole, columns_.length), [&] {
    addVector(whole, e.laneMask(lanes_, e.sub(columns_.length, whole)));
  });
}

void ThinEmitter::emitAlongColumns() {
  int64_t together = std::min<int64_t>(4, lanes_);
  Value whole = e.roundDown(columns_.length, together);
  e.loop(e.constant(0), whole, together, [&](Value j) { emitDots(j, together); });
  e.loop(whole, columns_.length, 1, [&](Value j) { emitDots(j, 1); });
}

/// sums[..][column .. column + count] += the dot products with all of k.
void ThinEmitter::emitDots(Value column, int64_t count) {
  // Enough sums to cover the latency of multiply-adds.
  int64_t dots = a_.count * count, copies = dots >= 8 ? 1 : dots >= 4 ? 2 : 4;
  int64_t step = copies * lanes_;
  Sums sums(copies * dots, e.zero(vector_));
  Value whole = e.roundDown(depth_.length, step), end = depth_.length;
  sums = e.loop(e.constant(0), whole, step, sums, [&](Value k, ValueRange partial) {
    return addProducts(partial, column, count, k, copies, Value());
  });
  for (int64_t copy = copies - 1; copy > 0; --copy)
    for (int64_t i = 0; i < dots; ++i)
      sums[i] = add(sums[i], sums[copy * dots + i]);
  sums.resize(dots);
  Value vectors = e.roundDown(end, lanes_);
  std::optional<int64_t> fixed = constantOf(end);
  if (copies > 1 && !(fixed && *fixed % step < lanes_))
    sums = e.loop(whole, vectors, lanes_, sums, [&](Value k, ValueRange partial) {
      return addProducts(partial, column, count, k, 1, Value());
    });
  if (!(fixed && *fixed % lanes_ == 0))
    sums = e.loop(vectors, end, lanes_, sums, [&](Value k, ValueRange partial) {
      Value mask = e.laneMask(lanes_, e.sub(end, k));
      return addProducts(partial, column, count, k, 1, mask);
    });
  for (int64_t i = 0; i < a_.count; ++i) {
    Value dot = combineLanes(ArrayRef(sums).slice(i * count, count));
    Value at = sumAt(i, column);
    e.store(add(e.load(dot.getType(), at), dot), at);
  }
}

ThinEmitter::Sums ThinEmitter::addProducts(ValueRange sums, Value column, int64_t count,
                                           Value k, int64_t vectors, Value mask) {
  Sums next(sums);
  for (int64_t v = 0; v < vectors; ++v) {
    Value at = e.add(k, v * lanes_);
    SmallVector<Value> columns;
    for (int64_t j = 0; j < count; ++j)
      columns.push_back(b_.alongColumn(e.b, e.loc, e.add(depth_.start, at),
                                       e.add(columns_.start, e.add(column, j)), lanes_,
                                       mask));
    for (int64_t i = 0; i < a_.count; ++i) {
      Value row = e.load(vector_, rowOfA(i, at), Value());
      for (int64_t j = 0; j < count; ++j) {
        Value &sum = next[(v * a_.count + i) * count + j];
        sum = multiplyAdd(row, columns[j], sum);
      }
    }
  }
  return next;
}

/// Partial sums of x and y in turns.
Value ThinEmitter::interleaveAdd(Value x, Value y) {
  // Within 128 bits, where interleaving twice can be done there.
  int64_t group =
      type_.getIntOrFloatBitWidth() == 32 ? std::min<int64_t>(4, lanes_) : lanes_;
  SmallVector<int64_t> low, high;
  for (int64_t start = 0; start < lanes_; start += group)
    for (int64_t i = 0; i < group / 2; ++i) {
      low.append({start + i, lanes_ + start + i});
      high.append({start + group / 2 + i, lanes_ + start + group / 2 + i});
    }
  return add(e.shuffle(x, y, low), e.shuffle(x, y, high));
}

/// The sums over the lanes of 1, 2 or 4 vectors: a scalar, or one vector of them.
Value ThinEmitter::combineLanes(ArrayRef<Value> sums) {
  size_t count = sums.size();
  if (count == 1)
    return vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::ADD, sums[0],
                                       arith::FastMathFlags::reassoc);
  Value all = count == 4 ? interleaveAdd(interleaveAdd(sums[0], sums[2]),
                                         interleaveAdd(sums[1], sums[3]))
                         : interleaveAdd(sums[0], sums[1]);
  for (int64_t half = lanes_ / 2; half >= static_cast<int64_t>(count); half /= 2)
    all = add(e.slice(all, 0, half), e.slice(all, half, half));
  return all;
}

} // namespace

void emitThinProduct(Emitter &e, Type type, const RegisterTile &tile, const ThinRows &a,
                     const MatrixSource &b, const Range &depth, const Range &columns,
                     const ThinSums &sums) {
  ThinEmitter emitter(e, type, tile, a, b, depth, columns, sums);
  if (b.loadsAlongColumns())
    emitter.emitAlongColumns();
  else
    emitter.emitAlongRows();
}

} // namespace rtorch::gemm
