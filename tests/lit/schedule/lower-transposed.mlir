// RUN: rtorch-opt %s --split-input-file --rt-lower-transposed | FileCheck %s

// Windows as large as the stride: one tap a phase, whose four results are dealt out.
// CHECK-LABEL: func.func @phases
//       CHECK: %[[Y:.+]] = rt.convolution %{{.*}} stride [1, 1] padding [0, 0] dilation [1, 1] groups 1 : (!rt.tensor<1x6x5x7xf32>, !rt.tensor<16x6x1x1xf32>)
//       CHECK: %[[V:.+]] = rt.view %[[Y]] : <1x16x5x7xf32> -> <1x1x2x2x4x5x7xf32>
//       CHECK: rt.permute %[[V]] [0, 5, 2, 6, 3, 1, 4]
//       CHECK: rt.clone {{.*}} -> <1x5x2x7x2x1x4xf32>
//       CHECK: rt.view {{.*}} -> <1x10x14x4xf32>
//   CHECK-NOT: rt.slice
//   CHECK-NOT: transposed
func.func @phases(%x: !rt.tensor<1x6x5x7xf32>, %w: !rt.tensor<6x4x2x2xf32>)
    -> !rt.tensor<1x4x10x14xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [2, 2] padding [0, 0] dilation [1, 1] groups 1
    transposed output_padding [0, 0]
     : (!rt.tensor<1x6x5x7xf32>, !rt.tensor<6x4x2x2xf32>) -> !rt.tensor<1x4x10x14xf32>
  rt.return %0 : !rt.tensor<1x4x10x14xf32>
}

// -----

// Without a stride: the convolution of the reversed taps.
// CHECK-LABEL: func.func @reversed
//       CHECK: rt.iota from #rt.expr<2> step #rt.expr<-1>
//       CHECK: rt.convolution %{{.*}} stride [1] padding [1] dilation [1] groups 1 : (!rt.tensor<1x6x5xf32>, !rt.tensor<4x6x3xf32>)
func.func @reversed(%x: !rt.tensor<1x6x5xf32>, %w: !rt.tensor<6x4x3xf32>)
    -> !rt.tensor<1x4x5xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [1] padding [1] dilation [1] groups 1 transposed output_padding [0]
     : (!rt.tensor<1x6x5xf32>, !rt.tensor<6x4x3xf32>) -> !rt.tensor<1x4x5xf32>
  rt.return %0 : !rt.tensor<1x4x5xf32>
}
