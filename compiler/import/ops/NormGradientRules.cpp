// Gradients of normalizations.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

Value add(Call &c, Value a, Value b) { return c.binary<rt::AddOp>(a, b); }
Value sub(Call &c, Value a, Value b) { return c.binary<rt::SubOp>(a, b); }
Value mul(Call &c, Value a, Value b) { return c.binary<rt::MulOp>(a, b); }

/// What a normalization over `dims` saw: x - mean times the inverse deviation.
Value normalized(Call &c, Value x, Value mean, Value inverse) {
  return mul(c, sub(c, x, mean), inverse);
}

/// inverse * (g - mean(g) - xhat * mean(g * xhat)), means over `dims`.
Value throughNorm(Call &c, Value g, Value xhat, Value inverse,
                  const std::vector<int64_t> &dims) {
  Value mean = meanOver(c, g, dims, true);
  Value slope = meanOver(c, mul(c, g, xhat), dims, true);
  return mul(c, inverse, sub(c, sub(c, g, mean), mul(c, xhat, slope)));
}

/// Sum over `dims` in the dtype of `like` (null: of x) and with its sizes.
Value summed(Call &c, Value x, const std::vector<int64_t> &dims, ScalarType dtype,
             const Dims &sizes) {
  Value sum = c.convert(c.reduce<rt::SumOp>(x, dims, false), dtype);
  return sum ? c.reshape(sum, sizes) : sum;
}

/// A value a channel as [1, C, 1, ...].
Value overChannels(Call &c, Value value, int64_t rank, ScalarType dtype) {
  Dims sizes(rank, 1);
  if (!value)
    return value;
  sizes[1] = sizeOf(value, 0);
  return c.reshape(c.convert(value, dtype), sizes);
}

Value in(Call &c, Value x, ScalarType dtype, const Dims &strides) {
  x = c.convert(x, dtype);
  return x ? c.withStrides(x, strides) : x;
}

Results layerNormBackward(Call &c) {
  Value gradient = c.tensor("grad_out"), input = c.tensor("input"),
        weight = c.optionalTensor("weight"), bias = c.optionalTensor("bias");
  Value g = widened(c, gradient), x = widened(c, input);
  if (!g || !x)
    return mlir::failure();
  ScalarType wide = dtypeOf(x);
  int64_t rank = rankOf(x), outer = rank - c.exprs("normalized_shape").size();
  if (outer < 0) {
    c.error() << "expects at most " << rank << " normalized dims for "
              << rt::tensorType(input);
    return mlir::failure();
  }
  std::vector<int64_t> all = allDims(rank), rows(all.begin(), all.begin() + outer),
                       lanes(all.begin() + outer, all.end());
  Dims sizes = sizesOf(x), inner(sizes.begin() + outer, sizes.end());
  Value inverse = c.convert(c.tensor("rstd"), wide);
  Value xhat = normalized(c, x, c.convert(c.tensor("mean"), wide), inverse);
  Value ofX, ofWeight, ofBias;
  std::vector<bool> mask = outputMask(c);
  if (mask[0]) {
    Value weighted = weight ? mul(c, g, c.convert(weight, wide)) : g;
    ofX = in(c, throughNorm(c, weighted, xhat, inverse, lanes), dtypeOf(input),
             layout::contiguousStrides(sizesOf(x)));
  }
  if (mask[1] && weight)
    ofWeight = summed(c, mul(c, g, xhat), rows, dtypeOf(weight), inner);
  if (mask[2] && bias)
    ofBias = summed(c, g, rows, dtypeOf(bias), inner);
  return std::vector<Value>{ofX, ofWeight, ofBias};
}

Results rmsNormBackward(Call &c) {
  Value input = c.tensor("input"), weight = c.optionalTensor("weight");
  Value g = widened(c, c.tensor("grad_out")), x = widened(c, input);
  if (!g || !x)
    return mlir::failure();
  ScalarType wide = dtypeOf(x);
  int64_t rank = rankOf(x), outer = rank - c.exprs("normalized_shape").size();
  std::vector<int64_t> all = allDims(rank), rows(all.begin(), all.begin() + outer),
                       lanes(all.begin() + outer, all.end());
  Value inverse = c.convert(c.tensor("rstd"), wide);
  Value xhat = mul(c, x, inverse), ofX, ofWeight;
  std::vector<bool> mask = outputMask(c);
  if (mask[0]) {
    Value weighted = weight ? mul(c, g, c.convert(weight, wide)) : g;
    Value slope = meanOver(c, mul(c, weighted, xhat), lanes, true);
    ofX = in(c, mul(c, inverse, sub(c, weighted, mul(c, xhat, slope))), dtypeOf(input),
             layout::contiguousStrides(sizesOf(x)));
  }
  if (mask[1] && weight)
    ofWeight = summed(c, mul(c, g, xhat), rows, dtypeOf(weight), sizesOf(weight));
  return std::vector<Value>{ofX, ofWeight};
}

/// Statistics of each group come as [N, groups].
Results groupNormBackward(Call &c) {
  Value gradient = c.tensor("grad_out"), input = c.tensor("input"),
        weight = c.optionalTensor("weight");
  Value g = widened(c, gradient), x = widened(c, input);
  std::optional<int64_t> groups = c.integer("group");
  if (!g || !x || !groups)
    return mlir::failure();
  ScalarType wide = dtypeOf(x);
  int64_t rank = rankOf(x);
  Dims sizes = sizesOf(x),
       grouped = {sizes[0], *groups, layout::floordiv(sizes[1], *groups)};
  grouped.insert(grouped.end(), sizes.begin() + 2, sizes.end());
  auto statistics = [&](std::string_view name) {
    Value value = c.convert(c.tensor(name), wide);
    Dims each(grouped.size(), 1);
    each[0] = sizes[0], each[1] = *groups;
    return value ? c.reshape(value, each) : value;
  };
  Value inverse = statistics("rstd");
  Value xhat = normalized(c, c.reshape(x, grouped), statistics("mean"), inverse);
  if (!xhat)
    return mlir::failure();
  std::vector<int64_t> lanes = allDims(grouped.size()), others = allDims(rank);
  lanes.erase(lanes.begin(), lanes.begin() + 2);
  others.erase(others.begin() + 1);
  Value ofX, ofWeight, ofBias;
  std::vector<bool> mask = outputMask(c);
  if (mask[0]) {
    Value weighted = weight ? mul(c, g, overChannels(c, weight, rank, wide)) : g;
    Value result = throughNorm(c, c.reshape(weighted, grouped), xhat, inverse, lanes);
    if (!result)
      return mlir::failure();
    layout::MemoryFormat format =
        layout::suggestMemoryFormat(layoutOf(input), c.guards);
    ofX = in(c, c.reshape(result, sizes), dtypeOf(input),
             layout::stridesOf(format, sizes));
  }
  ScalarType ofWeights = weight ? dtypeOf(weight) : dtypeOf(input);
  if (mask[1])
    ofWeight =
        summed(c, mul(c, g, c.reshape(xhat, sizes)), others, ofWeights, {sizes[1]});
  if (mask[2])
    ofBias = summed(c, g, others, ofWeights, {sizes[1]});
  return std::vector<Value>{ofX, ofWeight, ofBias};
}

/// In training the batch's own statistics were used, whose gradients count; else the
/// running ones.
Results batchNormBackward(Call &c, bool training, std::string_view inverseName) {
  Value gradient = c.tensor("grad_out"), input = c.tensor("input"),
        weight = c.optionalTensor("weight");
  Value g = widened(c, gradient), x = widened(c, input);
  if (!g || !x)
    return mlir::failure();
  ScalarType wide = dtypeOf(x);
  int64_t rank = rankOf(x);
  std::vector<int64_t> others = allDims(rank);
  others.erase(others.begin() + 1);
  Value mean = c.optionalTensor(training ? "save_mean" : "running_mean"), inverse;
  if (training) {
    inverse = c.optionalTensor(inverseName);
  } else if (Value variance = c.optionalTensor("running_var")) {
    variance = c.convert(variance, wide);
    inverse = c.unary<rt::RsqrtOp>(
        add(c, variance, c.number(c.real("eps").value_or(1e-5), wide)));
  }
  if (!mean || !inverse) {
    c.error() << "expects the statistics that the forward op used";
    return mlir::failure();
  }
  mean = overChannels(c, mean, rank, wide);
  inverse = overChannels(c, inverse, rank, wide);
  Value xhat = normalized(c, x, mean, inverse), ofX, ofWeight, ofBias;
  std::vector<bool> mask = outputMask(c);
  if (mask[0]) {
    Value scale =
        weight ? mul(c, inverse, overChannels(c, weight, rank, wide)) : inverse;
    Value result = training ? throughNorm(c, g, xhat, scale, others) : mul(c, g, scale);
    layout::Layout layout = layoutOf(input);
    Dims strides =
        layout::isContiguous(layout, c.guards)
            ? layout::contiguousStrides(layout.sizes)
            : layout::stridesOf(layout::suggestMemoryFormat(layout, c.guards),
                                layout.sizes);
    ofX = in(c, result, dtypeOf(input), strides);
  }
  ScalarType ofWeights = weight ? dtypeOf(weight) : dtypeOf(input);
  if (mask[1])
    ofWeight = summed(c, mul(c, g, xhat), others, ofWeights, {sizeOf(x, 1)});
  if (mask[2])
    ofBias = summed(c, g, others, ofWeights, {sizeOf(x, 1)});
  return std::vector<Value>{ofX, ofWeight, ofBias};
}

} // namespace

void addNormGradientRules(RuleTable &table) {
  addMultiRule(table, {"aten.native_layer_norm_backward.default"}, layerNormBackward);
  addMultiRule(table, {"aten._fused_rms_norm_backward.default"}, rmsNormBackward);
  addMultiRule(table, {"aten.native_group_norm_backward.default"}, groupNormBackward);
  addMultiRule(table, {"aten.native_batch_norm_backward.default"}, [](Call &c) {
    return batchNormBackward(c, c.boolean("train"), "save_invstd");
  });
  addMultiRule(table, {"aten.batch_norm_backward.default"}, [](Call &c) {
    return batchNormBackward(c, c.boolean("update"), "save_var");
  });
}

} // namespace rtorch::translate
