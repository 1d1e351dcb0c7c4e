// Tensors from nothing.
#include "compiler/import/ops/Rules.h"

#include <cmath>

namespace rtorch::translate {
namespace {

Value full(Call &c) {
  Scalar value = *c.scalar("fill_value");
  ScalarType dtype = c.dtype("dtype").value_or(value.defaultDtype());
  return c.full(value, dtype, c.exprs("size"));
}

OneResult constant(int64_t value) {
  return [value](Call &c) {
    return c.full(Scalar::of(value), c.dtype("dtype").value_or(c.defaultFloat()),
                  c.exprs("size"));
  };
}

Value scalarTensor(Call &c) {
  return c.full(*c.scalar("s"), c.dtype("dtype").value_or(c.defaultFloat()));
}

/// A tensor like `self`, in its format or the given one.
Value filledLike(Call &c, const Scalar &value) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Value result = c.full(value, c.dtype("dtype").value_or(dtypeOf(x)), sizesOf(x));
  switch (c.memoryFormat("memory_format").value_or(importer::MemoryFormat::Preserve)) {
  case importer::MemoryFormat::Preserve:
    return c.withStrides(result, layout::preserveStrides(layoutOf(x), c.guards));
  case importer::MemoryFormat::ChannelsLast:
    return c.withStrides(
        result, layout::stridesOf(layout::MemoryFormat::ChannelsLast, sizesOf(x)));
  case importer::MemoryFormat::ChannelsLast3d:
    return c.withStrides(
        result, layout::stridesOf(layout::MemoryFormat::ChannelsLast3d, sizesOf(x)));
  default:
    return result;
  }
}

/// Zeros with these strides; values that nobody may rely on.
Value emptyStrided(Call &c, const Dims &strides) {
  ScalarType otherwise = c.defaultFloat();
  if (c.node.find("self"))
    if (Value x = c.tensor("self"))
      otherwise = dtypeOf(x);
  return c.withStrides(c.full(Scalar::of(int64_t(0)),
                              c.dtype("dtype").value_or(otherwise), c.exprs("size")),
                       strides);
}

/// Dense strides in the order `order`, the outermost dim first.
Dims permutedStrides(const Dims &sizes, const std::vector<int64_t> &order) {
  Dims strides(sizes.size(), 1);
  Expr step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = step;
    step *= sizes[order[i]];
  }
  return strides;
}

OneResult constantLike(int64_t value) {
  return [value](Call &c) { return filledLike(c, Scalar::of(value)); };
}

/// new_full and kin: the dtype of `self`, row-major.
Value newFilled(Call &c, const Scalar &value) {
  Value x = c.tensor("self");
  return x ? c.full(value, c.dtype("dtype").value_or(dtypeOf(x)), c.exprs("size")) : x;
}

OneResult newConstant(int64_t value) {
  return [value](Call &c) { return newFilled(c, Scalar::of(value)); };
}

/// fill and kin: the value in self's dtype and format.
Value fill(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Operand value = c.operand("value");
  Value filled = value.tensor
                     ? c.expand(c.convert(value.tensor, dtypeOf(x)), sizesOf(x))
                     : c.full(value.scalar, dtypeOf(x), sizesOf(x));
  return filled ? c.withStrides(filled, layout::preserveStrides(layoutOf(x), c.guards))
                : filled;
}

/// Numbers from `start` to below `end`.
Value arange(Call &c) {
  Scalar start = c.scalar("start").value_or(Scalar::of(int64_t(0)));
  Scalar end = *c.scalar("end");
  Scalar step = c.scalar("step").value_or(Scalar::of(int64_t(1)));
  bool integers = start.intExpr() && end.intExpr() && step.intExpr();
  ScalarType dtype =
      c.dtype("dtype").value_or(integers ? ScalarType::Long : c.defaultFloat());
  if (integers) {
    // With a negative step, the distance is the other way round.
    Expr a = *start.intExpr(), b = *end.intExpr(), s = *step.intExpr();
    bool down = s.constant().value_or(1) < 0;
    Expr size = down ? layout::ceildiv(a - b, -s) : layout::ceildiv(b - a, s);
    size = c.guards.simplify(layout::max(0, size));
    Value numbers = c.iota(size, ScalarType::Long, a, s);
    return c.convert(numbers, dtype);
  }
  std::optional<double> a = start.constant(), b = end.constant(), s = step.constant();
  if (!a || !b || !s || *s == 0) {
    c.error() << "arange of floats needs constant bounds";
    return {};
  }
  int64_t size = std::max(0.0, std::ceil((*b - *a) / *s));
  Value index = c.iota(size);
  Value steps = c.binary<rt::MulOp>(c.convert(index, ScalarType::Double),
                                    c.number(*s, ScalarType::Double));
  return c.convert(c.binary<rt::AddOp>(steps, c.number(*a, ScalarType::Double)), dtype);
}

/// column index - row index, [m, n]
Value columnMinusRow(Call &c, const Expr &m, const Expr &n) {
  return c.binary<rt::SubOp>(c.iota(n), c.view(c.iota(m), {m, 1}));
}

/// 1 on the diagonal of an [n, m] matrix, else 0.
Value identity(Call &c, const Expr &n, const Expr &m, ScalarType dtype) {
  Value zero = c.full(Scalar::of(int64_t(0)), ScalarType::Long);
  return c.convert(c.compare<rt::EqOp>(columnMinusRow(c, n, m), zero), dtype);
}

Value eye(Call &c) {
  Expr n = *c.expr("n"), m = c.expr("m").value_or(n);
  return identity(c, n, m, c.dtype("dtype").value_or(c.defaultFloat()));
}

/// tril and triu: keeps what lies on one side of a diagonal.
template <typename Compare> Value triangle(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  if (rankOf(x) < 2) {
    c.error() << "expects a tensor of rank 2 or more, but got " << rt::tensorType(x);
    return {};
  }
  Expr m = sizeOf(x, rankOf(x) - 2), n = sizeOf(x, rankOf(x) - 1);
  Value diagonal = c.full(Scalar::of(c.expr("diagonal").value_or(0)), ScalarType::Long);
  Value keep = c.compare<Compare>(columnMinusRow(c, m, n), diagonal);
  Value result = c.where(keep, x, c.number(0, dtypeOf(x)));
  return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(x))) : result;
}

/// Rows of the identity: an index out of range is an error when it runs, as in eager.
Value oneHot(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t classes = c.integer("num_classes").value_or(-1);
  if (classes <= 0) {
    c.error() << "one_hot needs a constant number of classes";
    return {};
  }
  return c.indexSelect(identity(c, classes, classes, ScalarType::Long),
                       c.convert(x, ScalarType::Long), 0);
}

} // namespace

void addCreationRules(RuleTable &table) {
  addRule(table, {"aten.full.default"}, full);
  addRule(table, {"aten.zeros.default", "aten._efficientzerotensor.default"},
          constant(0));
  addRule(table, {"aten.ones.default"}, constant(1));
  // Zeros are as good as any values.
  addRule(table, {"aten.empty.memory_format"}, constant(0));
  addRule(table, {"aten.empty_permuted.default"}, [](Call &c) {
    return emptyStrided(
        c, permutedStrides(c.exprs("size"), c.integers("physical_layout")));
  });
  addRule(table, {"aten.empty_strided.default", "aten.new_empty_strided.default"},
          [](Call &c) { return emptyStrided(c, c.exprs("stride")); });
  addRule(table, {"aten.scalar_tensor.default", "prims.scalar_tensor.default"},
          scalarTensor);
  addRule(table, {"aten.full_like.default"},
          [](Call &c) { return filledLike(c, *c.scalar("fill_value")); });
  addRule(table,
          {"aten.zeros_like.default", "aten.empty_like.default", "aten.zero.default"},
          constantLike(0));
  addRule(table, {"aten.ones_like.default"}, constantLike(1));
  addRule(table, {"aten.new_full.default"},
          [](Call &c) { return newFilled(c, *c.scalar("fill_value")); });
  addRule(table, {"aten.new_zeros.default", "aten.new_empty.default"}, newConstant(0));
  addRule(table, {"aten.new_ones.default"}, newConstant(1));
  addRule(table, {"aten.fill.Scalar", "aten.fill.Tensor"}, fill);
  addRule(table, {"aten.arange.default", "aten.arange.start", "aten.arange.start_step"},
          arange);
  addRule(table, {"prims.iota.default"}, [](Call &c) {
    Value numbers =
        c.iota(*c.expr("length"), ScalarType::Long, *c.expr("start"), *c.expr("step"));
    return c.convert(numbers, c.dtype("dtype").value_or(ScalarType::Long));
  });
  addRule(table, {"aten.eye.default", "aten.eye.m"}, eye);
  addRule(table, {"aten.tril.default"}, triangle<rt::LeOp>);
  addRule(table, {"aten.triu.default"}, triangle<rt::GeOp>);
  addRule(table, {"aten.one_hot.default"}, oneHot);
}

} // namespace rtorch::translate
