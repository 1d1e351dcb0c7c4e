// RUN: rtorch-opt %s --split-input-file --rt-raise --rt-verify-layouts=form=value | FileCheck %s

// Batch norm after a convolution: the scale goes into the weight, the shift is the bias.
// CHECK-LABEL: func.func @batch_norm
//   CHECK-DAG: %[[W:.+]] = rt.parameter "w"
//   CHECK-DAG: %[[S:.+]] = rt.parameter "s"
//   CHECK-DAG: %[[T:.+]] = rt.parameter "t"
//       CHECK: %[[A:.+]] = rt.view %[[S]] : <4xf32> -> <4x1x1x1xf32>
//       CHECK: %[[SCALED:.+]] = rt.mul %[[W]], %[[A]]
//       CHECK: %[[Y:.+]] = rt.convolution %{{.*}}, %[[SCALED]], %[[T]]
//  CHECK-NEXT: rt.return %[[Y]]
func.func @batch_norm(%x: !rt.tensor<1x3x8x8xf32>) -> !rt.tensor<1x4x8x8xf32>
    attributes {rt.symbols = []} {
  %w = rt.parameter "w" storage 0 : !rt.tensor<4x3x3x3xf32>
  %s = rt.parameter "s" storage 1 : !rt.tensor<4xf32>
  %t = rt.parameter "t" storage 2 : !rt.tensor<4xf32>
  %c = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1
     : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<4x3x3x3xf32>) -> !rt.tensor<1x4x8x8xf32>
  %s4 = rt.view %s : !rt.tensor<4xf32> -> !rt.tensor<1x4x1x1xf32>
  %t4 = rt.view %t : !rt.tensor<4xf32> -> !rt.tensor<1x4x1x1xf32>
  %m = rt.mul %c, %s4 : !rt.tensor<1x4x8x8xf32>, !rt.tensor<1x4x1x1xf32> -> !rt.tensor<1x4x8x8xf32>
  %y = rt.add %m, %t4 : !rt.tensor<1x4x8x8xf32>, !rt.tensor<1x4x1x1xf32> -> !rt.tensor<1x4x8x8xf32>
  rt.return %y : !rt.tensor<1x4x8x8xf32>
}

// -----

// A scale that is computed from the input stays, also where it has one batch.
// CHECK-LABEL: func.func @excitation
//       CHECK: %[[C:.+]] = rt.convolution
//       CHECK: rt.mul %[[C]]
func.func @excitation(%x: !rt.tensor<1x3x8x8xf32>, %s: !rt.tensor<1x4x1x1xf32>) -> !rt.tensor<1x4x8x8xf32>
    attributes {rt.symbols = []} {
  %w = rt.parameter "w" storage 0 : !rt.tensor<4x3x3x3xf32>
  %c = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1
     : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<4x3x3x3xf32>) -> !rt.tensor<1x4x8x8xf32>
  %m = rt.mul %c, %s : !rt.tensor<1x4x8x8xf32>, !rt.tensor<1x4x1x1xf32> -> !rt.tensor<1x4x8x8xf32>
  rt.return %m : !rt.tensor<1x4x8x8xf32>
}

// -----

// A value that others need, too, is not scaled.
// CHECK-LABEL: func.func @used_twice
//       CHECK: %[[L:.+]] = rt.linear
//       CHECK: rt.mul %[[L]]
func.func @used_twice(%x: !rt.tensor<5x3xf32>) -> (!rt.tensor<5x4xf32>, !rt.tensor<5x4xf32>)
    attributes {rt.symbols = []} {
  %w = rt.parameter "w" storage 0 : !rt.tensor<4x3xf32>
  %s = rt.parameter "s" storage 1 : !rt.tensor<4xf32>
  %l = rt.linear %x, %w : (!rt.tensor<5x3xf32>, !rt.tensor<4x3xf32>) -> !rt.tensor<5x4xf32>
  %m = rt.mul %l, %s : !rt.tensor<5x4xf32>, !rt.tensor<4xf32> -> !rt.tensor<5x4xf32>
  rt.return %l, %m : !rt.tensor<5x4xf32>, !rt.tensor<5x4xf32>
}
