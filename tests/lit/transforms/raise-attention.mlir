// RUN: rtorch-opt %s --split-input-file --rt-to-value-form | FileCheck %s

// Scaled dot-product attention and the projection after it, as run_decompositions()
// takes them apart. No copy stays: the result has the query's order of dims, in which
// the heads merge without one.
// CHECK-LABEL: func.func @decomposed
//  CHECK-SAME: (%[[Q:.+]]: !rt.tensor<{{.*}}>, %[[K:.+]]: !rt.tensor<{{.*}}>, %[[V:.+]]: !rt.tensor<{{.*}}>, %[[M:.+]]: !rt.tensor<{{.*}}>, %[[W:.+]]: !rt.tensor<384x384xf32>, %[[B:.+]]: !rt.tensor<384xf32>)
//   CHECK-NOT: rt.clone
//       CHECK: rt.attention %{{.+}}, %{{.+}}, %{{.+}} mask %[[M]] scale 0.176776{{[0-9]+}} causal false grouped false
//   CHECK-NOT: rt.clone
//       CHECK: rt.linear %{{.+}}, %[[W]], %[[B]]
//  CHECK-NEXT: rt.return
func.func @decomposed(%q: !rt.tensor<[s0, s1, 384]xf32>, %k: !rt.tensor<[s0, s1, 384]xf32>, %v: !rt.tensor<[s0, s1, 384]xf32>, %mask: !rt.tensor<[s0, 1, s1, s1]xf32>, %w: !rt.tensor<384x384xf32>, %b: !rt.tensor<384xf32>) -> !rt.tensor<[s0, s1, 384]xf32>
    attributes {rt.symbols = [#rt.symbol<"s0", 1, 64, 3>, #rt.symbol<"s1", 2, 512, 16>]} {
  %q0 = rt.view %q : !rt.tensor<[s0, s1, 384]xf32> -> !rt.tensor<[s0, s1, 12, 32]xf32>
  %q1 = rt.permute %q0 [0, 2, 1, 3] : !rt.tensor<[s0, s1, 12, 32]xf32> -> !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>>
  %k0 = rt.view %k : !rt.tensor<[s0, s1, 384]xf32> -> !rt.tensor<[s0, s1, 12, 32]xf32>
  %k1 = rt.permute %k0 [0, 2, 1, 3] : !rt.tensor<[s0, s1, 12, 32]xf32> -> !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>>
  %v0 = rt.view %v : !rt.tensor<[s0, s1, 384]xf32> -> !rt.tensor<[s0, s1, 12, 32]xf32>
  %v1 = rt.permute %v0 [0, 2, 1, 3] : !rt.tensor<[s0, s1, 12, 32]xf32> -> !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>>
  %c = rt.full 0.42044820762685725 : f32 -> !rt.tensor<f32>
  %q2 = rt.mul %q1, %c : !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>>, !rt.tensor<f32> -> !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>>
  %k2 = rt.permute %k1 [0, 1, 3, 2] : !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>> -> !rt.tensor<[s0, 12, 32, s1]xf32, strided<[384*s1, 32, 1, 384]>>
  %k3 = rt.mul %k2, %c : !rt.tensor<[s0, 12, 32, s1]xf32, strided<[384*s1, 32, 1, 384]>>, !rt.tensor<f32> -> !rt.tensor<[s0, 12, 32, s1]xf32, strided<[384*s1, 32, 1, 384]>>
  %q3 = rt.expand %q2 : !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>> -> !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>>
  %q4 = rt.clone %q3 : !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>> -> !rt.tensor<[s0, 12, s1, 32]xf32>
  %q5 = rt.view %q4 : !rt.tensor<[s0, 12, s1, 32]xf32> -> !rt.tensor<[12*s0, s1, 32]xf32>
  %k4 = rt.expand %k3 : !rt.tensor<[s0, 12, 32, s1]xf32, strided<[384*s1, 32, 1, 384]>> -> !rt.tensor<[s0, 12, 32, s1]xf32, strided<[384*s1, 32, 1, 384]>>
  %k5 = rt.clone %k4 : !rt.tensor<[s0, 12, 32, s1]xf32, strided<[384*s1, 32, 1, 384]>> -> !rt.tensor<[s0, 12, 32, s1]xf32>
  %k6 = rt.view %k5 : !rt.tensor<[s0, 12, 32, s1]xf32> -> !rt.tensor<[12*s0, 32, s1]xf32>
  %s0 = rt.matmul %q5, %k6 : !rt.tensor<[12*s0, s1, 32]xf32>, !rt.tensor<[12*s0, 32, s1]xf32> -> !rt.tensor<[12*s0, s1, s1]xf32>
  %s1 = rt.view %s0 : !rt.tensor<[12*s0, s1, s1]xf32> -> !rt.tensor<[s0, 12, s1, s1]xf32>
  %s2 = rt.add %s1, %mask : !rt.tensor<[s0, 12, s1, s1]xf32>, !rt.tensor<[s0, 1, s1, s1]xf32> -> !rt.tensor<[s0, 12, s1, s1]xf32>
  %p = rt.softmax %s2 3 : !rt.tensor<[s0, 12, s1, s1]xf32> -> !rt.tensor<[s0, 12, s1, s1]xf32>
  %inf = rt.full 0xFF800000 : f32 -> !rt.tensor<f32>
  %eq = rt.eq %s2, %inf : !rt.tensor<[s0, 12, s1, s1]xf32>, !rt.tensor<f32> -> !rt.tensor<[s0, 12, s1, s1]xi1>
  %ne = rt.logical_not %eq : !rt.tensor<[s0, 12, s1, s1]xi1> -> !rt.tensor<[s0, 12, s1, s1]xi1>
  %any = rt.any %ne [3] keepdim true : !rt.tensor<[s0, 12, s1, s1]xi1> -> !rt.tensor<[s0, 12, s1, 1]xi1>
  %none = rt.logical_not %any : !rt.tensor<[s0, 12, s1, 1]xi1> -> !rt.tensor<[s0, 12, s1, 1]xi1>
  %zeros = rt.full 0.0 : f32 -> !rt.tensor<[s0, 12, s1, s1]xf32>
  %p1 = rt.where %none, %zeros, %p : !rt.tensor<[s0, 12, s1, 1]xi1>, !rt.tensor<[s0, 12, s1, s1]xf32>, !rt.tensor<[s0, 12, s1, s1]xf32> -> !rt.tensor<[s0, 12, s1, s1]xf32>
  %p2 = rt.expand %p1 : !rt.tensor<[s0, 12, s1, s1]xf32> -> !rt.tensor<[s0, 12, s1, s1]xf32>
  %p3 = rt.view %p2 : !rt.tensor<[s0, 12, s1, s1]xf32> -> !rt.tensor<[12*s0, s1, s1]xf32>
  %v2 = rt.expand %v1 : !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>> -> !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>>
  %v3 = rt.clone %v2 : !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384*s1, 32, 384, 1]>> -> !rt.tensor<[s0, 12, s1, 32]xf32>
  %v4 = rt.view %v3 : !rt.tensor<[s0, 12, s1, 32]xf32> -> !rt.tensor<[12*s0, s1, 32]xf32>
  %o0 = rt.matmul %p3, %v4 : !rt.tensor<[12*s0, s1, s1]xf32>, !rt.tensor<[12*s0, s1, 32]xf32> -> !rt.tensor<[12*s0, s1, 32]xf32>
  %o1 = rt.view %o0 : !rt.tensor<[12*s0, s1, 32]xf32> -> !rt.tensor<[s0, 12, s1, 32]xf32>
  %o2 = rt.permute %o1 [2, 0, 1, 3] : !rt.tensor<[s0, 12, s1, 32]xf32> -> !rt.tensor<[s1, s0, 12, 32]xf32, strided<[32, 384*s1, 32*s1, 1]>>
  %o3 = rt.clone %o2 : !rt.tensor<[s1, s0, 12, 32]xf32, strided<[32, 384*s1, 32*s1, 1]>> -> !rt.tensor<[s1, s0, 12, 32]xf32>
  %o4 = rt.permute %o3 [1, 2, 0, 3] : !rt.tensor<[s1, s0, 12, 32]xf32> -> !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384, 32, 384*s0, 1]>>
  %o5 = rt.permute %o4 [0, 2, 1, 3] : !rt.tensor<[s0, 12, s1, 32]xf32, strided<[384, 32, 384*s0, 1]>> -> !rt.tensor<[s0, s1, 12, 32]xf32, strided<[384, 384*s0, 32, 1]>>
  %o6 = rt.view %o5 : !rt.tensor<[s0, s1, 12, 32]xf32, strided<[384, 384*s0, 32, 1]>> -> !rt.tensor<[s0, s1, 384]xf32, strided<[384, 384*s0, 1]>>
  %t = rt.permute %w [1, 0] : !rt.tensor<384x384xf32> -> !rt.tensor<384x384xf32, strided<[1, 384]>>
  %e = rt.expand %t : !rt.tensor<384x384xf32, strided<[1, 384]>> -> !rt.tensor<[s0, 384, 384]xf32, strided<[0, 1, 384]>>
  %o7 = rt.matmul %o6, %e : !rt.tensor<[s0, s1, 384]xf32, strided<[384, 384*s0, 1]>>, !rt.tensor<[s0, 384, 384]xf32, strided<[0, 1, 384]>> -> !rt.tensor<[s0, s1, 384]xf32>
  %o8 = rt.add %o7, %b : !rt.tensor<[s0, s1, 384]xf32>, !rt.tensor<384xf32> -> !rt.tensor<[s0, s1, 384]xf32>
  rt.return %o8 : !rt.tensor<[s0, s1, 384]xf32>
}

// -----

// Without the test for rows without a score these are NaN: only a mask that cannot be
// -inf makes the two the same.
// CHECK-LABEL: func.func @finite_mask
//       CHECK: rt.attention
//  CHECK-SAME: scale 5.000000e-01
func.func @finite_mask(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x7x8xf32>, %v: !rt.tensor<2x7x8xf32>, %m: !rt.tensor<5x7xi1>) -> !rt.tensor<2x5x8xf32> {
  %zero = rt.full 0.0 : f32 -> !rt.tensor<f32>
  %low = rt.full -3.0e38 : f32 -> !rt.tensor<f32>
  %half = rt.full 2.0 : f32 -> !rt.tensor<f32>
  %mask = rt.where %m, %zero, %low : !rt.tensor<5x7xi1>, !rt.tensor<f32>, !rt.tensor<f32> -> !rt.tensor<5x7xf32>
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x7x8xf32> -> !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>> -> !rt.tensor<2x5x7xf32>
  %d = rt.div %s, %half : !rt.tensor<2x5x7xf32>, !rt.tensor<f32> -> !rt.tensor<2x5x7xf32>
  %a = rt.add %d, %mask : !rt.tensor<2x5x7xf32>, !rt.tensor<5x7xf32> -> !rt.tensor<2x5x7xf32>
  %p = rt.softmax %a 2 : !rt.tensor<2x5x7xf32> -> !rt.tensor<2x5x7xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x7xf32>, !rt.tensor<2x7x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}

// -----

// CHECK-LABEL: func.func @mask_may_be_infinite
//   CHECK-NOT: rt.attention
//       CHECK: rt.softmax
func.func @mask_may_be_infinite(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x7x8xf32>, %v: !rt.tensor<2x7x8xf32>, %m: !rt.tensor<5x7xf32>) -> !rt.tensor<2x5x8xf32> {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x7x8xf32> -> !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>> -> !rt.tensor<2x5x7xf32>
  %a = rt.add %s, %m : !rt.tensor<2x5x7xf32>, !rt.tensor<5x7xf32> -> !rt.tensor<2x5x7xf32>
  %p = rt.softmax %a 2 : !rt.tensor<2x5x7xf32> -> !rt.tensor<2x5x7xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x7xf32>, !rt.tensor<2x7x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}

// -----

// The weights are a result of their own: they have to be computed anyway.
// CHECK-LABEL: func.func @weights_returned
//   CHECK-NOT: rt.attention
func.func @weights_returned(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x7x8xf32>, %v: !rt.tensor<2x7x8xf32>) -> (!rt.tensor<2x5x8xf32>, !rt.tensor<2x5x7xf32>) {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x7x8xf32> -> !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>> -> !rt.tensor<2x5x7xf32>
  %p = rt.softmax %s 2 : !rt.tensor<2x5x7xf32> -> !rt.tensor<2x5x7xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x7xf32>, !rt.tensor<2x7x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o, %p : !rt.tensor<2x5x8xf32>, !rt.tensor<2x5x7xf32>
}

// -----

// CHECK-LABEL: func.func @softmax_over_queries
//   CHECK-NOT: rt.attention
func.func @softmax_over_queries(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x7x8xf32>, %v: !rt.tensor<2x7x8xf32>) -> !rt.tensor<2x5x8xf32> {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x7x8xf32> -> !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x7xf32, strided<[56, 1, 8]>> -> !rt.tensor<2x5x7xf32>
  %p = rt.softmax %s 1 : !rt.tensor<2x5x7xf32> -> !rt.tensor<2x5x7xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x7xf32>, !rt.tensor<2x7x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}
