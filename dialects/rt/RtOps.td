//===- RtOps.td - all ops of the dialect -----------------------------------===//
include "dialects/rt/StructureOps.td"
include "dialects/rt/ViewOps.td"
include "dialects/rt/CreationOps.td"
include "dialects/rt/PointwiseOps.td"
include "dialects/rt/ReductionOps.td"
include "dialects/rt/ContractionOps.td"
include "dialects/rt/IndexingOps.td"
include "dialects/rt/KernelOps.td"
