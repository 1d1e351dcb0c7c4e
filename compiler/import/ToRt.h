// An exported program in the imported form of the rt dialect.
#pragma once

#include "compiler/import/Graph.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace rtorch::importer {

struct ImportOptions {
  /// Compares sizes, strides, offset and dtype of every tensor with what the exporter
  /// recorded, and warns of each difference (strides of dims of size 1 and of empty
  /// tensors are not compared).
  bool crossCheck = false;
};

/// Translates the program to a module with one function, @forward. Its arguments are
/// the user's tensors, with the exported sizes and strides and offset 0; its results
/// are the user's tensors. The function's attributes are the contract:
///
/// - `rt.symbols`: #rt.symbol with range and example value of each symbol,
/// - `rt.guards`: #rt.guard for each relation that the call must satisfy,
/// - `rt.arguments`: one dictionary for each argument of the flattened call, in order:
///   {kind = "tensor", name, index}, {kind = "int", name, value = #rt.expr} or
///   {kind = "constant", name, value} (unit for None),
/// - `rt.results`: likewise, without names but for tensors.
///
/// What is not supported is reported once for the whole graph, before anything is
/// translated. Errors are diagnostics of the context, at the node that they concern.
/// `program` is borrowed for the call.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importProgram(mlir::MLIRContext &context, const Program &program,
              const ImportOptions &options = {});

} // namespace rtorch::importer
