// RUN: rtorch-opt %s --split-input-file --rt-cse | FileCheck %s

// CHECK-LABEL: func.func @equal_ops
//       CHECK: %[[R:.+]] = rt.relu
//   CHECK-NOT: rt.relu
//       CHECK: rt.add %[[R]], %[[R]]
func.func @equal_ops(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %a = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %b = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %c = rt.add %a, %b : !rt.tensor<4xf32>, !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %c : !rt.tensor<4xf32>
}

// -----

// Two results are two tensors, although they are equal.
// CHECK-LABEL: func.func @equal_results
//       CHECK: %[[A:.+]] = rt.relu
//       CHECK: %[[B:.+]] = rt.relu
//   CHECK-NOT: rt.result
//       CHECK: rt.return %[[A]], %[[B]]
func.func @equal_results(%x: !rt.tensor<4xf32>) -> (!rt.tensor<4xf32>, !rt.tensor<4xf32>) {
  %a = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %b = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %a, %b : !rt.tensor<4xf32>, !rt.tensor<4xf32>
}
