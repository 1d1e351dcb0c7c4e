#include "compiler/codegen/kernel/Transpose.h"

using namespace mlir;

namespace rtorch::codegen {

SmallVector<Value> transposeSquare(gemm::Emitter &e, ArrayRef<Value> rows) {
  SmallVector<Value> square(rows);
  int64_t size = square.size();
  for (int64_t block = size / 2; block >= 1; block /= 2)
    for (int64_t i = 0; i < size; ++i) {
      if (i & block)
        continue;
      SmallVector<int64_t> upper, lower; // lanes of row i, then of row i + block
      for (int64_t lane = 0; lane < size; ++lane) {
        bool second = lane & block;
        upper.push_back(second ? size + lane - block : lane);
        lower.push_back(second ? size + lane : lane + block);
      }
      Value a = square[i], b = square[i + block];
      square[i] = e.shuffle(a, b, upper);
      square[i + block] = e.shuffle(a, b, lower);
    }
  return square;
}

} // namespace rtorch::codegen
