#include "compiler/import/MetaReader.h"

namespace rtorch::importer {

using archive::Result;
using layout::Expr;

Sympy MetaReader::sympy(const std::string &text) {
  Result<Sympy> parsed = parseSympy(text);
  if (!parsed)
    json_.fail(parsed.message());
  collectSymbols(*parsed, symbols_.all, symbols_.positive);
  return std::move(*parsed);
}

SymInt MetaReader::symInt(const Json &value) {
  SymInt result;
  json_.unionMember(value, [&](std::string_view key, const Json &member) {
    if (key == "as_int") {
      result.expr = Expr(json_.integer(member));
      return;
    }
    if (key != "as_expr")
      json_.fail("unknown kind of symbolic int");
    result.text = json_.textField(member, "expr_str");
    json_.optionalField(member, "hint", [&](const Json &hint) {
      json_.unionMember(hint, [&](std::string_view kind, const Json &number) {
        if (kind == "as_int")
          result.hint = json_.integer(number);
      });
    });
    Result<Expr> expr = toIntExpr(sympy(result.text));
    if (!expr) {
      result.unsupported = expr.message();
      return;
    }
    result.expr = *expr;
    if (std::optional<std::string> symbol = expr->symbolName(); symbol && result.hint)
      symbols_.hints.emplace(*symbol, *result.hint);
  });
  return result;
}

SymBool MetaReader::symBool(const Json &value) {
  SymBool result;
  json_.unionMember(value, [&](std::string_view key, const Json &member) {
    if (key == "as_bool") {
      result.expr.emplace().value = json_.boolean(member);
      return;
    }
    if (key != "as_expr")
      json_.fail("unknown kind of symbolic bool");
    result.text = json_.textField(member, "expr_str");
    json_.optionalField(member, "hint", [&](const Json &hint) {
      json_.unionMember(hint, [&](std::string_view kind, const Json &flag) {
        if (kind == "as_bool")
          result.hint = json_.boolean(flag);
      });
    });
    Result<BoolExpr> expr = toBoolExpr(sympy(result.text));
    if (expr)
      result.expr = std::move(*expr);
    else
      result.unsupported = expr.message();
  });
  return result;
}

SymFloat MetaReader::symFloat(const Json &value) {
  SymFloat result;
  json_.unionMember(value, [&](std::string_view key, const Json &member) {
    if (key == "as_float") {
      result.expr = RealExpr{RealExpr::Kind::Constant, json_.number(member), {}, {}};
      return;
    }
    if (key != "as_expr")
      json_.fail("unknown kind of symbolic float");
    result.text = json_.textField(member, "expr_str");
    archive::Result<RealExpr> expr = toRealExpr(sympy(result.text));
    if (expr)
      result.expr = std::move(*expr);
    else
      result.unsupported = expr.message();
    json_.optionalField(member, "hint", [&](const Json &hint) {
      json_.unionMember(hint, [&](std::string_view kind, const Json &number) {
        if (kind == "as_float" || kind == "as_int")
          result.hint = json_.number(number);
      });
    });
  });
  return result;
}

Expr MetaReader::extent(const Json &value, const char *what) {
  SymInt read = symInt(value);
  if (!read.expr)
    json_.fail(std::string(what) + " '" + read.text + "': " + read.unsupported);
  if (std::optional<int64_t> constant = read.expr->constant();
      constant && *constant < 0)
    json_.fail(std::string(what) + " " + std::to_string(*constant) + " is negative");
  return *read.expr;
}

void MetaReader::checkSizes(const TensorMeta &meta) {
  int64_t bytes = itemSize(meta.dtype), last = 0;
  bool isEmpty = false, overflows = false, strided = true;
  for (const Expr &size : meta.sizes) {
    int64_t number = size.constant().value_or(1);
    isEmpty |= number == 0;
    if (number != 0)
      overflows |= __builtin_mul_overflow(bytes, number, &bytes);
  }
  if (overflows)
    json_.fail("the size in bytes of " + meta.str() + " overflows");
  // The last element that is touched.
  for (size_t i = 0; i <= meta.sizes.size() && !isEmpty && strided; ++i) {
    bool isOffset = i == meta.sizes.size();
    std::optional<int64_t> size = isOffset ? 2 : meta.sizes[i].constant();
    std::optional<int64_t> stride =
        isOffset ? meta.offset.constant() : meta.strides[i].constant();
    strided = size.has_value() && stride.has_value();
    int64_t step = 0;
    if (strided && (__builtin_mul_overflow(*size - 1, *stride, &step) ||
                    __builtin_add_overflow(last, step, &last)))
      json_.fail("the extent of " + meta.str() + " overflows");
  }
  int64_t end = 0;
  if (__builtin_mul_overflow(last, static_cast<int64_t>(itemSize(meta.dtype)), &end) ||
      __builtin_add_overflow(end, 64, &end))
    json_.fail("the extent of " + meta.str() + " overflows");
}

TensorMeta MetaReader::tensorMeta(const Json &value) {
  TensorMeta meta;
  meta.dtype = json_.field(value, "dtype", [&](auto &v) { return scalarType(v); });
  meta.sizes = json_.field(value, "sizes", [&](auto &list) {
    return json_.listOf(list, [&](auto &v) { return extent(v, "size"); });
  });
  meta.strides = json_.field(value, "strides", [&](auto &list) {
    return json_.listOf(list, [&](auto &v) { return extent(v, "stride"); });
  });
  meta.offset = json_.field(value, "storage_offset",
                            [&](auto &v) { return extent(v, "storage offset"); });
  meta.device = json_.field(value, "device", [&](auto &v) { return device(v); });
  meta.layout = json_.field(value, "layout", [&](auto &v) { return layoutKind(v); });
  json_.optionalField(value, "requires_grad",
                      [&](auto &v) { meta.requiresGrad = json_.boolean(v); });
  if (meta.sizes.size() != meta.strides.size())
    json_.fail("a tensor has " + std::to_string(meta.sizes.size()) + " sizes but " +
               std::to_string(meta.strides.size()) + " strides");
  checkSizes(meta);
  return meta;
}

ScalarType MetaReader::scalarType(const Json &value) {
  int64_t number = json_.integer(value);
  auto type = static_cast<ScalarType>(number);
  if (number < 0 || number > 255 || itemSize(type) == 0)
    json_.fail("unknown dtype number " + std::to_string(number));
  return type;
}

LayoutKind MetaReader::layoutKind(const Json &value) {
  int64_t number = json_.integer(value);
  if (number < 0 || number > static_cast<int64_t>(LayoutKind::Strided))
    json_.fail("unknown layout number " + std::to_string(number));
  return static_cast<LayoutKind>(number);
}

MemoryFormat MetaReader::memoryFormat(const Json &value) {
  int64_t number = json_.integer(value);
  if (number < 0 || number > static_cast<int64_t>(MemoryFormat::Preserve))
    json_.fail("unknown memory format number " + std::to_string(number));
  return static_cast<MemoryFormat>(number);
}

Device MetaReader::device(const Json &value) {
  Device result;
  result.type = json_.textField(value, "type");
  json_.optionalField(value, "index",
                      [&](auto &index) { result.index = json_.integer(index); });
  return result;
}

} // namespace rtorch::importer
