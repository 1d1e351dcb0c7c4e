// Tensor metas and symbolic scalars from JSON.
#pragma once

#include "compiler/import/Graph.h"
#include "compiler/import/JsonReader.h"
#include "compiler/import/SympyExpr.h"

#include <map>
#include <set>
#include <string>

namespace rtorch::importer {

/// What expressions say about the symbols that occur in them.
struct SymbolTable {
  std::set<std::string> all;
  std::set<std::string> positive;
  /// From expressions that are one bare symbol.
  std::map<std::string, int64_t> hints;
};

/// Reads the parts of the schema that describe values. Sizes, strides and offsets must
/// be expressible and not negative; the elements of a tensor, times their width, must
/// fit in int64 as far as its sizes are numbers.
class MetaReader {
public:
  MetaReader(JsonReader &json, SymbolTable &symbols) : json_(json), symbols_(symbols) {}

  TensorMeta tensorMeta(const Json &value);
  SymInt symInt(const Json &value);
  SymFloat symFloat(const Json &value);
  SymBool symBool(const Json &value);

  ScalarType scalarType(const Json &value);
  LayoutKind layoutKind(const Json &value);
  MemoryFormat memoryFormat(const Json &value);
  Device device(const Json &value);

private:
  layout::Expr extent(const Json &value, const char *what);
  Sympy sympy(const std::string &text);
  void checkSizes(const TensorMeta &meta);

  JsonReader &json_;
  SymbolTable &symbols_;
};

} // namespace rtorch::importer
