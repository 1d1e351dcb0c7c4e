// RUN: rtorch-opt %s --split-input-file --rt-functionalize --verify-diagnostics | FileCheck %s

// A body reads what was written before the loop; views in it follow the new strides.
// CHECK-LABEL: @reads_what_was_written
// CHECK: %[[NEW:.*]] = rt.add
// CHECK: rt.loop
// CHECK: rt.select %[[NEW]] 0 at <i0>
func.func @reads_what_was_written(%x: !rt.tensor<4x3xf32>) -> !rt.tensor<4x3xf32> attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  %y = rt.clone %x : !rt.tensor<4x3xf32> -> !rt.tensor<4x3xf32>
  %s = rt.add %y, %y : !rt.tensor<4x3xf32>, !rt.tensor<4x3xf32> -> !rt.tensor<4x3xf32>
  rt.write %s into %y : !rt.tensor<4x3xf32> into !rt.tensor<4x3xf32>
  %all = rt.loop "i0" to #rt.expr<4> stacked [0] reversed [false] {
    %r = rt.select %y 0 at <i0> : !rt.tensor<4x3xf32> -> !rt.tensor<3xf32, strided<[1], offset: 3*i0>>
    %t = rt.tanh %r : !rt.tensor<3xf32, strided<[1], offset: 3*i0>> -> !rt.tensor<3xf32>
    rt.next %t : !rt.tensor<3xf32>
  } : () -> !rt.tensor<4x3xf32>
  rt.return %all : !rt.tensor<4x3xf32>
}

// -----

// Writes within a round are versions within it.
// CHECK-LABEL: @writes_inside
// CHECK: rt.loop
// CHECK: %[[C:.*]] = rt.clone
// CHECK: %[[D:.*]] = rt.add %[[C]], %[[C]]
// CHECK: rt.next %[[D]]
func.func @writes_inside(%h: !rt.tensor<3xf32>) -> !rt.tensor<3xf32> attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  %last = rt.loop "i0" to #rt.expr<4> carry (%h) stacked [] reversed [] {
  ^bb0(%c: !rt.tensor<3xf32>):
    %n = rt.clone %c : !rt.tensor<3xf32> -> !rt.tensor<3xf32>
    %d = rt.add %n, %n : !rt.tensor<3xf32>, !rt.tensor<3xf32> -> !rt.tensor<3xf32>
    rt.write %d into %n : !rt.tensor<3xf32> into !rt.tensor<3xf32>
    rt.next %n : !rt.tensor<3xf32>
  } : (!rt.tensor<3xf32>) -> !rt.tensor<3xf32>
  rt.return %last : !rt.tensor<3xf32>
}

// -----

func.func @writes_outside(%c: !rt.tensor<i1>, %x: !rt.tensor<3xf32>, %y: !rt.tensor<3xf32>) -> !rt.tensor<3xf32> attributes {rt.symbols = []} {
  %z = rt.if %c {
    // expected-error @+1 {{'rt.write' op cannot write from inside of a loop or branch to memory outside of it}}
    rt.write %y into %x : !rt.tensor<3xf32> into !rt.tensor<3xf32>
    rt.next %y : !rt.tensor<3xf32>
  } else {
    rt.next %x : !rt.tensor<3xf32>
  } : (!rt.tensor<i1>) -> !rt.tensor<3xf32>
  rt.return %z : !rt.tensor<3xf32>
}
