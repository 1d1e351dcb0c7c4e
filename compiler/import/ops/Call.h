// One node of the graph, seen by the rule that translates it.
#pragma once

#include "compiler/import/ops/Emitter.h"

#include <functional>
#include <string_view>
#include <vector>

namespace rtorch::translate {

/// Arguments of a node by their schema's name, as values of the dialect. Before a rule
/// runs, every argument was checked: kinds are the schema's, and symbolic numbers have
/// expressions. An Emitter for the node's place comes with it.
class Call : public Emitter {
public:
  /// The dialect's value of a tensor of the graph; null if it has none.
  using Lookup = std::function<Value(importer::ValueId)>;

  Call(Emitter emitter, const importer::Graph &graph, const importer::Node &node,
       const Lookup &lookup, const std::vector<bool> &used)
      : Emitter(std::move(emitter)), graph(graph), node(node), lookup_(lookup),
        used_(used) {}

  const importer::Graph &graph;
  const importer::Node &node;

  /// The tensor; a number given for a tensor becomes one of rank 0.
  Value tensor(std::string_view name);
  /// Null, without an error, if the argument is None.
  Value optionalTensor(std::string_view name);
  std::vector<Value> tensors(std::string_view name);
  /// Elements may be null (None).
  std::vector<Value> optionalTensors(std::string_view name);
  /// A tensor or a number, for promotion.
  Operand operand(std::string_view name);

  bool isNone(std::string_view name) const;
  /// The number, or nullopt if the argument is None or absent.
  std::optional<Scalar> scalar(std::string_view name) const;
  /// The same for an op that can only take a number known now: any other is an error,
  /// after which the call is `refused` and the result any number.
  std::optional<double> real(std::string_view name) const;
  std::optional<int64_t> integer(std::string_view name) const;
  /// Whether an error says that an argument must be known now.
  bool refused() const { return refused_; }
  bool boolean(std::string_view name, bool otherwise = false) const;
  std::string_view string(std::string_view name) const;
  std::optional<Expr> expr(std::string_view name) const;
  /// Integers; empty if None.
  Dims exprs(std::string_view name) const;
  /// All of them known now, or an error as of `integer`.
  std::vector<int64_t> integers(std::string_view name) const;
  std::optional<ScalarType> dtype(std::string_view name) const;
  /// The dtype that floats get by default. The graph does not say what torch's default
  /// was where it was made, but the declared dtype of what the node gives does.
  ScalarType defaultFloat() const;
  /// `dtype`, or for integers and bool the default.
  ScalarType floatOf(ScalarType dtype) const {
    return isFloat(dtype) ? dtype : defaultFloat();
  }
  std::optional<importer::MemoryFormat> memoryFormat(std::string_view name) const;

  /// The argument as a dim of a tensor of `rank`, negative ones wrapped (rank 0 counts
  /// as 1).
  int64_t dim(std::string_view name, int64_t rank) const;
  /// Ascending, wrapped; all dims if the argument is None or empty.
  std::vector<int64_t> dims(std::string_view name, int64_t rank) const;

  /// Whether result `index` of the node is used by anything.
  bool isUsed(size_t index) const;
  /// Number of tensors that the node gives: elements of its list result.
  size_t resultCount() const;

private:
  std::optional<Scalar> numberOf(const importer::Argument &argument) const;
  Value lookup(importer::TensorRef ref);
  void refuse(std::string_view name) const;
  int64_t known(const Expr &value, std::string_view name) const;
  Lookup const &lookup_;
  mutable bool refused_ = false;
  const std::vector<bool> &used_;
};

/// `dim` in [0, rank), negative values from the end.
int64_t wrapDim(int64_t dim, int64_t rank);

/// A number of the graph: a constant, or a value with an expression.
std::optional<Scalar> scalarOf(const importer::Graph &graph,
                               const importer::Argument &argument);

/// The ids of all tensors and symbolic numbers in an argument, but not in sub-graphs.
std::vector<importer::ValueId> referencesOf(const importer::Argument &argument);

} // namespace rtorch::translate
