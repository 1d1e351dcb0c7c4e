// Operands of a loop kernel that are contiguous across the lanes: read in squares that
// are transposed in registers.
#include "compiler/codegen/kernel/LoopKernel.h"
#include "compiler/codegen/kernel/Transpose.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

void LoopKernel::emitTransposedTile(gemm::Emitter &e, Value row, Value laneStart,
                                    Value laneEnd) {
  Value size = e.lower(nest_.product(nest_.along), state_.symbols);
  Value chunks = e.div(e.add(size, kSquareTile - 1), e.constant(kSquareTile));
  Value start = e.mul(e.rem(row, chunks), kSquareTile);
  Value end = e.min(e.add(start, kSquareTile), size);
  Value squares = e.add(start, e.roundDown(e.sub(end, start), nest_.width));
  Square square;
  square.position = Indices(nest_.sizes.size(), Index{e.constant(0)});
  square.position = delinearize(e, square.position, nest_.outer, e.div(row, chunks));
  auto alongLanes = [&](Value lane, Value lanes) {
    square.lane = lane;
    square.lanes = lanes;
    square.rows = {};
    e.loop(start, squares, nest_.width, [&](Value along) {
      square.along = along;
      emitSquare(e, square);
    });
    e.branch(e.less(squares, end), [&] {
      square.along = squares;
      square.rows = e.sub(end, squares);
      emitSquare(e, square);
    });
  };
  Value whole = e.add(laneStart, e.roundDown(e.sub(laneEnd, laneStart), nest_.width));
  e.loop(laneStart, whole, nest_.width, [&](Value lane) { alongLanes(lane, {}); });
  e.branch(e.less(whole, laneEnd), [&] { alongLanes(whole, e.sub(laneEnd, whole)); });
}

/// The place `along` of the dims along, and a lane.
Indices LoopKernel::squarePlace(gemm::Emitter &e, const Square &square, Value along,
                                Value lane) {
  Indices at = delinearize(e, square.position, nest_.along, along);
  at[nest_.laneDim] = Index{lane};
  return at;
}

/// Reads one argument's square, one vector for each lane, and keeps it, one for each
/// place. Behind the last lane, that one is read once more.
void LoopKernel::readSquare(gemm::Emitter &e, const Square &square, size_t i,
                            unsigned number) {
  TensorType type = tensorType(state_.kernel.getBlock().getArgument(number));
  Value mask = square.rows ? e.laneMask(nest_.width, square.rows) : Value();
  SmallVector<Value> rows;
  for (int64_t j = 0; j < nest_.width; ++j) {
    Value lane = e.constant(j);
    if (square.lanes)
      lane = e.min(lane, e.sub(square.lanes, e.constant(1)));
    Evaluator values = evaluator(e, mask);
    Indices at = squarePlace(e, square, square.along, e.add(square.lane, lane));
    // Neighbours along are neighbours in memory, whatever dim they belong to.
    at[nest_.along.back()] = laneIndex(at[nest_.along.back()].base);
    rows.push_back(values.load(type, state_.buffers[number], at));
  }
  for (auto [j, column] : llvm::enumerate(transposeSquare(e, rows)))
    e.store(column, squareAddress(e, i, column.getType(), e.constant(j)));
}

void LoopKernel::emitSquare(gemm::Emitter &e, const Square &square) {
  for (auto [i, number] : llvm::enumerate(nest_.transposed))
    readSquare(e, square, i, number);
  Value mask = square.lanes ? e.laneMask(nest_.width, square.lanes) : Value();
  e.loop(square.rows ? square.rows : e.constant(nest_.width), [&](Value row) {
    Indices at = squarePlace(e, square, e.add(square.along, row), square.lane);
    at[nest_.laneDim] = laneIndex(square.lane);
    bindings_.clear();
    for (auto [i, number] : llvm::enumerate(nest_.transposed))
      bindSquare(e, i, number, at, row);
    emitOutputs(e, at, mask);
  });
}

void LoopKernel::bindSquare(gemm::Emitter &e, size_t square, unsigned number,
                            const Indices &at, Value row) {
  BlockArgument argument = state_.kernel.getBlock().getArgument(number);
  TensorType type = tensorType(argument);
  auto vector = VectorType::get(nest_.width, registerType(type.getElementType()));
  Value known = e.load(vector, squareAddress(e, square, vector, row));
  bindings_[argument] = [=, this](Evaluator &values, ArrayRef<Index> indices) {
    // Other elements of the argument may be needed too.
    return Indices(indices) == at ? known
                                  : values.load(type, state_.buffers[number], indices);
  };
}

Value LoopKernel::squareAddress(gemm::Emitter &e, size_t square, Type vector,
                                Value row) {
  Value start = e.address(e.b.getI8Type(), scratch_, square * squareBytes());
  return e.address(FormulaBuilder::elementOf(vector), start, e.mul(row, nest_.width));
}

} // namespace rtorch::codegen
