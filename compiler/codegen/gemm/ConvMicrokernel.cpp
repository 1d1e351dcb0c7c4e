#include "compiler/codegen/gemm/ConvMicrokernel.h"

#include "compiler/codegen/gemm/Microkernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace rtorch::gemm {
namespace {

/// Channels in the body of the channel loop.
constexpr int64_t kUnrolledChannels = 4;

std::string nameOf(Value number) {
  std::optional<int64_t> known = constantOf(number);
  return known ? std::to_string(*known) : "n";
}

/// The constant itself where a value is one: functions take it in instead of an
/// argument.
Value orConstant(Emitter &e, Value value, Value argument) {
  std::optional<int64_t> known = constantOf(value);
  return known ? e.constant(*known) : argument;
}

Type pointerType(Emitter &e) { return LLVM::LLVMPointerType::get(e.b.getContext()); }

/// The pointers of one tap.
SmallVector<Value> loadPointers(Emitter &e, Value table, Value tap, int64_t lanes,
                                int64_t height) {
  Type pointer = pointerType(e);
  Value start = e.address(pointer, table, e.mul(tap, lanes));
  SmallVector<Value> pointers;
  for (int64_t i = 0; i < height; ++i)
    pointers.push_back(e.load(pointer, e.address(pointer, start, i)));
  return pointers;
}

/// Emits the body of a dense microkernel.
class ConvEmitter {
public:
  ConvEmitter(Emitter &e, Type type, const RegisterTile &tile, int64_t lanes,
              int64_t height, const ConvOperands &operands)
      : e(e), type_(type), tile_(tile), lanes_(lanes), height_(height),
        operands_(operands), vector_(VectorType::get(tile.lanes, type)),
        count_(height * tile.vectors) {
    // With few accumulators the steps go to sums of their own: a multiply-add takes
    // four cycles, and two start in each.
    copies_ = count_ >= 8 ? 1 : count_ >= 4 ? 2 : kUnrolledChannels;
  }

  void emitBody() {
    SmallVector<Value> state{operands_.weights};
    for (int64_t i = 0; i < copies_ * count_; ++i)
      state.push_back(e.zero(vector_));
    state =
        e.loop(e.constant(0), operands_.taps, 1, state,
               [&](Value tap, ValueRange current) { return tapStep(tap, current); });
    for (int64_t i = 0; i < count_; ++i) {
      Value sum = state[1 + i];
      for (int64_t copy = 1; copy < copies_; ++copy)
        sum = arith::AddFOp::create(e.b, e.loc, sum, state[1 + copy * count_ + i]);
      e.store(sum, e.address(type_, operands_.sums, i * tile_.lanes));
    }
  }

private:
  SmallVector<Value> tapStep(Value tap, ValueRange current) {
    pointers_ = loadPointers(e, operands_.table, tap, lanes_, height_);
    Value whole = e.roundDown(operands_.channels, kUnrolledChannels);
    SmallVector<Value> state =
        channelLoop(e.constant(0), whole, kUnrolledChannels, current);
    // The rest one by one. Not unrolled into the block that loads the pointers: there
    // the elements of each pointer would be loaded together, and spilled.
    return channelLoop(whole, operands_.channels, 1, state);
  }

  SmallVector<Value> channelLoop(Value start, Value end, int64_t step,
                                 ValueRange current) {
    std::optional<int64_t> first = constantOf(start), last = constantOf(end);
    if (first && last && *first >= *last)
      return SmallVector<Value>(current);
    return e.loop(start, end, step, current, [&](Value channel, ValueRange inner) {
      return channelSteps(channel, step, inner);
    });
  }

  /// `steps` channels from `channel` on. `current`: the weights' pointer, the sums.
  SmallVector<Value> channelSteps(Value channel, int64_t steps, ValueRange current) {
    Value weights = current[0];
    SmallVector<Value> sums(current.drop_front(1));
    for (int64_t step = 0; step < steps; ++step) {
      SmallVector<Value> row;
      for (int64_t v = 0; v < tile_.vectors; ++v)
        row.push_back(
            e.load(vector_,
                   e.address(type_, weights, step * tile_.columns() + v * tile_.lanes),
                   Value()));
      for (int64_t i = 0; i < height_; ++i) {
        Value spread =
            e.broadcast(tile_.lanes, e.load(type_, element(i, channel, step)));
        for (int64_t v = 0; v < tile_.vectors; ++v) {
          Value &sum = sums[(step % copies_) * count_ + i * tile_.vectors + v];
          sum = vector::FMAOp::create(e.b, e.loc, spread, row[v], sum);
        }
      }
    }
    SmallVector<Value> next{e.address(type_, weights, steps * tile_.columns())};
    next.append(sums);
    return next;
  }

  /// Where channel `channel` + `step` of pixel `i` lies.
  Value element(int64_t i, Value channel, int64_t step) {
    Value start =
        e.address(type_, pointers_[i], e.mul(channel, operands_.channelStride));
    return e.address(type_, start, e.mul(e.constant(step), operands_.channelStride));
  }

  Emitter &e;
  Type type_;
  RegisterTile tile_;
  int64_t lanes_, height_;
  const ConvOperands &operands_;
  VectorType vector_;
  int64_t count_, copies_;
  SmallVector<Value> pointers_;
};

func::FuncOp getConvMicrokernel(Emitter &e, ModuleOp module, Type type,
                                const RegisterTile &tile, int64_t lanes, int64_t height,
                                const ConvOperands &operands) {
  std::string name = "conv_" + typeName(type) + "_" + std::to_string(height) + "x" +
                     std::to_string(tile.columns()) + "_" + std::to_string(lanes) +
                     "_t" + nameOf(operands.taps) + "_c" + nameOf(operands.channels) +
                     "_s" + nameOf(operands.channelStride);
  if (auto existing = module.lookupSymbol<func::FuncOp>(name))
    return existing;
  OpBuilder::InsertionGuard guard(e.b);
  Type pointer = pointerType(e), i64 = e.b.getI64Type();
  auto functionType =
      e.b.getFunctionType({pointer, i64, i64, i64, pointer, pointer}, {});
  func::FuncOp function = addPrivateFunction(e, module, name, functionType);
  Block &entry = function.getBody().front();
  ConvOperands inside{entry.getArgument(0),
                      orConstant(e, operands.taps, entry.getArgument(1)),
                      orConstant(e, operands.channels, entry.getArgument(2)),
                      orConstant(e, operands.channelStride, entry.getArgument(3)),
                      entry.getArgument(4),
                      entry.getArgument(5)};
  ConvEmitter(e, type, tile, lanes, height, inside).emitBody();
  func::ReturnOp::create(e.b, e.loc);
  return function;
}

} // namespace

void callConvMicrokernel(Emitter &e, Type elementType, const RegisterTile &tile,
                         int64_t lanes, ArrayRef<int64_t> heights, Value height,
                         const ConvOperands &operands) {
  auto module = e.b.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  switchOverHeights(e, heights, height, [&](int64_t fixed) {
    func::FuncOp callee =
        getConvMicrokernel(e, module, elementType, tile, lanes, fixed, operands);
    SmallVector<Value> values{operands.table,    operands.taps,
                              operands.channels, operands.channelStride,
                              operands.weights,  operands.sums};
    func::CallOp::create(e.b, e.loc, callee, values);
  });
}

//===----------------------------------------------------------------------===//
// Depthwise
//===----------------------------------------------------------------------===//

namespace {

/// Emits the body of a depthwise microkernel.
class DepthwiseEmitter {
public:
  DepthwiseEmitter(Emitter &e, Type type, int64_t width, const DepthwiseRun &run,
                   const DepthwiseOperands &operands)
      : e(e), type_(type), run_(run), operands_(operands),
        vector_(VectorType::get(width, type)),
        mask_(operands.count ? e.laneMask(width, operands.count) : Value()) {}

  void emitBody() {
    SmallVector<Value> sums(run_.pixels, e.zero(vector_));
    sums = e.loop(e.constant(0), operands_.rows, 1, sums,
                  [&](Value row, ValueRange current) { return rowStep(row, current); });
    for (int64_t i = 0; i < run_.pixels; ++i)
      e.store(sums[i], e.address(type_, operands_.sums, i * vector_.getNumElements()));
  }

private:
  SmallVector<Value> rowStep(Value row, ValueRange current) {
    SmallVector<Value> sums(current), weights;
    for (int64_t tap = 0; tap < run_.taps; ++tap) {
      Value index = e.mul(e.add(e.mul(row, run_.taps), tap), operands_.channels);
      weights.push_back(e.load(
          vector_, e.address(type_, operands_.weights, e.add(index, operands_.channel)),
          mask_));
    }
    for (int64_t column = 0; column < run_.columns(); ++column) {
      Value x;
      for (int64_t tap = 0; tap < run_.taps; ++tap) {
        int64_t from = column - tap * run_.dilation, pixel = from / run_.stride;
        if (from < 0 || from % run_.stride || pixel >= run_.pixels)
          continue;
        if (!x)
          x = loadColumn(row, column);
        sums[pixel] = vector::FMAOp::create(e.b, e.loc, x, weights[tap], sums[pixel]);
      }
    }
    return sums;
  }

  Value loadColumn(Value row, int64_t column) {
    Type pointer = pointerType(e);
    Value at = e.mul(e.add(e.mul(row, run_.columns()), column), operands_.lanes);
    Value input = e.load(pointer, e.address(pointer, operands_.table, at));
    return e.load(vector_, e.address(type_, input, operands_.channel), mask_);
  }

  Emitter &e;
  Type type_;
  const DepthwiseRun &run_;
  const DepthwiseOperands &operands_;
  VectorType vector_;
  Value mask_;
};

} // namespace

void callDepthwiseMicrokernel(Emitter &e, Type elementType, int64_t width,
                              const DepthwiseRun &run,
                              const DepthwiseOperands &operands) {
  auto module = e.b.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  std::string name = "depthwise_" + typeName(elementType) + "_" +
                     std::to_string(run.pixels) + "x" + std::to_string(width) + "_t" +
                     std::to_string(run.taps) + "_s" + std::to_string(run.stride) +
                     "_d" + std::to_string(run.dilation) + "_l" +
                     std::to_string(operands.lanes) + "_r" + nameOf(operands.rows) +
                     "_c" + nameOf(operands.channels) + (operands.count ? "_part" : "");
  auto callee = module.lookupSymbol<func::FuncOp>(name);
  if (!callee) {
    OpBuilder::InsertionGuard guard(e.b);
    Type pointer = pointerType(e), i64 = e.b.getI64Type();
    auto type =
        e.b.getFunctionType({pointer, i64, i64, i64, pointer, pointer, i64}, {});
    callee = addPrivateFunction(e, module, name, type);
    Block &entry = callee.getBody().front();
    DepthwiseOperands inside{entry.getArgument(0),
                             operands.lanes,
                             orConstant(e, operands.rows, entry.getArgument(1)),
                             entry.getArgument(2),
                             orConstant(e, operands.channels, entry.getArgument(3)),
                             entry.getArgument(4),
                             entry.getArgument(5),
                             operands.count ? Value(entry.getArgument(6)) : Value()};
    DepthwiseEmitter(e, elementType, width, run, inside).emitBody();
    func::ReturnOp::create(e.b, e.loc);
  }
  SmallVector<Value> values{operands.table,
                            operands.rows,
                            operands.channel,
                            operands.channels,
                            operands.weights,
                            operands.sums,
                            operands.count ? operands.count : e.constant(width)};
  func::CallOp::create(e.b, e.loc, callee, values);
}

} // namespace rtorch::gemm
