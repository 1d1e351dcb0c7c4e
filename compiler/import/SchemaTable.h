// Arguments, defaults and aliasing of PyTorch's registered ops.
#pragma once

#include "compiler/import/Graph.h"
#include "runtime/archive/Error.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rtorch::importer {

/// The base type of a schema's argument or return.
enum class SchemaType : uint8_t {
  Tensor,
  Int,
  SymInt,
  Float,
  Bool,
  SymBool,
  SymFloat,
  Scalar,
  String,
  ScalarType,
  Layout,
  Device,
  MemoryFormat,
  Generator,
  Dimname,
  Storage,
  Stream,
  QScheme,
  Other,
};

struct SchemaArgument {
  std::string_view name; // empty for unnamed returns
  SchemaType type = SchemaType::Other;
  /// T[]; for returns and arguments.
  bool isList = false;
  /// N of T[N]; 0 for T[]. A single T may be given for it.
  unsigned listSize = 0;
  /// T?, or T[]? for a list.
  bool isOptional = false;
  /// T?[]: the list's elements may be None.
  bool hasOptionalElements = false;
  bool keywordOnly = false;
  /// The op writes to it: Tensor(a!).
  bool isMutated = false;
  /// Letters of the alias set, without '!': "a", "*" (wildcard); empty: aliases
  /// nothing.
  std::string_view aliasSet;
  /// The default, already in the form that the argument's type asks for.
  std::optional<Argument> defaultValue;
};

struct OpSchema {
  std::string_view name; // "aten.add.Tensor"
  std::vector<SchemaArgument> arguments;
  std::vector<SchemaArgument> returns;

  const SchemaArgument *find(std::string_view argument) const;
  /// Whether any argument is written to.
  bool isMutating() const;
  /// Whether a return aliases an argument that is not written to (a view).
  bool isView() const;
};

/// The schema of "aten.add.Tensor", or nullptr. Thread-safe; pointers stay valid.
const OpSchema *findSchema(std::string_view op);

/// Brings `node.arguments` into the schema's order with every argument present, each in
/// the form that the schema's type asks for:
/// - left-out ones get their default (isDefault);
/// - float: double (an int becomes one) or SymFloatRef, SymIntRef;
/// - Scalar: what was written (int64_t, double, bool, complex, or a symbolic one);
/// - Tensor: TensorRef, or a number as for Scalar (PyTorch wraps it into a 0-d tensor);
/// - int[N]: a single int becomes a list of N; empty lists have the list's own type;
/// - Tensor?[]: OptionalTensorList, also where all elements are there;
/// - T?: None where it is not given.
/// Fails when an argument is not in the schema, is given twice, is missing without a
/// default, or has a kind that the schema's type does not admit. Nodes of ops that are
/// not in the table (higher-order and symbolic-arithmetic ones) are left as they are.
archive::Status completeArguments(Node &node);

/// completeArguments for every node of the graph and of its sub-graphs.
archive::Status completeArguments(Graph &graph);

/// How many overloads the table holds, and the name of each, in sorted order.
size_t schemaCount();
std::string_view schemaName(size_t index);

} // namespace rtorch::importer
