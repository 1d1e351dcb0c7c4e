// Compositions that several families of rules share.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/SchemaTable.h"

namespace rtorch::translate {

/// How far into its storage eager's tensor begins beyond what the exporter recorded.
/// The scatter twins of views copy the whole storage of `self` and keep its offset,
/// which the exporter's fake tensors do not.
static Expr unrecordedOffset(const importer::Graph &graph, importer::ValueId id) {
  const importer::Value &value = graph.value(id);
  if (!value.producer)
    return 0;
  const importer::Node &node = graph.nodes[*value.producer];
  const importer::OpSchema *schema = importer::findSchema(node.op);
  const importer::Argument *argument = node.find("self");
  auto *self = argument ? std::get_if<importer::TensorRef>(argument) : nullptr;
  if (!schema || !self)
    return 0;
  if (schema->isView())
    return unrecordedOffset(graph, self->id);
  static constexpr std::string_view twins[] = {
      "aten.slice_scatter.default", "aten.select_scatter.default",
      "aten.diagonal_scatter.default", "aten.as_strided_scatter.default"};
  if (!llvm::is_contained(twins, std::string_view(node.op)))
    return 0;
  return graph.value(self->id).tensor()->offset - value.tensor()->offset +
         unrecordedOffset(graph, self->id);
}

Expr exportedOffset(Call &c, Value x) {
  auto *self = std::get_if<importer::TensorRef>(c.node.find("self"));
  const importer::TensorMeta *meta = self ? c.graph.value(self->id).tensor() : nullptr;
  return meta ? meta->offset + unrecordedOffset(c.graph, self->id) - layoutOf(x).offset
              : Expr(0);
}

Value atLeast1d(Emitter &e, Value x) {
  return x && rankOf(x) == 0 ? e.unsqueeze(x, 0) : x;
}

Value flattened(Emitter &e, Value x) {
  return x ? e.reshape(x, {layout::numel(sizesOf(x))}) : x;
}

Value rowMajor(Emitter &e, Value x) {
  return x ? e.withStrides(x, layout::contiguousStrides(sizesOf(x))) : x;
}

Value likeOperands(Emitter &e, Value result, llvm::ArrayRef<Value> operands) {
  if (!result)
    return result;
  std::vector<layout::Layout> layouts;
  for (Value operand : operands)
    layouts.push_back(layoutOf(operand));
  return e.withStrides(result,
                       layout::pointwiseStrides(sizesOf(result), layouts, e.guards));
}

Value addAlong(Emitter &e, Value x, Value places, int64_t dim, const Expr &size) {
  if (!x || !places)
    return {};
  Dims sizes = sizesOf(x);
  sizes[dim] = size;
  Value zero = e.full(Scalar::of(int64_t(0)), dtypeOf(x), sizes);
  return e.scatter(zero, {places}, x, {dim}, dim, false, "add");
}

std::vector<bool> outputMask(Call &c) {
  const importer::Argument *argument = c.node.find("output_mask");
  auto *mask = argument ? std::get_if<std::vector<bool>>(argument) : nullptr;
  std::vector<bool> result = mask ? *mask : std::vector<bool>();
  result.resize(4, !mask);
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = result[i] && c.isUsed(i);
  return result;
}

} // namespace rtorch::translate
