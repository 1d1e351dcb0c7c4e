// RUN: rtorch-opt %s --split-input-file --rt-pack-convolutions=vector-bytes=32 | FileCheck %s

// 20 channels in three panels of a vector of 8 would leave 4 columns unused, two panels
// of 16 leave 12, one of 24 leaves 4 at once.
// CHECK-LABEL: func.func @dense
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor<1x3x8x8xf32, {{.*}}>, %[[W:.+]]: !rt.tensor<20x3x3x3xf32>)
//       CHECK: %[[G:.+]] = rt.view %[[W]] : <20x3x3x3xf32> -> <1x20x3x3x3xf32>
//       CHECK: %[[P:.+]] = rt.pad %[[G]] {{.*}} -> <1x24x3x3x3xf32>
//       CHECK: rt.view %[[P]] : <1x24x3x3x3xf32> -> <1x1x24x3x3x3xf32>
//       CHECK: rt.permute %{{.*}} [0, 1, 4, 5, 3, 2]
//       CHECK: %[[K:.+]] = rt.clone {{.*}} -> <1x1x3x3x3x24xf32>
//       CHECK: rt.packed_convolution %[[X]], %[[K]] channels 20 stride [2, 2] padding [1, 1] dilation [1, 1]
func.func @dense(%x: !rt.tensor<1x3x8x8xf32, strided<[192, 1, 24, 3]>>, %w: !rt.tensor<20x3x3x3xf32>)
    -> !rt.tensor<1x20x4x4xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [2, 2] padding [1, 1] dilation [1, 1] groups 1
     : (!rt.tensor<1x3x8x8xf32, strided<[192, 1, 24, 3]>>, !rt.tensor<20x3x3x3xf32>) -> !rt.tensor<1x20x4x4xf32>
  rt.return %0 : !rt.tensor<1x20x4x4xf32>
}

// -----

// An input whose channels lie apart is padded by a copy.
// CHECK-LABEL: func.func @padded
//       CHECK: %[[P:.+]] = rt.pad %{{.*}} low [#rt.expr<0>, #rt.expr<0>, #rt.expr<1>, #rt.expr<2>] : <1x3x8x8xf32> -> <1x3x10x12xf32>
//       CHECK: rt.packed_convolution %[[P]], %{{.*}} padding [0, 0]
func.func @padded(%x: !rt.tensor<1x3x8x8xf32>, %w: !rt.tensor<8x3x3x5xf32>)
    -> !rt.tensor<1x8x8x8xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [1, 1] padding [1, 2] dilation [1, 1] groups 1
     : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<8x3x3x5xf32>) -> !rt.tensor<1x8x8x8xf32>
  rt.return %0 : !rt.tensor<1x8x8x8xf32>
}

// -----

// Depthwise: the channels of input and weight become the innermost.
// CHECK-LABEL: func.func @depthwise
//       CHECK: rt.clone %{{.*}} : <1x6x8x8xf32> -> <1x6x8x8xf32, strided<[384, 1, 48, 6]>>
//       CHECK: rt.convolution %{{.*}} : (!rt.tensor<1x6x8x8xf32, strided<[384, 1, 48, 6]>>, !rt.tensor<6x1x3x3xf32, strided<[1, 54, 18, 6]>>)
func.func @depthwise(%x: !rt.tensor<1x6x8x8xf32>, %w: !rt.tensor<6x1x3x3xf32>)
    -> !rt.tensor<1x6x6x6xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [1, 1] padding [0, 0] dilation [1, 1] groups 6
     : (!rt.tensor<1x6x8x8xf32>, !rt.tensor<6x1x3x3xf32>) -> !rt.tensor<1x6x6x6xf32>
  rt.return %0 : !rt.tensor<1x6x6x6xf32>
}

// -----

// Windows of 3 x 3 by minimal filtering: filters of 4 x 4 points.
// CHECK-LABEL: func.func @filtered
//       CHECK: rt.cat {{.*}} dim 2 : {{.*}} -> !rt.tensor<16x16x4x3xf32>
//       CHECK: rt.cat {{.*}} dim 3 : {{.*}} -> !rt.tensor<16x16x4x4xf32>
//       CHECK: %[[K:.+]] = rt.clone {{.*}} -> <1x1x4x4x16x16xf32>
//       CHECK: rt.packed_convolution %{{.*}}, %[[K]] channels 16 {{.*}} padding [1, 1] dilation [1, 1] winograd
func.func @filtered(%x: !rt.tensor<1x16x32x32xf32, strided<[16384, 1, 512, 16]>>, %w: !rt.tensor<16x16x3x3xf32>)
    -> !rt.tensor<1x16x32x32xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1
     : (!rt.tensor<1x16x32x32xf32, strided<[16384, 1, 512, 16]>>, !rt.tensor<16x16x3x3xf32>) -> !rt.tensor<1x16x32x32xf32>
  rt.return %0 : !rt.tensor<1x16x32x32xf32>
}

// -----

// Too few windows to transform the filters of an argument for.
// CHECK-LABEL: func.func @few_windows
//   CHECK-NOT: winograd
func.func @few_windows(%x: !rt.tensor<1x16x16x16xf32, strided<[4096, 1, 256, 16]>>, %w: !rt.tensor<16x16x3x3xf32>)
    -> !rt.tensor<1x16x16x16xf32> attributes {rt.symbols = []} {
  %0 = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1
     : (!rt.tensor<1x16x16x16xf32, strided<[4096, 1, 256, 16]>>, !rt.tensor<16x16x3x3xf32>) -> !rt.tensor<1x16x16x16xf32>
  rt.return %0 : !rt.tensor<1x16x16x16xf32>
}
