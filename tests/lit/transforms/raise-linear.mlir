// RUN: rtorch-opt %s --split-input-file --rt-raise --rt-verify-layouts=form=value | FileCheck %s

// addmm of a transposed weight between two reshapes.
// CHECK-LABEL: func.func @addmm
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor<[s0, s1, 384]xf32>, %[[W:.+]]: !rt.tensor<1536x384xf32>, %[[B:.+]]: !rt.tensor<1536xf32>)
//  CHECK-NEXT: %[[Y:.+]] = rt.linear %[[X]], %[[W]], %[[B]]
//  CHECK-NEXT: rt.return %[[Y]]
func.func @addmm(%x: !rt.tensor<[s0, s1, 384]xf32>, %w: !rt.tensor<1536x384xf32>, %b: !rt.tensor<1536xf32>)
    -> !rt.tensor<[s0, s1, 1536]xf32>
    attributes {rt.symbols = [#rt.symbol<"s0", 1, 64, 3>, #rt.symbol<"s1", 2, 512, 16>]} {
  %v = rt.view %x : !rt.tensor<[s0, s1, 384]xf32> -> !rt.tensor<[s0*s1, 384]xf32>
  %t = rt.permute %w [1, 0] : !rt.tensor<1536x384xf32> -> !rt.tensor<384x1536xf32, strided<[1, 384]>>
  %m = rt.matmul %v, %t : !rt.tensor<[s0*s1, 384]xf32>, !rt.tensor<384x1536xf32, strided<[1, 384]>> -> !rt.tensor<[s0*s1, 1536]xf32>
  %a = rt.add %b, %m : !rt.tensor<1536xf32>, !rt.tensor<[s0*s1, 1536]xf32> -> !rt.tensor<[s0*s1, 1536]xf32>
  %y = rt.view %a : !rt.tensor<[s0*s1, 1536]xf32> -> !rt.tensor<[s0, s1, 1536]xf32>
  rt.return %y : !rt.tensor<[s0, s1, 1536]xf32>
}

// -----

// bmm of a weight that is repeated for every batch.
// CHECK-LABEL: func.func @repeated_weight
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor<{{.*}}>, %[[W:.+]]: !rt.tensor<8x4xf32>, %[[B:.+]]: !rt.tensor<8xf32>)
//  CHECK-NEXT: %[[Y:.+]] = rt.linear %[[X]], %[[W]], %[[B]]
//  CHECK-NEXT: rt.return %[[Y]]
func.func @repeated_weight(%x: !rt.tensor<[s0, 5, 4]xf32, strided<[4, 4*s0, 1]>>, %w: !rt.tensor<8x4xf32>, %b: !rt.tensor<8xf32>)
    -> !rt.tensor<[s0, 5, 8]xf32> attributes {rt.symbols = [#rt.symbol<"s0", 1, 64, 3>]} {
  %t = rt.permute %w [1, 0] : !rt.tensor<8x4xf32> -> !rt.tensor<4x8xf32, strided<[1, 4]>>
  %e = rt.expand %t : !rt.tensor<4x8xf32, strided<[1, 4]>> -> !rt.tensor<[s0, 4, 8]xf32, strided<[0, 1, 4]>>
  %m = rt.matmul %x, %e : !rt.tensor<[s0, 5, 4]xf32, strided<[4, 4*s0, 1]>>, !rt.tensor<[s0, 4, 8]xf32, strided<[0, 1, 4]>> -> !rt.tensor<[s0, 5, 8]xf32>
  %y = rt.add %m, %b : !rt.tensor<[s0, 5, 8]xf32>, !rt.tensor<8xf32> -> !rt.tensor<[s0, 5, 8]xf32>
  rt.return %y : !rt.tensor<[s0, 5, 8]xf32>
}

// -----

// A parameter that is stored as [k, n] is a weight, too.
// CHECK-LABEL: func.func @parameter_not_transposed
//       CHECK: %[[W:.+]] = rt.parameter
//       CHECK: %[[T:.+]] = rt.permute %[[W]] [1, 0]
//       CHECK: rt.linear %{{.+}}, %[[T]]
func.func @parameter_not_transposed(%x: !rt.tensor<5x4xf32>) -> !rt.tensor<5x8xf32> {
  %w = rt.parameter "w" storage 0 : !rt.tensor<4x8xf32>
  %m = rt.matmul %x, %w : !rt.tensor<5x4xf32>, !rt.tensor<4x8xf32> -> !rt.tensor<5x8xf32>
  rt.return %m : !rt.tensor<5x8xf32>
}

// -----

// A product of two activations stays.
// CHECK-LABEL: func.func @no_weight
//       CHECK: rt.matmul
func.func @no_weight(%x: !rt.tensor<5x4xf32>, %z: !rt.tensor<4x8xf32>) -> !rt.tensor<5x8xf32> {
  %m = rt.matmul %x, %z : !rt.tensor<5x4xf32>, !rt.tensor<4x8xf32> -> !rt.tensor<5x8xf32>
  rt.return %m : !rt.tensor<5x8xf32>
}

// -----

// A sum of full rank is no bias; a product with other users keeps its own op.
// CHECK-LABEL: func.func @no_bias
//       CHECK: %[[M:.+]] = rt.linear %{{.+}}, %{{[a-z0-9]+}} :
//       CHECK: %[[R:.+]] = rt.add %[[M]]
//       CHECK: rt.add %[[R]]
func.func @no_bias(%x: !rt.tensor<5x4xf32>, %w: !rt.tensor<8x4xf32>, %r: !rt.tensor<5x8xf32>, %b: !rt.tensor<8xf32>)
    -> (!rt.tensor<5x8xf32>, !rt.tensor<5x8xf32>) {
  %t = rt.permute %w [1, 0] : !rt.tensor<8x4xf32> -> !rt.tensor<4x8xf32, strided<[1, 4]>>
  %m = rt.matmul %x, %t : !rt.tensor<5x4xf32>, !rt.tensor<4x8xf32, strided<[1, 4]>> -> !rt.tensor<5x8xf32>
  %y = rt.add %m, %r : !rt.tensor<5x8xf32>, !rt.tensor<5x8xf32> -> !rt.tensor<5x8xf32>
  %z = rt.add %y, %b : !rt.tensor<5x8xf32>, !rt.tensor<8xf32> -> !rt.tensor<5x8xf32>
  rt.return %y, %z : !rt.tensor<5x8xf32>, !rt.tensor<5x8xf32>
}

// -----

// CHECK-LABEL: func.func @silu
//       CHECK: rt.silu
//   CHECK-NOT: rt.sigmoid
func.func @silu(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %s = rt.sigmoid %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %y = rt.mul %s, %x : !rt.tensor<4xf32>, !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %y : !rt.tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @gate_of_another_tensor
//       CHECK: rt.sigmoid
//       CHECK: rt.mul
func.func @gate_of_another_tensor(%x: !rt.tensor<4xf32>, %z: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %s = rt.sigmoid %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %y = rt.mul %s, %z : !rt.tensor<4xf32>, !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %y : !rt.tensor<4xf32>
}
