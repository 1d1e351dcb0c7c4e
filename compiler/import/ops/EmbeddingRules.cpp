// Rows of a table by their numbers, alone and in bags, and the gradients of the table.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

Value embedding(Call &c) {
  return c.indexSelect(c.tensor("weight"), c.tensor("indices"), 0);
}

//===----------------------------------------------------------------------===//
// The table's gradient
//===----------------------------------------------------------------------===//

/// What the gradient of a table is made of: rows that are added up where the flat
/// `indices` say.
struct RowGradients {
  Value rows, indices;
  Expr tableRows;
  bool byFrequency = false; // each divided by how often its row was taken
  Value skipped;            // indices without a gradient; may be null
};

Value zeros(Call &c, ScalarType dtype, const Dims &sizes) {
  return c.full(Scalar::of(int64_t(0)), dtype, sizes);
}

/// The sum of `values` in each of `size` places.
Value addedAt(Call &c, Value places, Value values, const Expr &size) {
  if (!places || !values)
    return {};
  Dims sizes = sizesOf(values);
  sizes.front() = size;
  return c.scatter(zeros(c, dtypeOf(values), sizes), {places}, values, {0}, 0, false,
                   "add");
}

Value tableGradient(Call &c, RowGradients g) {
  if (!g.rows || !g.indices)
    return {};
  if (g.byFrequency) {
    Value one = c.full(Scalar::of(int64_t(1)), dtypeOf(g.rows), sizesOf(g.indices));
    Value often = addedAt(c, g.indices, one, g.tableRows);
    often = c.indexSelect(often, g.indices, 0);
    g.rows = often ? c.binary<rt::DivOp>(g.rows, c.unsqueeze(often, 1)) : often;
  }
  if (g.skipped && g.rows)
    g.rows = c.where(c.unsqueeze(g.skipped, 1), c.number(0, dtypeOf(g.rows)), g.rows);
  return addedAt(c, g.indices, g.rows, g.tableRows);
}

/// Where the indices are row `row`.
Value isRow(Call &c, Value indices, const Expr &row) {
  return c.compare<rt::EqOp>(c.convert(indices, ScalarType::Long),
                             c.full(Scalar::of(row), ScalarType::Long));
}

Value embeddingBackward(Call &c) {
  Value gradient = c.tensor("grad_output"), indices = c.tensor("indices");
  std::optional<Expr> rows = c.expr("num_weights");
  if (!gradient || !indices || !rows)
    return {};
  indices = flattened(c, indices);
  Value g =
      c.reshape(widened(c, gradient), {sizeOf(indices, 0), sizesOf(gradient).back()});
  Expr padding = c.expr("padding_idx").value_or(-1);
  Value skipped = padding.isConstant(-1) ? Value() : isRow(c, indices, padding);
  Value sum =
      tableGradient(c, {g, indices, *rows, c.boolean("scale_grad_by_freq"), skipped});
  return sum ? c.convert(sum, dtypeOf(gradient)) : sum;
}

//===----------------------------------------------------------------------===//
// Bags: the rows of each are added, averaged, or their largest are taken
//===----------------------------------------------------------------------===//

enum Mode : int64_t { Sum, Mean, Max };

/// The bag of each of `count` indices: how many of the `offsets`, where bags begin, are
/// at it or before, less one.
Value bagOfEach(Call &c, Value offsets, const Expr &count) {
  if (!offsets)
    return offsets;
  Value one = c.full(Scalar::of(int64_t(1)), ScalarType::Long, sizesOf(offsets));
  Value marks = addedAt(c, c.convert(offsets, ScalarType::Long), one, count + 1);
  if (!marks)
    return marks;
  return c.binary<rt::SubOp>(c.slice(c.scan(marks, 0, "add"), 0, 0, count),
                             c.number(1, ScalarType::Long));
}

/// What an op that makes bags is given, and what each index has to do with them.
struct Bags {
  Value weight, indices, offsets, factors;
  int64_t mode;
  Expr count;                          // of bags
  Value bag;                           // of each index
  Value skipped;                       // the indices of padding; null if there is none
  ScalarType index = ScalarType::Long; // of the results that are indices
};

std::optional<Bags> bagsOf(Call &c) {
  Bags b = {c.tensor("weight"),
            flattened(c, c.tensor("indices")),
            c.tensor("offsets"),
            c.optionalTensor("per_sample_weights"),
            c.integer("mode").value_or(Sum),
            {},
            {},
            {}};
  if (!b.weight || !b.indices || !b.offsets)
    return std::nullopt;
  b.index = dtypeOf(b.offsets);
  b.count = sizeOf(b.offsets, 0) - (c.boolean("include_last_offset") ? 1 : 0);
  b.offsets = c.slice(b.offsets, 0, 0, b.count);
  b.bag = bagOfEach(c, b.offsets, sizeOf(b.indices, 0));
  // The public op counts negative rows from the end; the others take them for none.
  int64_t padding = c.integer("padding_idx").value_or(-1);
  bool isPublic = llvm::StringRef(c.node.op).starts_with("aten.embedding_bag.");
  if (!c.isNone("padding_idx") && (isPublic || padding >= 0))
    b.skipped = isRow(c, b.indices,
                      padding < 0 ? sizeOf(b.weight, 0) + padding : Expr(padding));
  return b.bag ? std::optional(b) : std::nullopt;
}

/// How many indices each bag has that are not padding.
Value bagSizes(Call &c, const Bags &b) {
  Value counted = c.full(Scalar::of(int64_t(1)), ScalarType::Long, sizesOf(b.indices));
  if (b.skipped)
    counted = c.where(b.skipped, c.number(0, ScalarType::Long), counted);
  return addedAt(c, b.bag, counted, b.count);
}

/// The rows that the indices take, as they go into the bags.
Value rowsOf(Call &c, const Bags &b) {
  Value rows = widened(c, c.indexSelect(b.weight, b.indices, 0));
  if (!rows)
    return rows;
  ScalarType dtype = dtypeOf(rows);
  if (b.factors)
    rows = c.binary<rt::MulOp>(rows, c.unsqueeze(c.convert(b.factors, dtype), 1));
  Scalar neutral = b.mode == Max ? lowestOf(dtype) : Scalar::of(int64_t(0));
  return b.skipped ? c.where(c.unsqueeze(b.skipped, 1), c.full(neutral, dtype), rows)
                   : rows;
}

/// Bags without an index are zeros in every mode.
Value bagged(Call &c, const Bags &b, Value rows, Value sizes) {
  if (!rows || !sizes)
    return {};
  ScalarType dtype = dtypeOf(rows);
  if (b.mode != Max) {
    Value sum = addedAt(c, b.bag, rows, b.count);
    if (b.mode == Sum)
      return sum;
    Value least = c.binary<rt::MaximumOp>(sizes, c.number(1, ScalarType::Long));
    return c.binary<rt::DivOp>(sum, c.unsqueeze(c.convert(least, dtype), 1));
  }
  Value start = c.full(lowestOf(dtype), dtype, {b.count, sizeOf(rows, 1)});
  Value largest = c.scatter(start, {b.bag}, rows, {0}, 0, false, "amax");
  Value isFilled = c.compare<rt::GtOp>(sizes, c.number(0, ScalarType::Long));
  return c.where(c.unsqueeze(isFilled, 1), largest, c.number(0, dtype));
}

/// The table's row that each largest element is of, the first index among equals; 0 for
/// bags without one.
Value largestRows(Call &c, const Bags &b, Value rows, Value largest) {
  if (!rows || !largest)
    return {};
  Expr count = sizeOf(b.indices, 0), columns = sizeOf(rows, 1);
  Value position = c.countAlong(count, 0, 2);
  Value past = c.full(Scalar::of(count), ScalarType::Long);
  Value isLargest = c.compare<rt::EqOp>(rows, c.indexSelect(largest, b.bag, 0));
  if (b.skipped)
    isLargest = c.where(c.unsqueeze(b.skipped, 1),
                        c.full(Scalar::of(false), ScalarType::Bool), isLargest);
  Value start = c.full(Scalar::of(count), ScalarType::Long, {b.count, columns});
  Value first = c.scatter(start, {b.bag}, c.where(isLargest, position, past), {0}, 0,
                          false, "amin");
  // Behind all indices a row 0, for the bags that are empty.
  Value indices = c.cat(
      {c.convert(b.indices, ScalarType::Long), zeros(c, ScalarType::Long, {1})}, 0);
  return first && indices ? c.convert(c.index(indices, {first}, {0}, 0, false), b.index)
                          : Value();
}

/// Whether eager sums without needing the bag of each index, whose tensor is empty
/// then: the conditions of meta_embedding_bag.
bool sumsDirectly(const Bags &b) {
  ScalarType dtype = dtypeOf(b.weight);
  return b.mode == Sum && !b.skipped &&
         (dtype == ScalarType::Float || dtype == ScalarType::Half) &&
         layoutOf(b.weight).strides[1].isConstant(1) &&
         (!b.factors || layoutOf(b.factors).strides[0].isConstant(1));
}

Results embeddingBags(Call &c) {
  std::optional<Bags> b = bagsOf(c);
  if (!b)
    return mlir::failure();
  Value rows = rowsOf(c, *b), sizes = bagSizes(c, *b);
  Value wide = bagged(c, *b, rows, sizes);
  if (!wide)
    return mlir::failure();
  std::vector<Value> results = {c.convert(wide, dtypeOf(b->weight)), Value(), Value(),
                                Value()};
  if (c.isUsed(1))
    results[1] =
        sumsDirectly(*b) ? zeros(c, b->index, {0}) : c.convert(b->bag, b->index);
  // Eager counts only where it needs to, and has the sizes for the largest elements'
  // rows where there are none.
  Value counts =
      b->mode == Sum ? zeros(c, b->index, {b->count}) : c.convert(sizes, b->index);
  if (c.isUsed(2))
    results[2] = counts;
  if (c.isUsed(3))
    results[3] = b->mode == Max ? largestRows(c, *b, rows, wide) : counts;
  for (size_t i = 0; i < results.size(); ++i)
    if (c.isUsed(i) && !results[i])
      return mlir::failure();
  return results;
}

//===----------------------------------------------------------------------===//
// The gradients of bags
//===----------------------------------------------------------------------===//

/// The bag of each index, as the forward op gave it or made again from the offsets.
Value savedBags(Call &c, Value indices) {
  Value bag = c.tensor("offset2bag");
  if (!bag || !indices)
    return {};
  return sizeOf(bag, 0).isConstant(0) && c.node.find("offsets")
             ? bagOfEach(c, c.tensor("offsets"), sizeOf(indices, 0))
             : bag;
}

Value paddingOf(Call &c, Value indices) {
  Expr padding = c.expr("padding_idx").value_or(-1);
  return indices && !c.guards.less(padding, 0) ? isRow(c, indices, padding) : Value();
}

/// Every largest element gives its gradient to the row that it is of.
Value largestBackward(Call &c, Value g, const Expr &tableRows) {
  Value sizes = c.tensor("bag_size"), taken = c.tensor("maximum_indices");
  if (!g || !sizes || !taken)
    return {};
  Value isEmpty =
      c.compare<rt::EqOp>(sizes, c.full(Scalar::of(int64_t(0)), dtypeOf(sizes)));
  g = c.where(c.unsqueeze(isEmpty, 1), c.number(0, dtypeOf(g)), g);
  Value start = zeros(c, dtypeOf(g), {tableRows, sizeOf(g, 1)});
  return c.scatterAlong(start, c.convert(taken, ScalarType::Long), g, 0, "add");
}

Value embeddingBagBackward(Call &c) {
  Value gradient = c.tensor("grad"), indices = flattened(c, c.tensor("indices"));
  Value g = widened(c, gradient), factors = c.optionalTensor("per_sample_weights");
  std::optional<Expr> tableRows = c.expr("num_weights");
  if (!g || !indices || !tableRows)
    return {};
  int64_t mode = c.integer("mode").value_or(Sum);
  if (mode == Max) {
    Value sum = largestBackward(c, g, *tableRows);
    return sum ? c.convert(sum, dtypeOf(gradient)) : sum;
  }
  Value bag = savedBags(c, indices);
  if (mode == Mean) {
    Value sizes = c.convert(c.tensor("bag_size"), dtypeOf(g));
    g = sizes ? c.binary<rt::DivOp>(g, c.unsqueeze(sizes, 1)) : sizes;
  }
  Value rows = c.indexSelect(g, bag, 0);
  if (factors && rows)
    rows = c.binary<rt::MulOp>(rows, c.unsqueeze(c.convert(factors, dtypeOf(rows)), 1));
  Value sum =
      tableGradient(c, {rows, indices, *tableRows, c.boolean("scale_grad_by_freq"),
                        paddingOf(c, indices)});
  return sum ? c.convert(sum, dtypeOf(gradient)) : sum;
}

/// Each factor's: its bag's gradient times its row.
Value factorsBackward(Call &c) {
  Value gradient = c.tensor("grad"), indices = flattened(c, c.tensor("indices"));
  Value bag = savedBags(c, indices);
  Value g = c.indexSelect(widened(c, gradient), bag, 0);
  Value rows = widened(c, c.indexSelect(c.tensor("weight"), indices, 0));
  if (!g || !rows)
    return {};
  Value product = c.binary<rt::MulOp>(g, rows);
  Value sum = product ? c.reduce<rt::SumOp>(product, {1}, false) : product;
  if (Value skipped = paddingOf(c, indices); skipped && sum)
    sum = c.where(skipped, c.number(0, dtypeOf(sum)), sum);
  return sum ? c.convert(sum, dtypeOf(gradient)) : sum;
}

std::string refuseBagGradient(const importer::Graph &, const importer::Node &node) {
  auto asked = [&](std::string_view name) {
    const importer::Argument *argument = node.find(name);
    const bool *value = argument ? std::get_if<bool>(argument) : nullptr;
    return value && *value;
  };
  if (asked("sparse"))
    return "its gradient is a sparse tensor";
  // compute_counts_uniq's number of a row is taken for one of the sorted indices.
  if (asked("scale_grad_by_freq"))
    return "eager divides by the frequency of other rows";
  return {};
}

} // namespace

void addEmbeddingRules(RuleTable &table) {
  addRule(table, {"aten.embedding.default"}, embedding);
  addRule(table, {"aten.embedding_dense_backward.default"}, embeddingBackward);
  addMultiRule(table,
               {"aten.embedding_bag.default", "aten.embedding_bag.padding_idx",
                "aten._embedding_bag.default",
                "aten._embedding_bag_forward_only.default"},
               embeddingBags);
  for (llvm::StringRef op : {"aten._embedding_bag_backward.default",
                             "aten._embedding_bag_dense_backward.default"}) {
    addRule(table, {op}, embeddingBagBackward);
    table[op].refuse = refuseBagGradient;
  }
  addRule(table, {"aten._embedding_bag_per_sample_weights_backward.default"},
          factorsBackward);
}

} // namespace rtorch::translate
