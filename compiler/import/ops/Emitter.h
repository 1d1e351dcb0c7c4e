// Makes ops of the dialect with the dtypes, sizes and strides that eager gives them.
#pragma once

#include "compiler/import/ops/Dtype.h"

#include "mlir/IR/Diagnostics.h"

#include <vector>

namespace rtorch::translate {

using layout::Dims;
using layout::Expr;
using mlir::Value;

/// Builds ops at one place and source location. A null value means that an error was
/// reported; given a null operand, every function returns null without another error.
class Emitter {
public:
  /// `subject` is what errors are about: the node.
  Emitter(mlir::OpBuilder &builder, layout::Guards &guards, mlir::Location loc,
          std::string subject)
      : builder(builder), guards(guards), loc(loc), subject(std::move(subject)) {}

  mlir::OpBuilder &builder;
  layout::Guards &guards;
  mlir::Location loc;
  std::string subject;

  mlir::InFlightDiagnostic error() const {
    return mlir::emitError(loc) << subject << ": ";
  }

  // --- Compute ops
  /// Creates an op whose one result has these sizes and this dtype, and gives it
  /// eager's strides.
  template <typename Op, typename... Args>
  Value compute(const Dims &sizes, ScalarType dtype, Args &&...args) {
    auto op =
        Op::create(builder, loc, rowMajor(sizes, dtype), std::forward<Args>(args)...);
    return inferStrides(op);
  }
  /// Creates a pointwise op; the operands have their dtypes already.
  template <typename Op, typename... Values>
  Value pointwise(ScalarType dtype, Values... operands) {
    if (!(operands && ...))
      return {};
    std::optional<Dims> sizes = broadcast({operands...});
    return sizes ? compute<Op>(*sizes, dtype, sized(operands, *sizes)...) : Value();
  }
  template <typename Op> Value unary(Value x) {
    return x ? pointwise<Op>(dtypeOf(x), x) : x;
  }
  template <typename Op> Value binary(Value a, Value b) {
    return a && b ? pointwise<Op>(dtypeOf(a), a, b) : Value();
  }
  template <typename Op> Value compare(Value a, Value b) {
    return pointwise<Op>(ScalarType::Bool, a, b);
  }
  Value where(Value condition, Value a, Value b);
  /// Sizes of the operands' broadcast; reports an error where there is none.
  std::optional<Dims> broadcast(std::vector<Value> operands);
  /// `x` with the expressions of `sizes` for its own that are equal to them by a guard.
  Value sized(Value x, const Dims &sizes);

  /// A number as a tensor; of rank 0 without `sizes`. Integers wrap to the dtype.
  Value full(const Scalar &scalar, ScalarType dtype, const Dims &sizes = {});
  /// A float64 over sizes, of rank 0.
  Value real(const importer::RealExpr &expr);
  Value number(double value, ScalarType dtype) {
    return full(Scalar::of(value), dtype);
  }
  /// start, start + step, ... of an integer dtype.
  Value iota(const Expr &size, ScalarType dtype = ScalarType::Long,
             const Expr &start = 0, const Expr &step = 1);
  /// 0, 1, ... along dim `dim` of `rank` dims, the others of size 1.
  Value countAlong(const Expr &size, int64_t dim, int64_t rank);
  /// The operand in `dtype`: a tensor converted, a number as rank 0.
  Value materialize(const Operand &operand, ScalarType dtype);

  /// Another dtype; the value itself if it has that dtype.
  Value convert(Value x, ScalarType dtype);
  /// A copy with these strides.
  Value clone(Value x, const Dims &strides);
  Value cloneRowMajor(Value x);
  /// Strides of what a functional twin of a write into `x` gives (copy, slice_scatter):
  /// those of x, also where they leave gaps; a dense tensor's where x is expanded.
  Dims stridesOfTwin(Value x);
  /// The value itself if it has these strides and no offset, else a copy.
  Value withStrides(Value x, const Dims &strides);
  /// With the strides of a pointwise op that has `x` as its only tensor operand.
  Value likeUnary(Value result, Value x);

  /// Folds `dims` (ascending); dtypes as given.
  template <typename Op>
  Value reduce(Value x, const std::vector<int64_t> &dims, bool keepdim) {
    if (!x)
      return x;
    return compute<Op>(reducedSizes(x, dims, keepdim), dtypeOf(x), x,
                       llvm::ArrayRef<int64_t>(dims), keepdim);
  }
  Dims reducedSizes(Value x, const std::vector<int64_t> &dims, bool keepdim) const;

  // --- Views
  /// The view with these sizes; reports an error if it needs a copy.
  Value view(Value x, const Dims &sizes);
  /// The view if there is one, else a row-major copy.
  Value reshape(Value x, const Dims &sizes);
  Value permute(Value x, const std::vector<int64_t> &permutation);
  Value transpose(Value x, int64_t dim0, int64_t dim1);
  /// `sizes` may hold -1 for "as it is".
  Value expand(Value x, const Dims &sizes);
  Value unsqueeze(Value x, int64_t dim);
  Value squeeze(Value x, const std::vector<int64_t> &dims);
  Value select(Value x, int64_t dim, Expr index);
  Value slice(Value x, int64_t dim, const Expr &start, const Expr &end,
              int64_t step = 1);
  Value diagonal(Value x, int64_t offset, int64_t dim1, int64_t dim2);
  Value unfold(Value x, int64_t dim, int64_t size, int64_t step, int64_t dilation = 1);
  Value asStrided(Value x, const layout::Layout &layout);

  // --- Products, indexing
  Value matmul(Value lhs, Value rhs);
  Value linear(Value x, Value weight, Value bias);
  Value indexSelect(Value source, Value indices, int64_t dim);
  /// Elements of `source` at the indices' broadcast, one tensor of indices for each of
  /// `dims`; the indices' dims stand at `position` of the result.
  Value index(Value source, llvm::ArrayRef<Value> indices, llvm::ArrayRef<int64_t> dims,
              int64_t position, bool wraps);
  /// `source` with updates combined at such places; see rt.scatter.
  Value scatter(Value source, llvm::ArrayRef<Value> indices, Value updates,
                llvm::ArrayRef<int64_t> dims, int64_t position, bool wraps,
                llvm::StringRef combine);
  /// torch.gather: the element of `source` at each element's own place, but for `dim`,
  /// whose index `indices` gives.
  Value gather(Value source, Value indices, int64_t dim);
  /// torch.scatter, the same for writing.
  Value scatterAlong(Value source, Value indices, Value updates, int64_t dim,
                     llvm::StringRef combine);
  /// Running combinations along a dim.
  Value scan(Value x, int64_t dim, llvm::StringRef combine);
  /// Elements in order, stable, and where they were; the first `count` or all.
  std::pair<Value, Value> sort(Value x, int64_t dim, bool descending,
                               std::optional<Expr> count = std::nullopt);
  Value cat(llvm::ArrayRef<Value> inputs, int64_t dim);
  /// `x` from index `low` on in a tensor of `sizes`, with `value` around it; what lies
  /// outside of it is cut off.
  Value pad(Value x, const Dims &low, const Dims &sizes, const Scalar &value);

  /// Stores `value`, broadcast and converted, into the memory of `target`.
  mlir::LogicalResult write(Value value, Value target);

private:
  mlir::MLIRContext *context() const { return loc.getContext(); }
  rt::TensorType rowMajor(const Dims &sizes, ScalarType dtype) const;
  rt::TensorType withLayout(Value x, const layout::Layout &layout) const;
  Value inferStrides(mlir::Operation *op);
  mlir::Attribute elementAttr(const Scalar &scalar, ScalarType dtype) const;
};

inline layout::Layout layoutOf(Value x) { return rt::tensorType(x).getLayout(); }
inline Dims sizesOf(Value x) { return rt::tensorType(x).getSizes(); }
inline Expr sizeOf(Value x, int64_t dim) { return rt::tensorType(x).getSize(dim); }
inline int64_t rankOf(Value x) { return rt::tensorType(x).getRank(); }

/// 0, 1, ..., rank - 1
std::vector<int64_t> allDims(int64_t rank);

} // namespace rtorch::translate
