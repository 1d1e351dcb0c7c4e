// Compositions that several families of rules share.
#pragma once

#include "compiler/import/ops/Call.h"

namespace rtorch::translate {

/// The number of elements that a reduction over `dims` folds.
Expr countOf(Value x, const std::vector<int64_t> &dims);
/// Sum and mean of a floating-point tensor in its dtype.
Value meanOver(Emitter &e, Value x, const std::vector<int64_t> &dims, bool keepdim);
/// sum((x - mean)^2) / max(0, count - correction)
Value varianceOver(Emitter &e, Value x, const std::vector<int64_t> &dims,
                   const Scalar &correction, bool keepdim);
/// In float32 for float16 and bfloat16, else as it is.
Value widened(Emitter &e, Value x);

/// The result with the strides of a pointwise op of these operands.
Value likeOperands(Emitter &e, Value result, llvm::ArrayRef<Value> operands);
/// A tensor of rank 0 counts as one of rank 1.
Value atLeast1d(Emitter &e, Value x);
/// All elements in one dim.
Value flattened(Emitter &e, Value x);
/// `x` with the strides of a contiguous tensor.
Value rowMajor(Emitter &e, Value x);
/// `x` with its elements along `dim` added up at their `places` in a dim of `size`.
Value addAlong(Emitter &e, Value x, Value places, int64_t dim, const Expr &size);
/// What eager counts from the beginning of the storage of `x`: inputs and results of
/// ops begin at their first element here.
Expr exportedOffset(Call &c, Value x);
/// Which results of a gradient op are asked for: its `output_mask`, all true without.
std::vector<bool> outputMask(Call &c);

/// The norm of order `order` of a floating-point tensor.
Value normOver(Emitter &e, Value x, double order, const std::vector<int64_t> &dims,
               bool keep);
/// The norm of a - b + eps along the last dim.
Value pairwiseDistance(Emitter &e, Value a, Value b, double p, double eps, bool keep);
/// `steps` numbers from `start` to `end`, both included; rank-0 tensors of one dtype.
Value linspace(Emitter &e, Value start, Value end, const Expr &steps);

} // namespace rtorch::translate
