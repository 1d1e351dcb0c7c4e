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

def LowerTransposed : Pass<"rt-lower-transposed", "::mlir::ModuleOp"> {
  let summary = "transposed convolutions as convolutions";
  let description = [{
    A transposed `rt.convolution` becomes one with a channel for each phase of the
    strides, of weights whose taps are reordered, and a copy that deals the channels out.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def AssignLayouts : Pass<"rt-assign-layouts", "::mlir::ModuleOp"> {
  let summary = "lay activations out for the convolution kernels";
  let description = [{
    Gives the results of convolutions, and of what works on them channel by channel
    (pointwise ops, pools, padding, concatenation), strides with the channels
    innermost. Results of the program keep theirs by a copy. Sets `rt.layouts` on the
    function: how many tensors were laid out anew, and for which ops copies back remain.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def PackConvolutions : Pass<"rt-pack-convolutions", "::mlir::ModuleOp"> {
  let summary = "bring weights and inputs of convolutions into the layout of the kernels";
  let description = [{
    `rt.convolution` becomes `rt.packed_convolution` of views and copies of the weight,
    which are folded where it is a parameter; depthwise ones stay, with the channels of
    weight and input innermost. An input that cannot be padded in place is padded by
    `rt.pad`. Those of 3 x 3 windows for which minimal filtering pays get transformed
    filters.
  }];
  let options = [
    Option<"vectorBytes", "vector-bytes", "int64_t", "32", "bytes of a vector register">,
    Option<"winograd", "winograd", "bool", "true", "use minimal filtering where it pays">,
  ];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def LowerLoops : Pass<"rt-lower-loops", "::mlir::ModuleOp"> {
  let summary = "memory for the values that loops and branches hand on";
  let description = [{
    Loops and branches get no operands and results: each carried value gets a buffer
    with two places, of which a round reads the one and writes the other; what rounds
    stack and branches give is written to a buffer in its place.
  }];
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
