// RUN: rtorch-opt %s --split-input-file --verify-diagnostics --rt-verify-layouts | FileCheck %s

// What is proven needs no guard.
// CHECK-LABEL: func.func @proven_view
//   CHECK-NOT: rt.guards
func.func @proven_view(%x: !rt.tensor<[s0, s1, 8]xf32>) -> !rt.tensor<[s0*s1, 8]xf32>
    attributes {rt.symbols = [#rt.symbol<"s0", 1, 64, 3>, #rt.symbol<"s1", 2, 512, 16>]} {
  %v = rt.view %x : !rt.tensor<[s0, s1, 8]xf32> -> !rt.tensor<[s0*s1, 8]xf32>
  rt.return %v : !rt.tensor<[s0*s1, 8]xf32>
}

// -----

// What only the example values decide becomes a guard that names op and source line.
// CHECK-LABEL: func.func @open_view_becomes_a_guard
//  CHECK-SAME: rt.guards = [#rt.guard<"eq", <s1>, <s0>, "rt.view of [4, s0]", "model.py:7">]
func.func @open_view_becomes_a_guard(%x: !rt.tensor<[4, s0]xf32, strided<[s1, 1]>>)
    attributes {rt.symbols = [#rt.symbol<"s0", 2, 64, 8>, #rt.symbol<"s1", 2, 64, 8>]} {
  %v = rt.view %x : !rt.tensor<[4, s0]xf32, strided<[s1, 1]>> -> !rt.tensor<[4*s0]xf32> loc("model.py":7:3)
  rt.return
}

// -----

func.func @view_without_a_copy(%x: !rt.tensor<[s0, 8]xf32>)
    attributes {rt.symbols = [#rt.symbol<"s0", 2, 64, 8>]} {
  // expected-note @+1 {{strides [1, 8] come from here; insert 'rt.clone' before the view}}
  %t = rt.permute %x [1, 0] : !rt.tensor<[s0, 8]xf32> -> !rt.tensor<[8, s0]xf32, strided<[1, 8]>>
  // expected-error @+1 {{'rt.view' op cannot view '!rt.tensor<[8, s0]xf32, strided<[1, 8]>>' as '!rt.tensor<[8*s0]xf32>' without a copy}}
  %v = rt.view %t : !rt.tensor<[8, s0]xf32, strided<[1, 8]>> -> !rt.tensor<[8*s0]xf32>
  rt.return
}

// -----

// expected-note @+1 {{strides [8, 1] are those of an argument}}
func.func @symbolic_strides(%x: !rt.tensor<[s0, 8]xf32>)
    attributes {rt.symbols = [#rt.symbol<"s0", 2, 64, 4>]} {
  // expected-error @+1 {{'rt.permute' op expects result strides [1, 8] and offset 0, but got [s0, 1] and 0}}
  %t = rt.permute %x [1, 0] : !rt.tensor<[s0, 8]xf32> -> !rt.tensor<[8, s0]xf32>
  rt.return
}

// -----

// A dense operand in another order gives a result in that order.
// CHECK-LABEL: func.func @strides_of_eager
func.func @strides_of_eager(%x: !rt.tensor<4x8xf32, strided<[1, 4]>>) {
  %y = rt.relu %x : !rt.tensor<4x8xf32, strided<[1, 4]>> -> !rt.tensor<4x8xf32, strided<[1, 4]>>
  rt.return
}

// -----

func.func @strides_unlike_eager(%x: !rt.tensor<4x8xf32, strided<[1, 4]>>) {
  // expected-error @+1 {{'rt.relu' op expects result strides [1, 4] as in eager PyTorch, but got [8, 1]}}
  %y = rt.relu %x : !rt.tensor<4x8xf32, strided<[1, 4]>> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

// Strides of dims of size 1 address nothing.
// CHECK-LABEL: func.func @strides_of_size_1
func.func @strides_of_size_1(%x: !rt.tensor<1x8xf32>) {
  %y = rt.relu %x : !rt.tensor<1x8xf32> -> !rt.tensor<1x8xf32, strided<[77, 1]>>
  rt.return
}

// -----

func.func @write_into_expanded(%x: !rt.tensor<1x6xf32>, %v: !rt.tensor<4x6xf32>) {
  // expected-note @+1 {{strides [0, 1] come from here; clone the tensor before writing}}
  %e = rt.expand %x : !rt.tensor<1x6xf32> -> !rt.tensor<4x6xf32, strided<[0, 1]>>
  // expected-error @+1 {{'rt.write' op cannot write into '!rt.tensor<4x6xf32, strided<[0, 1]>>': more than one element refers to the same place}}
  rt.write %v into %e : !rt.tensor<4x6xf32> into !rt.tensor<4x6xf32, strided<[0, 1]>>
  rt.return
}

// -----

func.func @write_overlapping_itself(%x: !rt.tensor<4x4xf32>) {
  // expected-note @+1 {{strides [1, 4] come from here; clone the value before writing it}}
  %t = rt.permute %x [1, 0] : !rt.tensor<4x4xf32> -> !rt.tensor<4x4xf32, strided<[1, 4]>>
  // expected-error @+1 {{'rt.write' op writes '!rt.tensor<4x4xf32, strided<[1, 4]>>' into '!rt.tensor<4x4xf32>', which overlaps it in the same storage}}
  rt.write %t into %x : !rt.tensor<4x4xf32, strided<[1, 4]>> into !rt.tensor<4x4xf32>
  rt.return
}

// -----

// Rows that do not touch each other may be copied.
// CHECK-LABEL: func.func @write_of_another_row
func.func @write_of_another_row(%x: !rt.tensor<4x4xf32>) {
  %a = rt.select %x 0 at <0> : !rt.tensor<4x4xf32> -> !rt.tensor<4xf32>
  %b = rt.select %x 0 at <1> : !rt.tensor<4x4xf32> -> !rt.tensor<4xf32, strided<[1], offset: 4>>
  rt.write %a into %b : !rt.tensor<4xf32> into !rt.tensor<4xf32, strided<[1], offset: 4>>
  rt.return
}
