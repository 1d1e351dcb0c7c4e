// Products of matrices and attention.
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

/// The flash kernel gives also the logarithms of the sums, for the backward pass.
Results flashAttention(Call &c) {
  if (c.isUsed(1)) {
    c.error() << "the logsumexp of attention is not supported";
    return mlir::failure();
  }
  Value result = attention(c);
  if (!result)
    return mlir::failure();
  return std::vector<Value>{result, Value()};
}

std::string refuseDropout(const importer::Graph &, const importer::Node &node) {
  const importer::Argument *p = node.find("dropout_p");
  auto *probability = p ? std::get_if<double>(p) : nullptr;
  if (probability && *probability != 0)
    return "attention with dropout is not supported; call eval() before exporting";
  return {};
}

} // namespace

void addContractionRules(RuleTable &table) {
  addRule(table, {"aten.linear.default"}, [](Call &c) {
    return c.linear(c.tensor("input"), c.tensor("weight"), c.optionalTensor("bias"));
  });
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
}

} // namespace rtorch::translate
