// RUN: rtorch-opt %s --split-input-file --rt-assign-layouts | FileCheck %s

// A chain of convolutions, pool and sum has the channels innermost; the result is
// copied back into eager's layout.
// CHECK-LABEL: func.func @chain
//  CHECK-SAME: rt.layouts = {channels_last = 4 : i64, copies_for = ["rt.return{{.*}}"]}
//       CHECK: rt.convolution {{.*}} -> !rt.tensor<1x4x8x8xf32, strided<[256, 1, 32, 4]>>
//       CHECK: rt.relu {{.*}} -> <1x4x8x8xf32, strided<[256, 1, 32, 4]>>
//       CHECK: rt.unfold {{.*}} -> <1x4x4x8x2xf32, strided<[256, 1, 64, 4, 32]>>
//       CHECK: rt.unfold {{.*}} -> <1x4x4x4x2x2xf32, strided<[256, 1, 64, 8, 32, 4]>>
//       CHECK: rt.amax {{.*}} -> <1x4x4x4xf32, strided<[64, 1, 16, 4]>>
//       CHECK: %[[Y:.+]] = rt.convolution {{.*}} -> !rt.tensor<1x4x4x4xf32, strided<[64, 1, 16, 4]>>
//       CHECK: %[[C:.+]] = rt.clone %[[Y]] : <1x4x4x4xf32, strided<[64, 1, 16, 4]>> -> <1x4x4x4xf32>
//       CHECK: rt.return %[[C]]
func.func @chain(%x: !rt.tensor<1x3x8x8xf32>, %v: !rt.tensor<4x3x3x3xf32>, %w: !rt.tensor<4x4x1x1xf32>)
    -> !rt.tensor<1x4x4x4xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %v stride [1, 1] padding [1, 1] dilation [1, 1] groups 1
     : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<4x3x3x3xf32>) -> !rt.tensor<1x4x8x8xf32>
  %1 = rt.relu %0 : !rt.tensor<1x4x8x8xf32> -> !rt.tensor<1x4x8x8xf32>
  %2 = rt.unfold %1 2 size 2 step 2 : !rt.tensor<1x4x8x8xf32> -> !rt.tensor<1x4x4x8x2xf32, strided<[256, 64, 16, 1, 8]>>
  %3 = rt.unfold %2 3 size 2 step 2 : !rt.tensor<1x4x4x8x2xf32, strided<[256, 64, 16, 1, 8]>> -> !rt.tensor<1x4x4x4x2x2xf32, strided<[256, 64, 16, 2, 8, 1]>>
  %4 = rt.amax %3 [4, 5] keepdim false : !rt.tensor<1x4x4x4x2x2xf32, strided<[256, 64, 16, 2, 8, 1]>> -> !rt.tensor<1x4x4x4xf32>
  %5 = rt.convolution %4, %w stride [1, 1] padding [0, 0] dilation [1, 1] groups 1
     : (!rt.tensor<1x4x4x4xf32>, !rt.tensor<4x4x1x1xf32>) -> !rt.tensor<1x4x4x4xf32>
  rt.return %5 : !rt.tensor<1x4x4x4xf32>
}

// -----

// What a view cannot see in the new layout is copied before it; a copy that only
// brought an operand into rows is gone.
// CHECK-LABEL: func.func @flattened
//       CHECK: %[[Y:.+]] = rt.convolution {{.*}} -> !rt.tensor<2x4x8x8xf32, strided<[256, 1, 32, 4]>>
//       CHECK: %[[C:.+]] = rt.clone %[[Y]] : {{.*}} -> <2x4x8x8xf32>
//       CHECK: rt.view %[[C]]
//   CHECK-NOT: rt.clone
func.func @flattened(%x: !rt.tensor<2x3x8x8xf32>, %w: !rt.tensor<4x3x1x1xf32>)
    -> !rt.tensor<2xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [1, 1] padding [0, 0] dilation [1, 1] groups 1
     : (!rt.tensor<2x3x8x8xf32>, !rt.tensor<4x3x1x1xf32>) -> !rt.tensor<2x4x8x8xf32>
  %1 = rt.clone %0 : !rt.tensor<2x4x8x8xf32> -> !rt.tensor<2x4x8x8xf32>
  %2 = rt.view %1 : !rt.tensor<2x4x8x8xf32> -> !rt.tensor<2x256xf32>
  %3 = rt.sum %2 [1] keepdim false : !rt.tensor<2x256xf32> -> !rt.tensor<2xf32>
  rt.return %3 : !rt.tensor<2xf32>
}

// -----

// A graph without convolutions stays as it is.
// CHECK-LABEL: func.func @plain
//   CHECK-NOT: rt.layouts
//       CHECK: rt.relu %{{.*}} : <1x4x8x8xf32> -> <1x4x8x8xf32>
func.func @plain(%x: !rt.tensor<1x4x8x8xf32>) -> !rt.tensor<1x4x8x8xf32> attributes {rt.symbols = []} {
  %0 = rt.relu %x : !rt.tensor<1x4x8x8xf32> -> !rt.tensor<1x4x8x8xf32>
  rt.return %0 : !rt.tensor<1x4x8x8xf32>
}

// -----

// Results that are views of an activation are views of one copy of it as a whole, with
// the offsets that eager gives them.
// CHECK-LABEL: func.func @halves
//  CHECK-SAME: copies_for = ["rt.return{{.*}}"]
//       CHECK: %[[Y:.+]] = rt.convolution {{.*}} -> !rt.tensor<2x4x8x8xf32, strided<[256, 1, 32, 4]>>
//       CHECK: %[[C:.+]] = rt.clone %[[Y]] : {{.*}} -> <2x4x8x8xf32>
//   CHECK-DAG: %[[A:.+]] = rt.slice %[[C]] 1 from <0> to <2> step 1
//   CHECK-DAG: %[[B:.+]] = rt.slice %[[C]] 1 from <2> to <4> step 1
//       CHECK: rt.return %[[A]], %[[B]]
func.func @halves(%x: !rt.tensor<2x3x8x8xf32>, %w: !rt.tensor<4x3x1x1xf32>)
    -> (!rt.tensor<2x2x8x8xf32, strided<[256, 64, 8, 1]>>,
        !rt.tensor<2x2x8x8xf32, strided<[256, 64, 8, 1], offset: 128>>)
    attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [1, 1] padding [0, 0] dilation [1, 1] groups 1
     : (!rt.tensor<2x3x8x8xf32>, !rt.tensor<4x3x1x1xf32>) -> !rt.tensor<2x4x8x8xf32>
  %1 = rt.slice %0 1 from <0> to <2> step 1
     : !rt.tensor<2x4x8x8xf32> -> !rt.tensor<2x2x8x8xf32, strided<[256, 64, 8, 1]>>
  %2 = rt.slice %0 1 from <2> to <4> step 1
     : !rt.tensor<2x4x8x8xf32> -> !rt.tensor<2x2x8x8xf32, strided<[256, 64, 8, 1], offset: 128>>
  rt.return %1, %2 : !rt.tensor<2x2x8x8xf32, strided<[256, 64, 8, 1]>>,
                     !rt.tensor<2x2x8x8xf32, strided<[256, 64, 8, 1], offset: 128>>
}
