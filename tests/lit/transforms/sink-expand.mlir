// RUN: rtorch-opt %s --split-input-file --rt-simplify | FileCheck %s

// A mask that is the same for all queries is computed once.
// CHECK-LABEL: func.func @mask
//  CHECK-SAME: (%[[M:[a-z0-9]+]]: !rt.tensor
//  CHECK-NEXT: %[[C:.+]] = rt.convert %[[M]] : <[s0, 1, 1, 8]xi64> -> <[s0, 1, 1, 8]xf32>
//       CHECK: %[[N:.+]] = rt.sub %{{.+}}, %[[C]] {{.*}} -> <[s0, 1, 1, 8]xf32>
//  CHECK-NEXT: %[[E:.+]] = rt.expand %[[N]] : <[s0, 1, 1, 8]xf32> -> <[s0, 1, 8, 8]xf32, strided<[8, 8, 0, 1]>>
//       CHECK: rt.add %{{.+}}, %[[E]]
func.func @mask(%m: !rt.tensor<[s0, 1, 1, 8]xi64>, %x: !rt.tensor<[s0, 2, 8, 8]xf32>) -> !rt.tensor<[s0, 2, 8, 8]xf32>
    attributes {rt.symbols = [#rt.symbol<"s0", 1, 64, 3>]} {
  %e = rt.expand %m : !rt.tensor<[s0, 1, 1, 8]xi64> -> !rt.tensor<[s0, 1, 8, 8]xi64, strided<[8, 8, 0, 1]>>
  %c = rt.convert %e : !rt.tensor<[s0, 1, 8, 8]xi64, strided<[8, 8, 0, 1]>> -> !rt.tensor<[s0, 1, 8, 8]xf32>
  %one = rt.full 3.0 : f32 -> !rt.tensor<f32>
  %n = rt.sub %one, %c : !rt.tensor<f32>, !rt.tensor<[s0, 1, 8, 8]xf32> -> !rt.tensor<[s0, 1, 8, 8]xf32>
  %y = rt.add %x, %n : !rt.tensor<[s0, 2, 8, 8]xf32>, !rt.tensor<[s0, 1, 8, 8]xf32> -> !rt.tensor<[s0, 2, 8, 8]xf32>
  rt.return %y : !rt.tensor<[s0, 2, 8, 8]xf32>
}

// -----

// The other operand needs every element.
// CHECK-LABEL: func.func @other_operand_is_as_large
//       CHECK: %[[E:.+]] = rt.expand
//  CHECK-NEXT: %[[N:.+]] = rt.mul %{{.+}}, %[[E]]
//  CHECK-NEXT: rt.relu %[[N]]
func.func @other_operand_is_as_large(%m: !rt.tensor<1x8xf32>, %x: !rt.tensor<8x8xf32>) -> !rt.tensor<8x8xf32> {
  %e = rt.expand %m : !rt.tensor<1x8xf32> -> !rt.tensor<8x8xf32, strided<[0, 1]>>
  %n = rt.mul %x, %e : !rt.tensor<8x8xf32>, !rt.tensor<8x8xf32, strided<[0, 1]>> -> !rt.tensor<8x8xf32>
  %y = rt.relu %n : !rt.tensor<8x8xf32> -> !rt.tensor<8x8xf32>
  rt.return %y : !rt.tensor<8x8xf32>
}

// -----

// Users see the strides of what is returned.
// CHECK-LABEL: func.func @returned
//       CHECK: %[[E:.+]] = rt.expand
//  CHECK-NEXT: %[[Y:.+]] = rt.exp %[[E]]
//  CHECK-NEXT: rt.return %[[Y]]
func.func @returned(%m: !rt.tensor<1x8xf32>) -> !rt.tensor<8x8xf32> {
  %e = rt.expand %m : !rt.tensor<1x8xf32> -> !rt.tensor<8x8xf32, strided<[0, 1]>>
  %y = rt.exp %e : !rt.tensor<8x8xf32, strided<[0, 1]>> -> !rt.tensor<8x8xf32>
  rt.return %y : !rt.tensor<8x8xf32>
}

// -----

// Dims that the expansion adds are not there before it.
// CHECK-LABEL: func.func @new_dims
//       CHECK: rt.mul %{{.+}}, %{{.+}} : <3x8xf32>, <f32> -> <3x8xf32>
//  CHECK-NEXT: rt.expand %{{.+}} : <3x8xf32> -> <2x3x8xf32, strided<[0, 8, 1]>>
func.func @new_dims(%m: !rt.tensor<3x8xf32>, %x: !rt.tensor<2x3x8xf32>) -> !rt.tensor<2x3x8xf32> {
  %e = rt.expand %m : !rt.tensor<3x8xf32> -> !rt.tensor<2x3x8xf32, strided<[0, 8, 1]>>
  %s = rt.full 3.0 : f32 -> !rt.tensor<f32>
  %n = rt.mul %e, %s : !rt.tensor<2x3x8xf32, strided<[0, 8, 1]>>, !rt.tensor<f32> -> !rt.tensor<2x3x8xf32>
  %y = rt.add %x, %n : !rt.tensor<2x3x8xf32>, !rt.tensor<2x3x8xf32> -> !rt.tensor<2x3x8xf32>
  rt.return %y : !rt.tensor<2x3x8xf32>
}
