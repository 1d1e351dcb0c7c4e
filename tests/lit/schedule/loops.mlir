// RUN: rtorch-opt %s --split-input-file --rt-lower-loops | FileCheck %s
// RUN: rtorch-opt %s --split-input-file --rt-lower-loops --rt-prepare-results --rt-form-kernels --rt-plan-memory | FileCheck %s --check-prefix=PLAN

// A carried value has two places that rounds take turns with; what is stacked is
// written where it belongs. One kernel computes both.
// CHECK-LABEL: @carry_and_stack
// CHECK: %[[PAIR:.*]] = rt.buffer : <2x2x5xf32, strided<[16, 5, 1]>>
// CHECK: %[[FIRST:.*]] = rt.select %[[PAIR]] 0 at <0>
// CHECK: rt.write %arg0 into %[[FIRST]]
// CHECK: %[[STACK:.*]] = rt.buffer : <[s0, 2, 5]xf32>
// CHECK: rt.loop "i0" to <s0> stacked
// CHECK: rt.select %[[PAIR]] 0 at <mod(i0, 2)>
// CHECK: %[[NEXT:.*]] = rt.tanh
// CHECK: rt.select %[[PAIR]] 0 at <mod(i0 + 1, 2)>
// CHECK: rt.write %[[NEXT]] into
// CHECK: rt.select %[[STACK]] 0 at <-i0 + s0 - 1>
// CHECK: rt.write %[[NEXT]] into
// CHECK: rt.select %[[PAIR]] 0 at <mod(s0, 2)>
// CHECK: rt.return %{{.*}}, %[[STACK]]
// PLAN-LABEL: @carry_and_stack
// PLAN-SAME: rt.arena = #rt.expr<128>
// PLAN: rt.buffer slot <0>
// PLAN: rt.launch @{{.*}} into
// PLAN: rt.buffer : <[s0, 2, 5]xf32>
// PLAN: rt.loop "i0" to <s0>
// PLAN-COUNT-1: rt.launch
// PLAN: rt.next
// PLAN: rt.launch
// PLAN: rt.return
func.func @carry_and_stack(%h: !rt.tensor<2x5xf32>) -> (!rt.tensor<2x5xf32>, !rt.tensor<[s0, 2, 5]xf32>) attributes {rt.symbols = [#rt.symbol<"s0", 0, 64, 3>, #rt.symbol<"i0", 0, 63, 0>]} {
  %last, %all = rt.loop "i0" to #rt.expr<s0> carry (%h) stacked [0] reversed [true] {
  ^bb0(%c: !rt.tensor<2x5xf32>):
    %n = rt.tanh %c : !rt.tensor<2x5xf32> -> !rt.tensor<2x5xf32>
    rt.next %n, %n : !rt.tensor<2x5xf32>, !rt.tensor<2x5xf32>
  } : (!rt.tensor<2x5xf32>) -> (!rt.tensor<2x5xf32>, !rt.tensor<[s0, 2, 5]xf32>)
  rt.return %last, %all : !rt.tensor<2x5xf32>, !rt.tensor<[s0, 2, 5]xf32>
}

// -----

// Views of a carried value are views of the place that it has in this round.
// CHECK-LABEL: @view_of_carried
// CHECK: rt.loop
// CHECK: %[[HERE:.*]] = rt.select %{{.*}} 0 at <mod(i0, 2)>
// CHECK: rt.permute %[[HERE]] [1, 0] : <3x3xf32, strided<[3, 1], offset: 16*mod(i0, 2)>> -> <3x3xf32, strided<[1, 3], offset: 16*mod(i0, 2)>>
func.func @view_of_carried(%h: !rt.tensor<3x3xf32>) -> !rt.tensor<3x3xf32> attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  %last = rt.loop "i0" to #rt.expr<4> carry (%h) stacked [] reversed [] {
  ^bb0(%c: !rt.tensor<3x3xf32>):
    %t = rt.permute %c [1, 0] : !rt.tensor<3x3xf32> -> !rt.tensor<3x3xf32, strided<[1, 3]>>
    %n = rt.tanh %t : !rt.tensor<3x3xf32, strided<[1, 3]>> -> !rt.tensor<3x3xf32, strided<[1, 3]>>
    rt.next %n : !rt.tensor<3x3xf32, strided<[1, 3]>>
  } : (!rt.tensor<3x3xf32>) -> !rt.tensor<3x3xf32>
  rt.return %last : !rt.tensor<3x3xf32>
}

// -----

// A conditional loop reads its condition where the round before has put it, and its
// count of rounds is known behind it.
// CHECK-LABEL: @conditional
// CHECK: %[[FLAG:.*]] = rt.select %{{.*}} 0 at <mod(i0, 2)> : <2xi1, strided<[64]>>
// CHECK: rt.loop "i0" to <100> while %[[FLAG]]
// CHECK: rt.return
// PLAN-LABEL: @conditional
func.func @conditional(%x: !rt.tensor<4xf32>, %go: !rt.tensor<i1>) -> !rt.tensor<4xf32> attributes {rt.symbols = [#rt.symbol<"i0", 0, 99, 0>]} {
  %f, %last = rt.loop "i0" to #rt.expr<100> conditional carry (%go, %x) stacked [] reversed [] {
  ^bb0(%c: !rt.tensor<i1>, %v: !rt.tensor<4xf32>):
    %n = rt.tanh %v : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
    %no = rt.logical_not %c : !rt.tensor<i1> -> !rt.tensor<i1>
    rt.next %no, %n : !rt.tensor<i1>, !rt.tensor<4xf32>
  } : (!rt.tensor<i1>, !rt.tensor<4xf32>) -> (!rt.tensor<i1>, !rt.tensor<4xf32>)
  rt.return %last : !rt.tensor<4xf32>
}

// -----

// What is in use around a loop keeps its place during all rounds: the temporaries of
// the body get others.
// PLAN-LABEL: @lifetimes
// PLAN-SAME: rt.arena = #rt.expr<{{.*}}>
// PLAN: rt.launch @{{.*}} slots [#rt.expr<0>]
// PLAN: rt.buffer : <3x64xf32>
// PLAN: rt.loop
// PLAN: rt.launch @{{.*}} slots [#rt.expr<256>]
// PLAN: rt.next
// CHECK-LABEL: @lifetimes
func.func @lifetimes(%x: !rt.tensor<64xf32>, %w: !rt.tensor<64x64xf32>) -> !rt.tensor<3x64xf32> attributes {rt.symbols = [#rt.symbol<"i0", 0, 2, 0>]} {
  %a = rt.tanh %x : !rt.tensor<64xf32> -> !rt.tensor<64xf32>
  %all = rt.loop "i0" to #rt.expr<3> stacked [0] reversed [false] {
    %t = rt.linear %a, %w : (!rt.tensor<64xf32>, !rt.tensor<64x64xf32>) -> !rt.tensor<64xf32>
    %u = rt.linear %t, %w : (!rt.tensor<64xf32>, !rt.tensor<64x64xf32>) -> !rt.tensor<64xf32>
    rt.next %u : !rt.tensor<64xf32>
  } : () -> !rt.tensor<3x64xf32>
  rt.return %all : !rt.tensor<3x64xf32>
}

// -----

// Both branches write the result's memory.
// CHECK-LABEL: @branch
// CHECK: %[[R:.*]] = rt.buffer : <4xf32>
// CHECK: rt.if %arg0 {
// CHECK: rt.write %{{.*}} into %[[R]]
// CHECK: } else {
// CHECK: rt.write %arg1 into %[[R]]
// CHECK: rt.return %[[R]]
// PLAN-LABEL: @branch
func.func @branch(%c: !rt.tensor<i1>, %x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> attributes {rt.symbols = []} {
  %y = rt.if %c {
    %t = rt.tanh %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
    rt.next %t : !rt.tensor<4xf32>
  } else {
    rt.next %x : !rt.tensor<4xf32>
  } : (!rt.tensor<i1>) -> !rt.tensor<4xf32>
  rt.return %y : !rt.tensor<4xf32>
}
