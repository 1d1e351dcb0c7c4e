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

// A finite mask leaves every row weights.
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

// A mask that may hide a whole row leaves NaN there, as softmax does.
// CHECK-LABEL: func.func @mask_may_be_infinite
//       CHECK: rt.attention
//  CHECK-SAME: grouped false nan_rows
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

// -----

// Keys after the query are hidden: no mask is left.
// CHECK-LABEL: func.func @causal_by_comparison
//       CHECK: rt.attention %arg0, %{{[0-9a-z]+}}, %arg2 scale 1.000000e+00 causal true grouped false :
func.func @causal_by_comparison(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x5x8xf32>, %v: !rt.tensor<2x5x8xf32>) -> !rt.tensor<2x5x8xf32> {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x5x8xf32> -> !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>> -> !rt.tensor<2x5x5xf32>
  %i = rt.iota from #rt.expr<0> step #rt.expr<1> -> !rt.tensor<5xi64>
  %row = rt.unsqueeze %i 1 : !rt.tensor<5xi64> -> !rt.tensor<5x1xi64>
  %col = rt.unsqueeze %i 0 : !rt.tensor<5xi64> -> !rt.tensor<1x5xi64>
  %c = rt.ge %row, %col : !rt.tensor<5x1xi64>, !rt.tensor<1x5xi64> -> !rt.tensor<5x5xi1>
  %low = rt.full -1.0e9 : f32 -> !rt.tensor<f32>
  %a = rt.where %c, %s, %low : !rt.tensor<5x5xi1>, !rt.tensor<2x5x5xf32>, !rt.tensor<f32> -> !rt.tensor<2x5x5xf32>
  %p = rt.softmax %a 2 : !rt.tensor<2x5x5xf32> -> !rt.tensor<2x5x5xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x5xf32>, !rt.tensor<2x5x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}

// -----

// The upper triangle of -inf that is added.
// CHECK-LABEL: func.func @causal_by_sum
//       CHECK: rt.attention %arg0, %{{[0-9a-z]+}}, %arg2 scale 1.000000e+00 causal true grouped false :
func.func @causal_by_sum(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x5x8xf32>, %v: !rt.tensor<2x5x8xf32>) -> !rt.tensor<2x5x8xf32> {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x5x8xf32> -> !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>> -> !rt.tensor<2x5x5xf32>
  %i = rt.iota from #rt.expr<0> step #rt.expr<1> -> !rt.tensor<5xi64>
  %row = rt.unsqueeze %i 1 : !rt.tensor<5xi64> -> !rt.tensor<5x1xi64>
  %col = rt.unsqueeze %i 0 : !rt.tensor<5xi64> -> !rt.tensor<1x5xi64>
  %d = rt.sub %col, %row : !rt.tensor<1x5xi64>, !rt.tensor<5x1xi64> -> !rt.tensor<5x5xi64>
  %one = rt.full 1 : i64 -> !rt.tensor<i64>
  %h = rt.ge %d, %one : !rt.tensor<5x5xi64>, !rt.tensor<i64> -> !rt.tensor<5x5xi1>
  %zero = rt.full 0.0 : f32 -> !rt.tensor<f32>
  %low = rt.full 0xFF800000 : f32 -> !rt.tensor<f32>
  %m = rt.where %h, %low, %zero : !rt.tensor<5x5xi1>, !rt.tensor<f32>, !rt.tensor<f32> -> !rt.tensor<5x5xf32>
  %a = rt.add %s, %m : !rt.tensor<2x5x5xf32>, !rt.tensor<5x5xf32> -> !rt.tensor<2x5x5xf32>
  %p = rt.softmax %a 2 : !rt.tensor<2x5x5xf32> -> !rt.tensor<2x5x5xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x5xf32>, !rt.tensor<2x5x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}

// -----

// A buffer that is known to be triangular.
// CHECK-LABEL: func.func @causal_by_buffer
//       CHECK: rt.attention %arg0, %{{[0-9a-z]+}}, %arg2 scale 1.000000e+00 causal true grouped false :
func.func @causal_by_buffer(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x5x8xf32>, %v: !rt.tensor<2x5x8xf32>) -> !rt.tensor<2x5x8xf32> {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x5x8xf32> -> !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>> -> !rt.tensor<2x5x5xf32>
  %w = rt.parameter "bias" storage 0 {rt.triangular} : !rt.tensor<1x9x9xf32>
  %r = rt.slice %w 1 from <0> to <5> step 1 : !rt.tensor<1x9x9xf32> -> !rt.tensor<1x5x9xf32, strided<[81, 9, 1]>>
  %u = rt.slice %r 2 from <0> to <5> step 1 : !rt.tensor<1x5x9xf32, strided<[81, 9, 1]>> -> !rt.tensor<1x5x5xf32, strided<[81, 9, 1]>>
  %z = rt.full 0.0 : f32 -> !rt.tensor<f32>
  %h = rt.eq %u, %z : !rt.tensor<1x5x5xf32, strided<[81, 9, 1]>>, !rt.tensor<f32> -> !rt.tensor<1x5x5xi1>
  %low = rt.full 0xFF800000 : f32 -> !rt.tensor<f32>
  %a = rt.where %h, %low, %s : !rt.tensor<1x5x5xi1>, !rt.tensor<f32>, !rt.tensor<2x5x5xf32> -> !rt.tensor<2x5x5xf32>
  %p = rt.softmax %a 2 : !rt.tensor<2x5x5xf32> -> !rt.tensor<2x5x5xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x5xf32>, !rt.tensor<2x5x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}

// -----

// One key after the query is visible: that is no causal mask, but a mask.
// CHECK-LABEL: func.func @one_diagonal_more
//       CHECK: rt.attention %{{.*}} mask %
func.func @one_diagonal_more(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x5x8xf32>, %v: !rt.tensor<2x5x8xf32>) -> !rt.tensor<2x5x8xf32> {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x5x8xf32> -> !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>> -> !rt.tensor<2x5x5xf32>
  %i = rt.iota from #rt.expr<0> step #rt.expr<1> -> !rt.tensor<5xi64>
  %row = rt.unsqueeze %i 1 : !rt.tensor<5xi64> -> !rt.tensor<5x1xi64>
  %col = rt.unsqueeze %i 0 : !rt.tensor<5xi64> -> !rt.tensor<1x5xi64>
  %n = rt.full 1 : i64 -> !rt.tensor<i64>
  %later = rt.add %row, %n : !rt.tensor<5x1xi64>, !rt.tensor<i64> -> !rt.tensor<5x1xi64>
  %c = rt.ge %later, %col : !rt.tensor<5x1xi64>, !rt.tensor<1x5xi64> -> !rt.tensor<5x5xi1>
  %low = rt.full 0xFF800000 : f32 -> !rt.tensor<f32>
  %a = rt.where %c, %s, %low : !rt.tensor<5x5xi1>, !rt.tensor<2x5x5xf32>, !rt.tensor<f32> -> !rt.tensor<2x5x5xf32>
  %p = rt.softmax %a 2 : !rt.tensor<2x5x5xf32> -> !rt.tensor<2x5x5xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x5xf32>, !rt.tensor<2x5x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}

// -----

// Two masks: one is causal, the other stays, and may hide all of a row.
// CHECK-LABEL: func.func @causal_and_padding
//       CHECK: rt.attention %arg0, %{{[0-9a-z]+}}, %arg2 mask %arg3 scale 1.000000e+00 causal true grouped false nan_rows
func.func @causal_and_padding(%q: !rt.tensor<2x5x8xf32>, %k: !rt.tensor<2x5x8xf32>, %v: !rt.tensor<2x5x8xf32>, %pad: !rt.tensor<2x1x5xi1>) -> !rt.tensor<2x5x8xf32> {
  %t = rt.permute %k [0, 2, 1] : !rt.tensor<2x5x8xf32> -> !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>>
  %s = rt.matmul %q, %t : !rt.tensor<2x5x8xf32>, !rt.tensor<2x8x5xf32, strided<[40, 1, 8]>> -> !rt.tensor<2x5x5xf32>
  %i = rt.iota from #rt.expr<0> step #rt.expr<1> -> !rt.tensor<5xi64>
  %row = rt.unsqueeze %i 1 : !rt.tensor<5xi64> -> !rt.tensor<5x1xi64>
  %col = rt.unsqueeze %i 0 : !rt.tensor<5xi64> -> !rt.tensor<1x5xi64>
  %c = rt.ge %row, %col : !rt.tensor<5x1xi64>, !rt.tensor<1x5xi64> -> !rt.tensor<5x5xi1>
  %low = rt.full 0xFF800000 : f32 -> !rt.tensor<f32>
  %b = rt.where %pad, %s, %low : !rt.tensor<2x1x5xi1>, !rt.tensor<2x5x5xf32>, !rt.tensor<f32> -> !rt.tensor<2x5x5xf32>
  %a = rt.where %c, %b, %low : !rt.tensor<5x5xi1>, !rt.tensor<2x5x5xf32>, !rt.tensor<f32> -> !rt.tensor<2x5x5xf32>
  %p = rt.softmax %a 2 : !rt.tensor<2x5x5xf32> -> !rt.tensor<2x5x5xf32>
  %o = rt.matmul %p, %v : !rt.tensor<2x5x5xf32>, !rt.tensor<2x5x8xf32> -> !rt.tensor<2x5x8xf32>
  rt.return %o : !rt.tensor<2x5x8xf32>
}

// -----

// Heads that were repeated serve several heads of the query.
// CHECK-LABEL: func.func @repeated_heads
//       CHECK: rt.attention %arg0, %arg1, %arg2 scale 5.000000e-01 causal true grouped true
func.func @repeated_heads(%q: !rt.tensor<2x6x5x8xf32>, %k: !rt.tensor<2x2x5x8xf32>, %v: !rt.tensor<2x2x5x8xf32>) -> !rt.tensor<2x6x5x8xf32> {
  %k1 = rt.unsqueeze %k 2 : !rt.tensor<2x2x5x8xf32> -> !rt.tensor<2x2x1x5x8xf32, strided<[80, 40, 40, 8, 1]>>
  %k2 = rt.expand %k1 : !rt.tensor<2x2x1x5x8xf32, strided<[80, 40, 40, 8, 1]>> -> !rt.tensor<2x2x3x5x8xf32, strided<[80, 40, 0, 8, 1]>>
  %k3 = rt.clone %k2 : !rt.tensor<2x2x3x5x8xf32, strided<[80, 40, 0, 8, 1]>> -> !rt.tensor<2x2x3x5x8xf32>
  %k4 = rt.view %k3 : !rt.tensor<2x2x3x5x8xf32> -> !rt.tensor<2x6x5x8xf32>
  %v1 = rt.unsqueeze %v 2 : !rt.tensor<2x2x5x8xf32> -> !rt.tensor<2x2x1x5x8xf32, strided<[80, 40, 40, 8, 1]>>
  %v2 = rt.expand %v1 : !rt.tensor<2x2x1x5x8xf32, strided<[80, 40, 40, 8, 1]>> -> !rt.tensor<2x2x3x5x8xf32, strided<[80, 40, 0, 8, 1]>>
  %v3 = rt.clone %v2 : !rt.tensor<2x2x3x5x8xf32, strided<[80, 40, 0, 8, 1]>> -> !rt.tensor<2x2x3x5x8xf32>
  %v4 = rt.view %v3 : !rt.tensor<2x2x3x5x8xf32> -> !rt.tensor<2x6x5x8xf32>
  %o = rt.attention %q, %k4, %v4 scale 0.5 causal true grouped false
     : (!rt.tensor<2x6x5x8xf32>, !rt.tensor<2x6x5x8xf32>, !rt.tensor<2x6x5x8xf32>) -> !rt.tensor<2x6x5x8xf32>
  rt.return %o : !rt.tensor<2x6x5x8xf32>
}
