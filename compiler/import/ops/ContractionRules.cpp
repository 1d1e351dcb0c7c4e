// Products of matrices and attention.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>

namespace rtorch::translate {
namespace {

/// torch.matmul: vectors become matrices, and their dim is dropped again.
Value matmul(Call &c, Value a, Value b) {
  if (!a || !b)
    return {};
  bool isRow = rankOf(a) == 1, isColumn = rankOf(b) == 1;
  Value lhs = isRow ? c.unsqueeze(a, 0) : a;
  Value result = c.matmul(lhs, isColumn ? c.unsqueeze(b, 1) : b);
  if (!result || (!isRow && !isColumn))
    return result;
  Dims sizes = sizesOf(result);
  if (isColumn)
    sizes.pop_back();
  if (isRow)
    sizes.erase(sizes.end() - (isColumn ? 1 : 2));
  return c.view(result, sizes);
}

/// beta * self + alpha * (left @ right)
Value addProduct(Call &c, std::string_view left, std::string_view right) {
  Value self = c.tensor("self"), a = c.tensor(left), b = c.tensor(right);
  if (!self || !a || !b)
    return {};
  auto isOne = [](const std::optional<Scalar> &factor) {
    return !factor || factor->constant() == 1.0;
  };
  std::optional<Scalar> alpha = c.scalar("alpha"), beta = c.scalar("beta");
  ScalarType common = dtypeOf(a), dtype = common;
  // Factors come before float16 and bfloat16 are rounded.
  if (isHalf(common) && (!isOne(alpha) || !isOne(beta)))
    dtype = ScalarType::Float;
  auto scaled = [&](Value x, const std::optional<Scalar> &factor) {
    return isOne(factor) ? x : c.binary<rt::MulOp>(x, c.full(*factor, dtype));
  };
  Value product = scaled(matmul(c, c.convert(a, dtype), c.convert(b, dtype)), alpha);
  // With beta = 0, not even NaN of `self` counts.
  if (product && (!beta || beta->constant() != 0.0))
    product = c.binary<rt::AddOp>(product, scaled(c.convert(self, dtype), beta));
  return c.convert(product, common);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// 1 / sqrt(size)
Scalar inverseRoot(const Expr &size) {
  using importer::RealExpr;
  RealExpr root{RealExpr::Kind::Sqrt, 0, {}, {{RealExpr::Kind::Integer, 0, size, {}}}};
  return Scalar::of(RealExpr{
      RealExpr::Kind::Div, 0, {}, {{RealExpr::Kind::Constant, 1, {}, {}}, root}});
}

Value attention(Call &c) {
  Value query = c.tensor("query"), key = c.tensor("key"), value = c.tensor("value");
  Value mask = c.optionalTensor("attn_mask");
  if (!query || !key || !value)
    return {};
  if (rankOf(query) < 2 || rankOf(key) != rankOf(query) ||
      rankOf(value) != rankOf(query)) {
    c.error() << "expects query, key and value of one rank of 2 or more, but got "
              << rt::tensorType(query) << ", " << rt::tensorType(key) << " and "
              << rt::tensorType(value);
    return {};
  }
  std::optional<double> scale = c.real("scale");
  std::optional<int64_t> width = sizeOf(query, rankOf(query) - 1).constant();
  if (!scale && !width) {
    query = c.binary<rt::MulOp>(
        query, c.full(inverseRoot(sizeOf(query, rankOf(query) - 1)), dtypeOf(query)));
    scale = 1;
  }
  Dims sizes = sizesOf(query);
  sizes.back() = sizesOf(value).back();
  return c.compute<rt::AttentionOp>(
      sizes, dtypeOf(query), query, key, value, mask,
      llvm::APFloat(scale ? *scale : 1 / std::sqrt(static_cast<double>(*width))),
      c.boolean("is_causal"), c.boolean("enable_gqa"), /*nan_rows=*/false);
}

/// The contiguous strides of [batch, length, heads, ...], whose dims 1 and 2 were
/// swapped: what eager's flash kernels work on.
Value headsInside(Call &c, Value x) {
  if (!x)
    return x;
  Dims sizes = sizesOf(x);
  std::swap(sizes[1], sizes[2]);
  Dims strides = layout::contiguousStrides(sizes);
  std::swap(strides[1], strides[2]);
  return c.withStrides(x, strides);
}

/// query * key^T * scale, with the mask added: -inf where there is no score.
Value maskedScores(Call &c, Value query, Value key) {
  int64_t rank = rankOf(query);
  std::optional<double> given = c.real("scale");
  Value scores = c.matmul(query, c.transpose(key, rank - 2, rank - 1));
  if (!scores)
    return scores;
  ScalarType dtype = dtypeOf(scores);
  Value scale = given ? c.number(*given, dtype)
                      : c.full(inverseRoot(sizeOf(query, rank - 1)), dtype);
  scores = c.binary<rt::MulOp>(scores, scale);
  Value nothing = c.number(-INFINITY, dtype);
  if (Value mask = c.optionalTensor("attn_mask"))
    scores = dtypeOf(mask) == ScalarType::Bool
                 ? c.where(mask, scores, nothing)
                 : c.binary<rt::AddOp>(scores, c.convert(mask, dtype));
  if (c.boolean("is_causal")) {
    Value row = c.countAlong(sizeOf(scores, rank - 2), rank - 2, rank);
    Value column = c.countAlong(sizeOf(scores, rank - 1), rank - 1, rank);
    scores = c.where(c.compare<rt::LeOp>(column, row), scores, nothing);
  }
  return scores;
}

/// log(sum(exp(scores))) of each query, which the gradient begins with.
Value logSumExpOfScores(Call &c) {
  Value scores =
      maskedScores(c, widened(c, c.tensor("query")), widened(c, c.tensor("key")));
  if (!scores)
    return scores;
  std::vector<int64_t> last{rankOf(scores) - 1};
  Value largest = c.reduce<rt::AmaxOp>(scores, last, true);
  Value powers = c.unary<rt::ExpOp>(c.binary<rt::SubOp>(scores, largest));
  Value log = c.unary<rt::LogOp>(c.reduce<rt::SumOp>(powers, last, false));
  return headsInside(c, c.binary<rt::AddOp>(log, c.squeeze(largest, last)));
}

/// The flash kernel gives also the logarithms of the sums, for the backward pass.
Results flashAttention(Call &c) {
  Value result = attention(c);
  if (!result)
    return mlir::failure();
  Value sums = c.isUsed(1) ? logSumExpOfScores(c) : Value();
  if (c.isUsed(1) && !sums)
    return mlir::failure();
  return std::vector<Value>{result, sums};
}

/// With P = exp(scores - logsumexp): the gradients are P^T g for the values, and for
/// the scores S = P * (g value^T - sum(g * out)) * scale, of which query and key get
/// S key and S^T query.
Results flashAttentionBackward(Call &c) {
  Value query = widened(c, c.tensor("query")), key = widened(c, c.tensor("key")),
        value = widened(c, c.tensor("value")), g = widened(c, c.tensor("grad_out")),
        out = widened(c, c.tensor("out")), logSum = c.tensor("logsumexp");
  if (!query || !key || !value || !g || !out || !logSum)
    return mlir::failure();
  const int64_t rank = rankOf(query);
  const ScalarType dtype = dtypeOf(query);
  auto flipped = [&](Value x) { return c.transpose(x, rank - 2, rank - 1); };
  Value shift = c.unsqueeze(c.convert(logSum, dtype), rank - 1);
  Value scores = maskedScores(c, query, key);
  if (!scores)
    return mlir::failure();
  Value weights = c.unary<rt::ExpOp>(c.binary<rt::SubOp>(scores, shift));
  Value total = c.reduce<rt::SumOp>(c.binary<rt::MulOp>(g, out), {rank - 1}, true);
  Value slopes = c.binary<rt::SubOp>(c.matmul(g, flipped(value)), total);
  std::optional<double> given = c.real("scale");
  Value scale = given ? c.number(*given, dtype)
                      : c.full(inverseRoot(sizeOf(query, rank - 1)), dtype);
  slopes = c.binary<rt::MulOp>(c.binary<rt::MulOp>(weights, slopes), scale);
  std::vector<Value> results{c.matmul(slopes, key), c.matmul(flipped(slopes), query),
                             c.matmul(flipped(weights), g)};
  ScalarType narrow = dtypeOf(c.tensor("query"));
  for (Value &result : results)
    if (!(result = headsInside(c, c.convert(result, narrow))))
      return mlir::failure();
  return results;
}

std::string refuseDropout(const importer::Graph &, const importer::Node &node) {
  const importer::Argument *p = node.find("dropout_p");
  auto *probability = p ? std::get_if<double>(p) : nullptr;
  if (probability && *probability != 0)
    return "attention with dropout is not supported; call eval() before exporting";
  return {};
}

/// sum over i, j of input1[..., i] * weight[o, i, j] * input2[..., j], plus the bias.
Value bilinear(Call &c) {
  Value a = c.tensor("input1"), b = c.tensor("input2"), weight = c.tensor("weight"),
        bias = c.optionalTensor("bias");
  if (!a || !b || !weight)
    return {};
  if (rankOf(weight) != 3 || rankOf(a) < 1 || rankOf(b) != rankOf(a)) {
    c.error() << "expects inputs of one rank and a weight of rank 3, but got "
              << rt::tensorType(a) << ", " << rt::tensorType(b) << " and "
              << rt::tensorType(weight);
    return {};
  }
  Dims sizes = sizesOf(a), w = sizesOf(weight);
  Expr rows = layout::numel({sizes.begin(), sizes.end() - 1});
  Value left = c.reshape(widened(c, a), {rows, w[1]});
  Value right = c.reshape(widened(c, b), {rows, w[2], 1});
  Value matrix =
      c.reshape(c.permute(widened(c, weight), {1, 0, 2}), {w[1], w[0] * w[2]});
  Value product = c.matmul(left, matrix);
  if (!product || !right)
    return {};
  Value result = c.matmul(c.reshape(product, {rows, w[0], w[2]}), right);
  sizes.back() = w[0];
  result = result ? c.reshape(result, sizes) : result;
  if (bias)
    result = c.binary<rt::AddOp>(result, c.convert(bias, dtypeOf(result)));
  return c.convert(result, dtypeOf(a));
}

/// Products of three tensors, each with dims of size 1 put in, summed over some dims.
Value trilinear(Call &c) {
  Value product;
  for (auto [name, dims] :
       {std::pair("i1", "expand1"), {"i2", "expand2"}, {"i3", "expand3"}}) {
    Value x = c.tensor(name);
    for (int64_t dim : c.integers(dims))
      x = x ? c.unsqueeze(x, dim) : x;
    if (!x)
      return x;
    product = product ? c.binary<rt::MulOp>(product, x) : x;
  }
  return product && !c.integers("sumdim").empty()
             ? rowMajor(c, c.reduce<rt::SumOp>(
                               product, c.dims("sumdim", rankOf(product)), false))
             : product;
}

} // namespace

void addContractionRules(RuleTable &table) {
  addRule(table, {"aten.linear.default"}, [](Call &c) {
    return c.linear(c.tensor("input"), c.tensor("weight"), c.optionalTensor("bias"));
  });
  addRule(table, {"aten.bilinear.default"}, bilinear);
  addRule(table, {"aten._trilinear.default"}, trilinear);
  addRule(table, {"aten.matmul.default"},
          [](Call &c) { return matmul(c, c.tensor("self"), c.tensor("other")); });
  addRule(table, {"aten.mm.default", "aten.bmm.default"},
          [](Call &c) { return c.matmul(c.tensor("self"), c.tensor("mat2")); });
  addRule(table, {"aten.mv.default"},
          [](Call &c) { return matmul(c, c.tensor("self"), c.tensor("vec")); });
  addRule(table, {"aten.dot.default"},
          [](Call &c) { return matmul(c, c.tensor("self"), c.tensor("tensor")); });
  addRule(table, {"aten.vdot.default"},
          [](Call &c) { return matmul(c, c.tensor("self"), c.tensor("other")); });
  addRule(table, {"aten.addmm.default"},
          [](Call &c) { return addProduct(c, "mat1", "mat2"); });
  addRule(table, {"aten.baddbmm.default"},
          [](Call &c) { return addProduct(c, "batch1", "batch2"); });
  addRule(table, {"aten.addmv.default"},
          [](Call &c) { return addProduct(c, "mat", "vec"); });
  addRule(table, {"aten.outer.default", "aten.ger.default"}, [](Call &c) {
    Value column = c.tensor("self"), row = c.tensor("vec2");
    if (!column || !row)
      return Value();
    ScalarType dtype = resultType({{column, {}}, {row, {}}});
    return c.binary<rt::MulOp>(c.unsqueeze(c.convert(column, dtype), 1),
                               c.convert(row, dtype));
  });
  llvm::StringRef sdpa = "aten.scaled_dot_product_attention.default";
  addRule(table, {sdpa}, attention);
  table[sdpa].refuse = refuseDropout;
  llvm::StringRef flash = "aten._scaled_dot_product_flash_attention_for_cpu.default";
  addMultiRule(table, {flash}, flashAttention);
  table[flash].refuse = refuseDropout;
  llvm::StringRef backward =
      "aten._scaled_dot_product_flash_attention_for_cpu_backward.default";
  addMultiRule(table, {backward}, flashAttentionBackward);
  table[backward].refuse = refuseDropout;
}

} // namespace rtorch::translate
