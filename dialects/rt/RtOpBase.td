//===- RtOpBase.td - classes that op families derive from ------------------===//
#ifndef RTORCH_DIALECTS_RT_RTOPBASE_TD
#define RTORCH_DIALECTS_RT_RTOPBASE_TD

include "dialects/rt/RtDialect.td"
include "dialects/rt/RtInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Rt_Op<string mnemonic, list<Trait> traits = []> : Op<Rt_Dialect, mnemonic, traits>;

/// Makes a new tensor; knows eager's strides for it.
class Rt_ComputeOp<string mnemonic, list<Trait> traits = []>
    : Rt_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<Rt_LayoutOpInterface>], traits)> {
  let hasVerifier = 1;
}

#endif // RTORCH_DIALECTS_RT_RTOPBASE_TD
