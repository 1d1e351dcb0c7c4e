// Short notations for the tests of the stride algebra.
#pragma once

#include "runtime/layout/Layout.h"

#include <catch2/catch.hpp>

namespace rtorch::layout {

/// Reads an expression; the text must be right.
inline Expr e(std::string_view text) {
  std::optional<Expr> expr = Expr::parse(text);
  REQUIRE(expr);
  return *expr;
}

inline Dims dims(std::initializer_list<std::string_view> texts) {
  Dims result;
  for (std::string_view text : texts)
    result.push_back(e(text));
  return result;
}

inline Layout make(std::initializer_list<std::string_view> sizes,
                   std::initializer_list<std::string_view> strides,
                   std::string_view offset = "0") {
  return {dims(sizes), dims(strides), e(offset)};
}

inline Layout rowMajor(std::initializer_list<std::string_view> sizes) {
  Dims d = dims(sizes);
  return {d, contiguousStrides(d), 0};
}

inline std::string str(const Dims &d) {
  std::string text = "[";
  for (const Expr &x : d)
    text += (text.size() == 1 ? "" : ", ") + x.str();
  return text + "]";
}

/// MiniLM's symbols: batch s0 in [1, 64], sequence s1 in [2, 512].
inline Guards batchAndSequence() {
  Guards guards;
  guards.declare("s0", {1, 64}, 8);
  guards.declare("s1", {2, 512}, 16);
  return guards;
}

} // namespace rtorch::layout
