// Views, and reshapes that copy where no view exists.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

/// The sizes with the one -1 replaced by what is left of `count` elements.
Dims resolveSizes(Call &c, Dims sizes, const Expr &count) {
  Expr known = 1;
  for (const Expr &size : sizes)
    if (!size.isConstant(-1))
      known *= size;
  for (Expr &size : sizes)
    if (size.isConstant(-1))
      size = c.guards.simplify(layout::floordiv(count, known));
  return sizes;
}

Value viewAs(Call &c, std::string_view sizes) {
  Value x = c.tensor("self");
  return x ? c.view(x, resolveSizes(c, c.exprs(sizes), layout::numel(sizesOf(x)))) : x;
}

Value reshape(Call &c, std::string_view sizes) {
  Value x = c.tensor("self");
  return x ? c.reshape(x, resolveSizes(c, c.exprs(sizes), layout::numel(sizesOf(x))))
           : x;
}

Value flatten(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t rank = rankOf(x);
  if (rank == 0)
    return c.reshape(x, {1});
  int64_t start = c.dim("start_dim", rank), end = c.dim("end_dim", rank);
  if (start == end)
    return x;
  Dims sizes = sizesOf(x);
  Expr merged = layout::numel({sizes.begin() + start, sizes.begin() + end + 1});
  sizes.erase(sizes.begin() + start, sizes.begin() + end);
  sizes[start] = merged;
  return c.reshape(x, sizes);
}

Value unflatten(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t dim = c.dim("dim", rankOf(x));
  Dims sizes = sizesOf(x);
  Dims inner = resolveSizes(c, c.exprs("sizes"), sizes[dim]);
  sizes.erase(sizes.begin() + dim);
  sizes.insert(sizes.begin() + dim, inner.begin(), inner.end());
  return c.view(x, sizes);
}

Value permute(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  std::vector<int64_t> dims = c.integers("dims");
  for (int64_t &dim : dims)
    dim = wrapDim(dim, rankOf(x));
  return c.permute(x, dims);
}

/// Moves dims of `source` to the places in `destination`; the others keep their order.
Value movedim(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t rank = rankOf(x);
  std::vector<int64_t> source = c.integers("source"),
                       target = c.integers("destination");
  std::vector<int64_t> permutation(rank, -1);
  for (size_t i = 0; i < source.size() && i < target.size(); ++i)
    permutation[wrapDim(target[i], rank)] = source[i] = wrapDim(source[i], rank);
  int64_t next = 0;
  for (int64_t &dim : permutation) {
    if (dim >= 0)
      continue;
    while (llvm::is_contained(source, next))
      ++next;
    dim = next++;
  }
  return c.permute(x, permutation);
}

Value transposeDims(Call &c, std::string_view first, std::string_view second) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  return c.transpose(x, c.dim(first, rankOf(x)), c.dim(second, rankOf(x)));
}

/// `t` and `.T`: the dims in reverse order; vectors stay.
Value transposeAll(Call &c) {
  Value x = c.tensor("self");
  if (!x || rankOf(x) < 2)
    return x;
  std::vector<int64_t> dims = allDims(rankOf(x));
  return c.permute(x, {dims.rbegin(), dims.rend()});
}

Value squeeze(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  // An empty list names no dim; without one it is all of them.
  if (c.node.find("dim") && c.exprs("dim").empty() && !c.integer("dim"))
    return x;
  return c.squeeze(x, c.dims("dim", rankOf(x)));
}

Value unsqueeze(Call &c) {
  Value x = c.tensor("self");
  return x ? c.unsqueeze(x, wrapDim(*c.integer("dim"), rankOf(x) + 1)) : x;
}

Value selectInt(Call &c) {
  Value x = c.tensor("self");
  return x ? c.select(x, c.dim("dim", rankOf(x)), *c.expr("index")) : x;
}

Value sliceTensor(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  return c.slice(x, c.dim("dim", rankOf(x)), c.expr("start").value_or(0),
                 c.expr("end").value_or(INT64_MAX), c.integer("step").value_or(1));
}

Value narrow(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t dim = c.dim("dim", rankOf(x));
  Expr start = *c.expr("start");
  if (c.guards.less(start, 0))
    start += sizeOf(x, dim);
  return c.slice(x, dim, start, start + *c.expr("length"));
}

/// Slices of `lengths` one after the other.
Results pieces(Call &c, Value x, int64_t dim, const Dims &lengths) {
  std::vector<Value> values;
  Expr start = 0;
  for (const Expr &length : lengths) {
    values.push_back(c.slice(x, dim, start, start + length));
    start += length;
  }
  return values;
}

/// As many slices of `length` as the node has results; the last takes the rest.
Results equalPieces(Call &c, const Expr &length) {
  Value x = c.tensor("self");
  if (!x)
    return mlir::failure();
  int64_t dim = c.dim("dim", rankOf(x));
  int64_t count = c.resultCount();
  Expr size = sizeOf(x, dim);
  Expr before = Expr(count - 1) * length;
  // The number of pieces is part of the graph: another one is refused at the door.
  bool fits = count == 1 || c.guards.less(before, size);
  if (!fits || !c.guards.lessEqual(size, before + length)) {
    c.error() << "expects " << count << " pieces of size " << length.str()
              << " of a dim of size " << size.str();
    return mlir::failure();
  }
  Dims lengths(count, length);
  lengths.back() = size - before;
  return pieces(c, x, dim, lengths);
}

Results chunk(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return mlir::failure();
  Expr size = sizeOf(x, c.dim("dim", rankOf(x)));
  int64_t chunks = c.integer("chunks").value_or(1);
  if (size.isConstant(0))
    return pieces(c, x, c.dim("dim", rankOf(x)), Dims(c.resultCount(), 0));
  return equalPieces(c, layout::ceildiv(size, chunks));
}

Results splitWithSizes(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return mlir::failure();
  std::string_view name = c.node.find("split_sizes") ? "split_sizes" : "split_size";
  return pieces(c, x, c.dim("dim", rankOf(x)), c.exprs(name));
}

Results unbind(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return mlir::failure();
  std::vector<Value> values;
  for (size_t i = 0; i < c.resultCount(); ++i)
    values.push_back(
        c.select(x, c.dim("dim", rankOf(x)), Expr(static_cast<int64_t>(i))));
  return values;
}

Value diagonal(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  return c.diagonal(x, c.integer("offset").value_or(0), c.dim("dim1", rankOf(x)),
                    c.dim("dim2", rankOf(x)));
}

Value linalgDiagonal(Call &c) {
  Value x = c.tensor("A");
  if (!x)
    return x;
  return c.diagonal(x, c.integer("offset").value_or(0),
                    wrapDim(c.integer("dim1").value_or(-2), rankOf(x)),
                    wrapDim(c.integer("dim2").value_or(-1), rankOf(x)));
}

Value unfold(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  if (rankOf(x) == 0) { // counts as one element of rank 1, without its dim
    c.dim("dimension", 0);
    return c.slice(c.unsqueeze(x, 0), 0, 0, *c.integer("size"));
  }
  return c.unfold(x, c.dim("dimension", rankOf(x)), *c.integer("size"),
                  *c.integer("step"));
}

/// Whether the view stays within what its storage is known to hold; what sizes decide
/// becomes a check.
bool staysWithin(Call &c, Value x, const layout::Layout &view) {
  while (auto source = x.getDefiningOp<rt::ViewOpInterface>())
    x = source.getViewSource();
  // The archive says how large a parameter's storage is, and is checked when read.
  auto touched = layout::touchedRange(view, c.guards);
  if (!touched || x.getDefiningOp<rt::ParameterOp>())
    return true;
  auto covered = layout::touchedRange(layoutOf(x), c.guards);
  Expr end = covered ? covered->second : Expr(-1);
  c.guards.setReason("as_strided within its storage");
  if (c.guards.lessEqual(0, touched->first) && c.guards.lessEqual(touched->second, end))
    return true;
  c.error() << "as_strided reaches elements " << touched->first.str() << " to "
            << touched->second.str() << ", counted from the first element of "
            << x.getType() << ", of which only 0 to " << end.str() << " are known";
  return false;
}

Value asStrided(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  layout::Layout view{c.exprs("size"), c.exprs("stride"), layoutOf(x).offset};
  if (std::optional<Expr> offset = c.expr("storage_offset"))
    view.offset = *offset - exportedOffset(c, x);
  return staysWithin(c, x, view) ? c.asStrided(x, view) : Value();
}

Value like(Call &c, Value (Emitter::*build)(Value, const Dims &)) {
  Value x = c.tensor("self"), other = c.tensor("other");
  return x && other ? (c.*build)(x, sizesOf(other)) : Value();
}

void addView(RuleTable &table, std::initializer_list<llvm::StringRef> ops,
             OneResult rule) {
  addRule(table, ops, std::move(rule));
  for (llvm::StringRef op : ops)
    table[op].isView = true;
}

/// "aten.view_copy.default" and kin: a row-major copy of each of the view's results.
void addCopies(RuleTable &table) {
  for (const char *view : {"alias.default",
                           "as_strided.default",
                           "detach.default",
                           "diagonal.default",
                           "expand.default",
                           "narrow.default",
                           "permute.default",
                           "select.int",
                           "slice.Tensor",
                           "split.Tensor",
                           "split_with_sizes.default",
                           "squeeze.default",
                           "squeeze.dim",
                           "squeeze.dims",
                           "t.default",
                           "transpose.int",
                           "unbind.int",
                           "unfold.default",
                           "unsqueeze.default",
                           "view.default"}) {
    auto [name, overload] = llvm::StringRef(view).split('.');
    Rule rule = table[("aten." + name + "." + overload).str()];
    auto copy = [of = rule.translate](Call &c) -> Results {
      Results results = of(c);
      if (succeeded(results))
        for (Value &result : *results)
          if (result && !(result = c.cloneRowMajor(result)))
            return mlir::failure();
      return results;
    };
    Rule &twin = table[("aten." + name + "_copy." + overload).str()];
    twin.translate = copy;
    twin.refuse = rule.refuse;
  }
}

} // namespace

void addViewRules(RuleTable &table) {
  addView(table, {"aten.view.default", "aten._unsafe_view.default"},
          [](Call &c) { return viewAs(c, "size"); });
  addView(table, {"aten.reshape.default"}, [](Call &c) { return reshape(c, "shape"); });
  addView(table, {"aten._reshape_alias.default"},
          [](Call &c) { return viewAs(c, "size"); });
  addView(table, {"aten.view_as.default"},
          [](Call &c) { return like(c, &Emitter::view); });
  addView(table, {"aten.reshape_as.default"},
          [](Call &c) { return like(c, &Emitter::reshape); });
  addView(table, {"aten.expand_as.default"},
          [](Call &c) { return like(c, &Emitter::expand); });
  addView(table, {"aten.expand.default"},
          [](Call &c) { return c.expand(c.tensor("self"), c.exprs("size")); });
  addView(table, {"aten.broadcast_to.default"},
          [](Call &c) { return c.expand(c.tensor("self"), c.exprs("size")); });
  addView(table, {"aten.flatten.using_ints"}, flatten);
  addView(table, {"aten.ravel.default"}, [](Call &c) -> Value {
    Value x = c.tensor("self");
    if (x && !layout::isContiguous(layoutOf(x), c.guards))
      x = c.cloneRowMajor(x);
    return x ? c.reshape(x, {layout::numel(sizesOf(x))}) : x;
  });
  addView(table, {"aten.unflatten.int"}, unflatten);
  addView(table, {"aten.permute.default"}, permute);
  addView(table, {"aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int"},
          movedim);
  addView(table, {"aten.transpose.int", "aten.swapdims.default"},
          [](Call &c) { return transposeDims(c, "dim0", "dim1"); });
  addView(table, {"aten.swapaxes.default"},
          [](Call &c) { return transposeDims(c, "axis0", "axis1"); });
  addView(table, {"aten.t.default", "aten.numpy_T.default"}, transposeAll);
  addView(table,
          {"aten.mT.default", "aten.mH.default", "aten.adjoint.default",
           "aten.matrix_H.default"},
          [](Call &c) -> Value {
            Value x = c.tensor("self");
            return x && rankOf(x) >= 2 ? c.transpose(x, rankOf(x) - 2, rankOf(x) - 1)
                                       : x;
          });
  addView(table, {"aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims"},
          squeeze);
  addView(table, {"aten.unsqueeze.default"}, unsqueeze);
  addView(table, {"aten.select.int"}, selectInt);
  addView(table, {"aten.slice.Tensor"}, sliceTensor);
  addView(table, {"aten.narrow.default"}, narrow);
  addView(table, {"aten.diagonal.default"}, diagonal);
  addView(table, {"aten.linalg_diagonal.default"}, linalgDiagonal);
  addView(table, {"aten.unfold.default"}, unfold);
  addView(table, {"aten.as_strided.default"}, asStrided);
  addView(table, {"aten.alias.default", "aten.detach.default", "aten.positive.default"},
          [](Call &c) { return c.tensor("self"); });
  addMultiRule(table, {"aten.split.Tensor", "aten.unsafe_split.Tensor"},
               [](Call &c) { return equalPieces(c, *c.expr("split_size")); });
  addMultiRule(table, {"aten.chunk.default", "aten.unsafe_chunk.default"}, chunk);
  addMultiRule(table,
               {"aten.split_with_sizes.default", "aten.split.sizes",
                "aten.unsafe_split_with_sizes.default"},
               splitWithSizes);
  addMultiRule(table, {"aten.unbind.int"}, unbind);
  // Conjugates and lazily negated tensors are complex ones'.
  addView(table,
          {"aten.real.default", "aten.conj.default", "aten.conj_physical.default",
           "aten._conj.default", "aten.resolve_conj.default",
           "aten.resolve_neg.default"},
          [](Call &c) { return c.tensor("self"); });
  addCopies(table);
}

} // namespace rtorch::translate
