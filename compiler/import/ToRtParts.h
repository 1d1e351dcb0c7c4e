// The parts of importProgram, which share nothing but the program.
#pragma once

#include "compiler/import/Graph.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::importer {

/// The place of a node: its name, and the user's source line where known.
mlir::Location locationOf(mlir::MLIRContext *context, const Node &node);

/// Which values of the graph a node or an output uses.
std::vector<bool> usedValues(const Graph &graph);
/// Whether the node computes nothing but what is not used: exporters leave some.
bool isDead(const Node &node, const std::vector<bool> &used);

/// Whether a node runs its sub-graph once as it is: a wrapper without effect here.
bool isInlinedWrapper(const Node &node);
/// The sub-graph of a higher-order node, and the arguments after it; null if it has
/// none.
std::pair<const Graph *, llvm::ArrayRef<NamedArgument>> bodyOf(const Node &node);

/// Whether a node is a cond, while_loop, scan or map.
bool isLoopOrBranch(const Node &node);
/// The bodies of such a node.
llvm::SmallVector<const Graph *> bodiesOf(const Node &node);
/// Why such a node cannot be translated, whatever its bodies; empty if it can.
std::string refuseLoopOrBranch(const Node &node);

/// What a body gives for these operands (null ones for numbers).
using TranslateBody = std::function<mlir::FailureOr<std::vector<mlir::Value>>(
    const Graph &body, llvm::ArrayRef<mlir::Value> operands)>;
/// The results of such a node.
mlir::FailureOr<std::vector<mlir::Value>>
translateLoopOrBranch(translate::Emitter &e, const Graph &graph, const Node &node,
                      const translate::Call::Lookup &lookup, const TranslateBody &body);

/// Reports everything in the program that cannot be translated as one error.
mlir::LogicalResult checkSupport(mlir::MLIRContext &context, const Program &program);

/// Declares the program's symbols and takes its exported relations for granted; gives
/// those relations that the ranges alone do not prove.
std::vector<layout::Guard> declareSymbols(const Program &program,
                                          layout::Guards &guards);
/// The program's symbols, and those that loops count their rounds by.
mlir::ArrayAttr symbolsAttr(mlir::MLIRContext *context, const Program &program,
                            const layout::Guards &guards);

/// Reports an error if an argument that names dims names one that the operand lacks.
mlir::LogicalResult checkDims(translate::Call &call);

/// Warns where `value` differs from the exporter's meta.
void crossCheck(const layout::Guards &guards, const Graph &graph, ValueId id,
                mlir::Value value, mlir::Location loc);

} // namespace rtorch::importer
