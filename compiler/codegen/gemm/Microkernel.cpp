#include "compiler/codegen/gemm/Microkernel.h"

#include <algorithm>
#include <set>

using namespace mlir;

namespace rtorch::gemm {

RowPanels RowPanels::of(Emitter &e, Value rows, int64_t maxHeight) {
  // At least 1, so that no division by 0 happens where there are no rows.
  Value count =
      e.max(e.div(e.add(rows, maxHeight - 1), e.constant(maxHeight)), e.constant(1));
  return {count, e.div(rows, count), e.rem(rows, count)};
}

Value RowPanels::start(Emitter &e, Value panel) const {
  return e.add(e.mul(panel, height), e.min(panel, higher));
}

Value RowPanels::heightOf(Emitter &e, Value panel) const {
  return e.select(e.less(panel, higher), e.add(height, 1), height);
}

std::vector<int64_t> panelHeights(std::optional<int64_t> rows, int64_t maxHeight) {
  std::vector<int64_t> heights;
  if (!rows) {
    for (int64_t height = 1; height <= maxHeight; ++height)
      heights.push_back(height);
    return heights;
  }
  if (*rows <= 0)
    return heights;
  int64_t count = (*rows + maxHeight - 1) / maxHeight;
  heights.push_back(*rows / count);
  if (*rows % count != 0)
    heights.push_back(*rows / count + 1);
  return heights;
}

std::string typeName(Type type) {
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return name;
}

func::FuncOp addPrivateFunction(Emitter &e, ModuleOp module, StringRef name,
                                FunctionType type) {
  e.b.setInsertionPointToEnd(module.getBody());
  auto function = func::FuncOp::create(e.b, e.loc, name, type);
  function.setPrivate();
  function->setAttr("llvm.linkage",
                    LLVM::LinkageAttr::get(e.b.getContext(), LLVM::Linkage::Internal));
  function->setAttr("passthrough", e.b.getArrayAttr({e.b.getStringAttr("noinline")}));
  e.b.setInsertionPointToStart(function.addEntryBlock());
  return function;
}

void switchOverHeights(Emitter &e, ArrayRef<int64_t> heights, Value height,
                       function_ref<void(int64_t)> body) {
  if (heights.size() == 1)
    return body(heights.front());
  size_t middle = heights.size() / 2;
  e.branch(
      e.less(height, e.constant(heights[middle])),
      [&] { switchOverHeights(e, heights.take_front(middle), height, body); },
      [&] { switchOverHeights(e, heights.drop_front(middle), height, body); });
}

namespace {

/// Emits the body of one microkernel.
class MicrokernelEmitter {
public:
  MicrokernelEmitter(OpBuilder &b, Location loc, Type elementType,
                     const RegisterTile &tile, int64_t rows)
      : e(b, loc), type_(elementType), tile_(tile), rows_(rows),
        vector_(VectorType::get(tile.lanes, elementType)) {
    // Multiply-adds take 4 cycles, two start in each: with few accumulators the steps
    // of a group go to sums of their own.
    int64_t sums = rows * tile.vectors;
    copies_ = sums >= 8 ? 1 : sums >= 4 ? 2 : depthGroup;
  }

  void emitBody(const TileOperands &operands) {
    SmallVector<Value> sums = initialSums(operands);
    SmallVector<Value> state{operands.a, operands.b};
    state.append(sums);
    for (int64_t i = sums.size(); i < copies_ * int64_t(sums.size()); ++i)
      state.push_back(e.zero(vector_));
    auto loop = scf::ForOp::create(
        e.b, e.loc, e.constant(0), operands.groups, e.constant(1), state,
        [&](OpBuilder &, Location, Value, ValueRange current) { emitGroup(current); });
    storeSums(operands, loop.getResults().drop_front(2));
  }

private:
  Value sumAddress(const TileOperands &operands, int64_t row, int64_t vector) {
    Value start = e.address(type_, operands.c, e.mul(operands.stride, row));
    return e.address(type_, start, vector * tile_.lanes);
  }

  SmallVector<Value> initialSums(const TileOperands &operands) {
    auto forEach = [&](function_ref<Value(int64_t, int64_t)> value) {
      SmallVector<Value> values;
      for (int64_t row = 0; row < rows_; ++row)
        for (int64_t vector = 0; vector < tile_.vectors; ++vector)
          values.push_back(value(row, vector));
      scf::YieldOp::create(e.b, e.loc, values);
    };
    auto branch = scf::IfOp::create(
        e.b, e.loc, operands.accumulate,
        [&](OpBuilder &, Location) {
          forEach([&](int64_t row, int64_t vector) {
            return e.load(vector_, sumAddress(operands, row, vector), Value());
          });
        },
        [&](OpBuilder &, Location) {
          forEach([&](int64_t, int64_t) { return e.zero(vector_); });
        });
    return SmallVector<Value>(branch.getResults());
  }

  /// depthGroup steps of k. `current`: the pointers into A and B, then the sums.
  void emitGroup(ValueRange current) {
    Value a = current[0], b = current[1];
    SmallVector<Value> sums(current.drop_front(2));
    const int64_t count = rows_ * tile_.vectors;
    for (int64_t step = 0; step < depthGroup; ++step) {
      SmallVector<Value> row;
      for (int64_t v = 0; v < tile_.vectors; ++v)
        row.push_back(e.load(
            vector_, e.address(type_, b, step * tile_.columns() + v * tile_.lanes),
            Value()));
      for (int64_t i = 0; i < rows_; ++i) {
        Value scalar = e.load(type_, e.address(type_, a, i * depthGroup + step));
        Value spread = e.broadcast(tile_.lanes, scalar);
        for (int64_t v = 0; v < tile_.vectors; ++v) {
          Value &sum = sums[(step % copies_) * count + i * tile_.vectors + v];
          sum = vector::FMAOp::create(e.b, e.loc, spread, row[v], sum);
        }
      }
    }
    SmallVector<Value> next{e.address(type_, a, rows_ * depthGroup),
                            e.address(type_, b, tile_.columns() * depthGroup)};
    next.append(sums);
    scf::YieldOp::create(e.b, e.loc, next);
  }

  void storeSums(const TileOperands &operands, ValueRange sums) {
    const int64_t count = rows_ * tile_.vectors;
    for (int64_t i = 0; i < count; ++i) {
      Value sum = sums[i];
      for (int64_t copy = 1; copy < copies_; ++copy)
        sum = arith::AddFOp::create(e.b, e.loc, sum, sums[copy * count + i]);
      e.store(sum, sumAddress(operands, i / tile_.vectors, i % tile_.vectors));
    }
  }

  Emitter e;
  Type type_;
  RegisterTile tile_;
  int64_t rows_;
  VectorType vector_;
  int64_t copies_; ///< sets of accumulators
};

TileOperands operandsOf(ValueRange values) {
  return {values[0], values[1], values[2], values[3], values[4], values[5]};
}

SmallVector<Value> valuesOf(const TileOperands &operands) {
  return {operands.a,      operands.b,      operands.c,
          operands.stride, operands.groups, operands.accumulate};
}

func::FuncOp getMicrokernel(Emitter &e, ModuleOp module, Type elementType,
                            const RegisterTile &tile, int64_t rows) {
  std::string name = "uk_" + typeName(elementType) + "_" + std::to_string(rows) + "x" +
                     std::to_string(tile.columns());
  if (auto existing = module.lookupSymbol<func::FuncOp>(name))
    return existing;
  OpBuilder::InsertionGuard guard(e.b);
  Type pointer = LLVM::LLVMPointerType::get(e.b.getContext());
  Type i64 = e.b.getI64Type(), i1 = e.b.getI1Type();
  auto type = e.b.getFunctionType({pointer, pointer, pointer, i64, i64, i1}, {});
  func::FuncOp function = addPrivateFunction(e, module, name, type);
  MicrokernelEmitter(e.b, e.loc, elementType, tile, rows)
      .emitBody(operandsOf(function.getArguments()));
  func::ReturnOp::create(e.b, e.loc);
  return function;
}

/// Branches to the microkernel of `height`.
void emitSwitch(Emitter &e, ModuleOp module, Type elementType, const RegisterTile &tile,
                ArrayRef<int64_t> heights, Value height, const TileOperands &operands) {
  switchOverHeights(e, heights, height, [&](int64_t rows) {
    func::FuncOp callee = getMicrokernel(e, module, elementType, tile, rows);
    func::CallOp::create(e.b, e.loc, callee, valuesOf(operands));
  });
}

/// The function that switches over all heights; one for all kernels of a module.
func::FuncOp getDispatcher(Emitter &e, ModuleOp module, Type elementType,
                           const RegisterTile &tile, ArrayRef<int64_t> heights) {
  std::string name =
      "uk_" + typeName(elementType) + "_any_x" + std::to_string(tile.columns());
  if (auto existing = module.lookupSymbol<func::FuncOp>(name))
    return existing;
  OpBuilder::InsertionGuard guard(e.b);
  Type pointer = LLVM::LLVMPointerType::get(e.b.getContext());
  Type i64 = e.b.getI64Type(), i1 = e.b.getI1Type();
  auto type = e.b.getFunctionType({pointer, pointer, pointer, i64, i64, i1, i64}, {});
  func::FuncOp function = addPrivateFunction(e, module, name, type);
  emitSwitch(e, module, elementType, tile, heights, function.getArguments().back(),
             operandsOf(function.getArguments().drop_back()));
  func::ReturnOp::create(e.b, e.loc);
  return function;
}

} // namespace

void callMicrokernel(Emitter &e, Type elementType, const RegisterTile &tile,
                     ArrayRef<int64_t> heights, Value height,
                     const TileOperands &operands) {
  if (heights.empty())
    return;
  auto module = e.b.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  if (heights.size() <= 4)
    return emitSwitch(e, module, elementType, tile, heights, height, operands);
  func::FuncOp dispatcher = getDispatcher(e, module, elementType, tile, heights);
  SmallVector<Value> values = valuesOf(operands);
  values.push_back(height);
  func::CallOp::create(e.b, e.loc, dispatcher, values);
}

} // namespace rtorch::gemm
