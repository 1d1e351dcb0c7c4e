// Normalizations.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

Value layerNorm(Call &c) {
  Value x = c.tensor("input");
  if (!x)
    return x;
  int64_t count = c.exprs("normalized_shape").size();
  return c.compute<rt::LayerNormOp>(
      sizesOf(x), dtypeOf(x), x, c.optionalTensor("weight"), c.optionalTensor("bias"),
      count, llvm::APFloat(c.real("eps").value_or(1e-5)));
}

/// The last `count` dims, at most all.
std::vector<int64_t> lastDims(Value x, int64_t count) {
  std::vector<int64_t> dims = allDims(rankOf(x));
  return {dims.end() - std::min(count, rankOf(x)), dims.end()};
}

/// 1 / sqrt(variance + eps)
Value inverseDeviation(Emitter &e, Value variance, double eps) {
  if (!variance)
    return variance;
  return e.unary<rt::RsqrtOp>(
      e.binary<rt::AddOp>(variance, e.number(eps, dtypeOf(variance))));
}

/// The result, mean and 1 / standard deviation; the last two only where used.
Results nativeLayerNorm(Call &c) {
  Value x = c.tensor("input"), result = layerNorm(c), mean, deviation;
  if (!result)
    return mlir::failure();
  std::vector<int64_t> dims = lastDims(x, c.exprs("normalized_shape").size());
  if (c.isUsed(1))
    mean = c.convert(meanOver(c, widened(c, x), dims, true), dtypeOf(x));
  if (c.isUsed(2)) {
    Value variance = varianceOver(c, widened(c, x), dims, Scalar::of(int64_t(0)), true);
    deviation = inverseDeviation(c, variance, c.real("eps").value_or(1e-5));
    deviation = c.convert(deviation, dtypeOf(x));
  }
  return std::vector<Value>{result, mean, deviation};
}

/// x / sqrt(mean(x^2) + eps) * weight, in float32 for float16 and bfloat16.
Value rmsNorm(Call &c) {
  Value x = c.tensor("input"), weight = c.optionalTensor("weight");
  if (!x)
    return x;
  Value wide = widened(c, x);
  std::vector<int64_t> dims = lastDims(x, c.exprs("normalized_shape").size());
  // torch's default is the machine epsilon of the dtype it computes in.
  double epsilon = dtypeOf(wide) == ScalarType::Double ? 0x1p-52 : 0x1p-23;
  Value mean = meanOver(c, c.binary<rt::MulOp>(wide, wide), dims, true);
  Value scale = inverseDeviation(c, mean, c.real("eps").value_or(epsilon));
  Value result = c.binary<rt::MulOp>(wide, scale);
  if (weight)
    result = c.binary<rt::MulOp>(result, c.convert(weight, dtypeOf(wide)));
  result = c.convert(result, dtypeOf(x));
  layout::Layout layout = layoutOf(x);
  layout::MemoryFormat format = layout::suggestMemoryFormat(layout, c.guards);
  return result ? c.withStrides(result, layout::stridesOf(format, layout.sizes))
                : result;
}

/// A value a channel as [1, C, 1, ...].
Value perChannel(Call &c, Value value, int64_t rank, ScalarType dtype) {
  if (!value)
    return value;
  if (rankOf(value) != 1 || rank < 1) {
    c.error() << "expects one value a channel, but got " << rt::tensorType(value);
    return {};
  }
  Dims sizes(rank, 1);
  sizes[rank > 1 ? 1 : 0] = sizeOf(value, 0);
  return c.reshape(c.convert(value, dtype), sizes);
}

/// The format that an input has, whatever the strides of its dims of size 1, else the
/// one that it suggests.
Dims batchNormStrides(Call &c, Value x) {
  layout::Layout layout = layoutOf(x);
  if (layout::isContiguous(layout, c.guards))
    return layout::contiguousStrides(layout.sizes);
  layout::MemoryFormat last = layout.rank() == 5 ? layout::MemoryFormat::ChannelsLast3d
                                                 : layout::MemoryFormat::ChannelsLast;
  layout::Guards trial = c.guards; // sizes that vary are not fixed for it
  if ((layout.rank() == 4 || layout.rank() == 5) &&
      layout::isContiguous(layout, last, trial) &&
      trial.recorded().size() == c.guards.recorded().size())
    return layout::stridesOf(last, layout.sizes);
  return layout::stridesOf(layout::suggestMemoryFormat(layout, c.guards), layout.sizes);
}

/// (x - running_mean) / sqrt(running_var + eps) * weight + bias
Value batchNorm(Call &c) {
  Value x = c.tensor("input"), mean = c.tensor("running_mean"),
        variance = c.tensor("running_var");
  Value weight = c.optionalTensor("weight"), bias = c.optionalTensor("bias");
  if (!x || !mean || !variance)
    return {};
  ScalarType wide = isHalf(dtypeOf(x)) ? ScalarType::Float : dtypeOf(x);
  Value scale =
      inverseDeviation(c, c.convert(variance, wide), c.real("eps").value_or(1e-5));
  if (weight)
    scale = c.binary<rt::MulOp>(scale, c.convert(weight, wide));
  Value shift = c.unary<rt::NegOp>(c.binary<rt::MulOp>(c.convert(mean, wide), scale));
  if (bias)
    shift = c.binary<rt::AddOp>(shift, c.convert(bias, wide));
  int64_t rank = rankOf(x);
  Value result =
      c.binary<rt::MulOp>(c.convert(x, wide), perChannel(c, scale, rank, wide));
  result = c.binary<rt::AddOp>(result, perChannel(c, shift, rank, wide));
  result = c.convert(result, dtypeOf(x));
  return result ? c.withStrides(result, batchNormStrides(c, x)) : result;
}

/// The result and two saved tensors, which are empty outside of training.
Results nativeBatchNorm(Call &c) {
  Value result = batchNorm(c), mean, deviation;
  if (!result)
    return mlir::failure();
  if (c.isUsed(1))
    mean = c.full(Scalar::of(0.0), dtypeOf(result), {0});
  if (c.isUsed(2))
    deviation = c.full(Scalar::of(0.0), dtypeOf(result), {0});
  return std::vector<Value>{result, mean, deviation};
}

/// What batch_norm computes from the batch itself: mean and 1 / deviation of each
/// channel, and the running statistics after this batch (null without them).
struct BatchStatistics {
  Value result, mean, inverse, runningMean, runningVariance;
};

/// (1 - momentum) * old + momentum * now
Value movedAverage(Call &c, Value old, Value now, double momentum) {
  if (!old || !now)
    return {};
  ScalarType dtype = dtypeOf(old);
  Value kept = c.binary<rt::MulOp>(old, c.number(1 - momentum, dtype));
  Value added = c.binary<rt::MulOp>(c.convert(now, dtype), c.number(momentum, dtype));
  return c.binary<rt::AddOp>(kept, added);
}

std::optional<BatchStatistics> trainedBatchNorm(Call &c) {
  Value x = c.tensor("input"), weight = c.optionalTensor("weight"),
        bias = c.optionalTensor("bias");
  Value oldMean =
      c.node.find("running_mean") ? c.optionalTensor("running_mean") : Value();
  Value oldVariance =
      c.node.find("running_var") ? c.optionalTensor("running_var") : Value();
  if (!x)
    return std::nullopt;
  if (rankOf(x) < 2) {
    c.error() << "expects a tensor of rank 2 or more, but got " << rt::tensorType(x);
    return std::nullopt;
  }
  Value wide = widened(c, x);
  ScalarType dtype = dtypeOf(wide);
  std::vector<int64_t> dims = allDims(rankOf(x));
  dims.erase(dims.begin() + 1);
  BatchStatistics s;
  s.mean = meanOver(c, wide, dims, false);
  Value variance = varianceOver(c, wide, dims, Scalar::of(int64_t(0)), false);
  s.inverse = inverseDeviation(c, variance, c.real("eps").value_or(1e-5));
  int64_t rank = rankOf(x);
  Value centered = c.binary<rt::SubOp>(wide, perChannel(c, s.mean, rank, dtype));
  Value result = c.binary<rt::MulOp>(centered, perChannel(c, s.inverse, rank, dtype));
  if (weight)
    result = c.binary<rt::MulOp>(result, perChannel(c, weight, rank, dtype));
  if (bias)
    result = c.binary<rt::AddOp>(result, perChannel(c, bias, rank, dtype));
  s.result = c.convert(result, dtypeOf(x));
  if (!s.result)
    return std::nullopt;
  s.result = c.withStrides(s.result, batchNormStrides(c, x));
  double momentum = c.real("momentum").value_or(0.1);
  s.runningMean = movedAverage(c, oldMean, s.mean, momentum);
  // The running variance is the unbiased one.
  Expr count = countOf(x, dims);
  Value unbiased = c.binary<rt::DivOp>(
      c.binary<rt::MulOp>(variance, c.full(Scalar::of(count), dtype)),
      c.full(Scalar::of(count - 1), dtype));
  s.runningVariance = movedAverage(c, oldVariance, unbiased, momentum);
  return s;
}

bool isTraining(const importer::Node &node) {
  if (llvm::StringRef(node.op).contains("with_update"))
    return true;
  const importer::Argument *training = node.find("training");
  auto *value = training ? std::get_if<bool>(training) : nullptr;
  return !training || (value && *value);
}

/// Stores the running statistics in their buffers.
bool writeRunning(Call &c, const BatchStatistics &s) {
  return (!s.runningMean ||
          succeeded(c.write(s.runningMean, c.tensor("running_mean")))) &&
         (!s.runningVariance ||
          succeeded(c.write(s.runningVariance, c.tensor("running_var"))));
}

/// batch_norm of the user's graph: in training it changes its buffers.
Value batchNormOfUser(Call &c) {
  Value x = c.tensor("input");
  // Eager looks at nothing else of an empty tensor, in training either.
  if (x && layout::numel(sizesOf(x)).isConstant(0))
    return c.clone(x, layout::preserveStrides(layoutOf(x), c.guards));
  if (!isTraining(c.node))
    return batchNorm(c);
  std::optional<BatchStatistics> s = trainedBatchNorm(c);
  return s && writeRunning(c, *s) ? s->result : Value();
}

/// The forms that give mean and 1 / deviation too; `functional` ones give the running
/// statistics instead of writing them.
Results legitBatchNorm(Call &c, bool functional) {
  if (!isTraining(c.node)) {
    Results results = nativeBatchNorm(c);
    if (failed(results) || !functional)
      return results;
    for (const char *name : {"running_mean", "running_var"}) {
      Value running = c.tensor(name);
      results->push_back(running ? c.cloneRowMajor(running) : running);
    }
    return results;
  }
  std::optional<BatchStatistics> s = trainedBatchNorm(c);
  if (!s || (!functional && !writeRunning(c, *s)))
    return mlir::failure();
  return std::vector<Value>{s->result, s->mean, s->inverse, s->runningMean,
                            s->runningVariance};
}

/// Mean and variance of each channel of each instance.
Value instanceNorm(Call &c) {
  if (!c.boolean("use_input_stats", true))
    return batchNorm(c);
  Value x = c.tensor("input"), weight = c.optionalTensor("weight"),
        bias = c.optionalTensor("bias");
  if (!x || rankOf(x) < 3)
    return {};
  Value wide = widened(c, x);
  ScalarType dtype = dtypeOf(wide);
  std::vector<int64_t> dims = lastDims(x, rankOf(x) - 2);
  Value centered = c.binary<rt::SubOp>(wide, meanOver(c, wide, dims, true));
  Value variance = varianceOver(c, wide, dims, Scalar::of(int64_t(0)), true);
  Value result = c.binary<rt::MulOp>(
      centered, inverseDeviation(c, variance, c.real("eps").value_or(1e-5)));
  if (weight)
    result = c.binary<rt::MulOp>(result, perChannel(c, weight, rankOf(x), dtype));
  if (bias)
    result = c.binary<rt::AddOp>(result, perChannel(c, bias, rankOf(x), dtype));
  result = c.convert(result, dtypeOf(x));
  double momentum = c.real("momentum").value_or(0.1);
  for (bool isMean : {true, false}) {
    std::string_view name = isMean ? "running_mean" : "running_var";
    Value old = c.optionalTensor(name);
    if (!old || !result)
      continue;
    Value now = isMean ? meanOver(c, wide, dims, false)
                       : varianceOver(c, wide, dims, Scalar::of(int64_t(1)), false);
    now = meanOver(c, now, {0}, false);
    if (failed(c.write(movedAverage(c, old, now, momentum), old)))
      return {};
  }
  return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(x))) : result;
}

/// group_norm of [N, C, ...]: mean and variance over each group of channels;
/// `groupsName` is the argument that says how many there are.
Value groupNorm(Call &c, std::string_view groupsName) {
  Value x = c.tensor("input"), weight = c.optionalTensor("weight"),
        bias = c.optionalTensor("bias");
  if (!x)
    return x;
  if (rankOf(x) < 2 || c.integer(groupsName).value_or(0) < 1) {
    c.error() << "expects a tensor of rank 2 or more and 1 group or more, but got "
              << rt::tensorType(x);
    return {};
  }
  Expr groups = *c.integer(groupsName);
  Dims sizes = sizesOf(x);
  // The view that exists for any strides of x.
  Dims grouped = {sizes[0], groups, layout::floordiv(sizes[1], groups)};
  grouped.insert(grouped.end(), sizes.begin() + 2, sizes.end());
  Value wide = widened(c, x);
  if (!wide)
    return {};
  Value rows = c.reshape(wide, grouped);
  std::vector<int64_t> dims = lastDims(rows, rankOf(rows) - 2);
  Value centered = c.binary<rt::SubOp>(rows, meanOver(c, rows, dims, true));
  Value variance = varianceOver(c, rows, dims, Scalar::of(int64_t(0)), true);
  Value result = c.binary<rt::MulOp>(
      centered, inverseDeviation(c, variance, c.real("eps").value_or(1e-5)));
  result = c.reshape(result, sizes);
  ScalarType dtype = dtypeOf(wide);
  if (weight)
    result = c.binary<rt::MulOp>(result, perChannel(c, weight, rankOf(x), dtype));
  if (bias)
    result = c.binary<rt::AddOp>(result, perChannel(c, bias, rankOf(x), dtype));
  result = c.convert(result, dtypeOf(x));
  if (!result)
    return result;
  layout::MemoryFormat format = layout::suggestMemoryFormat(layoutOf(x), c.guards);
  return c.withStrides(result, layout::stridesOf(format, sizes));
}

/// The result, mean and deviation of each group; the latter two serve the backward
/// pass.
Results nativeGroupNorm(Call &c) {
  Value result = groupNorm(c, "group");
  if (!result)
    return mlir::failure();
  Value mean, inverse;
  if (c.isUsed(1) || c.isUsed(2)) {
    Value x = c.tensor("input");
    Dims sizes = sizesOf(x);
    Expr groups = *c.integer("group");
    Value rows = c.reshape(
        widened(c, x),
        {sizes[0], groups,
         layout::floordiv(layout::numel({sizes.begin() + 1, sizes.end()}), groups)});
    Value variance = varianceOver(c, rows, {2}, Scalar::of(int64_t(0)), false);
    mean = c.convert(meanOver(c, rows, {2}, false), dtypeOf(x));
    inverse = c.convert(inverseDeviation(c, variance, c.real("eps").value_or(1e-5)),
                        dtypeOf(x));
  }
  return std::vector<Value>{result, mean, inverse};
}

} // namespace

void addNormRules(RuleTable &table) {
  addRule(table, {"aten.layer_norm.default"}, layerNorm);
  addMultiRule(table, {"aten.native_layer_norm.default"}, nativeLayerNorm);
  addRule(table, {"aten.rms_norm.default"}, rmsNorm);
  addRule(table, {"aten.batch_norm.default"}, batchNormOfUser);
  addMultiRule(table,
               {"aten._native_batch_norm_legit.default",
                "aten._native_batch_norm_legit.no_stats",
                "aten.native_batch_norm.default"},
               [](Call &c) { return legitBatchNorm(c, false); });
  addMultiRule(table, {"aten._native_batch_norm_legit_functional.default"},
               [](Call &c) { return legitBatchNorm(c, true); });
  for (bool functional : {false, true})
    addMultiRule(table,
                 {functional ? "aten._batch_norm_with_update_functional.default"
                             : "aten._batch_norm_with_update.default"},
                 [functional](Call &c) -> Results {
                   Results results = legitBatchNorm(c, functional);
                   if (failed(results))
                     return results;
                   // The reserve is cuDNN's alone.
                   results->insert(results->begin() + 3, c.full(Scalar::of(int64_t(0)),
                                                                ScalarType::Byte, {0}));
                   if (!functional)
                     results->resize(4);
                   return results;
                 });
  addRule(table, {"aten.instance_norm.default"}, instanceNorm);
  addMultiRule(table, {"aten._native_batch_norm_legit_no_training.default"},
               nativeBatchNorm);
  addRule(table, {"aten.group_norm.default"},
          [](Call &c) { return groupNorm(c, "num_groups"); });
  addMultiRule(table, {"aten.native_group_norm.default"}, nativeGroupNorm);
}

} // namespace rtorch::translate
