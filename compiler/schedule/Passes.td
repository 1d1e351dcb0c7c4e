//===- Passes.td - from value-form graphs to kernels and a memory plan -----===//
#ifndef RTORCH_COMPILER_SCHEDULE_PASSES_TD
#define RTORCH_COMPILER_SCHEDULE_PASSES_TD

include "mlir/Pass/PassBase.td"

def PackWeights : Pass<"rt-pack-weights", "::mlir::ModuleOp"> {
  let summary = "bring constant weights into the layout of the contraction kernels";
  let description = [{
    `rt.linear` with a parameter as its weight, and `rt.matmul` with a rank-2 parameter
    on the right, become `rt.packed_linear` of an `rt.pack`, which the emitter computes
    at compile time. Parameters that the program writes to are left alone.
  }];
  let options = [
    Option<"vectorBytes", "vector-bytes", "int64_t", "32", "bytes of a vector register">,
    Option<"panelVectors", "panel-vectors", "int64_t", "2", "vectors in a panel's row">,
    Option<"kMultiple", "k-multiple", "int64_t", "4", "rows that a panel is padded to">,
  ];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def PrepareResults : Pass<"rt-prepare-results", "::mlir::ModuleOp"> {
  let summary = "give every result memory of its own, or an alias that eager has too";
  let description = [{
    Inserts `rt.clone` where a result is a constant, or a view that does not cover the
    tensor that it views. Results that view arguments or parameters stay views.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def FormKernels : Pass<"rt-form-kernels", "::mlir::ModuleOp"> {
  let summary = "fuse ops into kernels and replace them by launches";
  let description = [{
    Outlines every group of fused ops as an `rt.kernel`; equal groups share one. Views
    stay between launches, where they cost nothing.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def PlanMemory : Pass<"rt-plan-memory", "::mlir::ModuleOp"> {
  let summary = "place intermediates in the arena by their lifetimes";
  let description = [{
    Sets `slots` on launches, and `rt.arena` (bytes) on the function. Places are reused
    where the new tensor provably fits.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

#endif // RTORCH_COMPILER_SCHEDULE_PASSES_TD
