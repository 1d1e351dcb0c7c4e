// RUN: rtorch-opt %s --split-input-file --rt-simplify | FileCheck %s

// CHECK-LABEL: func.func @views_back_and_forth
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//  CHECK-NEXT: %[[Y:.+]] = rt.relu %[[X]]
func.func @views_back_and_forth(%x: !rt.tensor<[s0, 8]xf32>) -> !rt.tensor<[s0, 8]xf32>
    attributes {rt.symbols = [#rt.symbol<"s0", 1, 64, 3>]} {
  %v = rt.view %x : !rt.tensor<[s0, 8]xf32> -> !rt.tensor<[8*s0]xf32>
  %w = rt.view %v : !rt.tensor<[8*s0]xf32> -> !rt.tensor<[s0, 8]xf32>
  %t = rt.permute %w [1, 0] : !rt.tensor<[s0, 8]xf32> -> !rt.tensor<[8, s0]xf32, strided<[1, 8]>>
  %u = rt.permute %t [1, 0] : !rt.tensor<[8, s0]xf32, strided<[1, 8]>> -> !rt.tensor<[s0, 8]xf32>
  %e = rt.expand %u : !rt.tensor<[s0, 8]xf32> -> !rt.tensor<[s0, 8]xf32>
  %y = rt.relu %e : !rt.tensor<[s0, 8]xf32> -> !rt.tensor<[s0, 8]xf32>
  rt.return %y : !rt.tensor<[s0, 8]xf32>
}

// -----

// CHECK-LABEL: func.func @views_merge
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//  CHECK-NEXT: %[[V:.+]] = rt.view %[[X]] : <4x6xf32> -> <2x2x6xf32>
//  CHECK-NEXT: %[[P:.+]] = rt.permute %[[V]] [1, 2, 0]
//  CHECK-NEXT: rt.relu %[[P]]
func.func @views_merge(%x: !rt.tensor<4x6xf32>) -> !rt.tensor<2x6x2xf32> {
  %v = rt.view %x : !rt.tensor<4x6xf32> -> !rt.tensor<24xf32>
  %w = rt.view %v : !rt.tensor<24xf32> -> !rt.tensor<2x2x6xf32>
  %p = rt.permute %w [1, 0, 2] : !rt.tensor<2x2x6xf32> -> !rt.tensor<2x2x6xf32, strided<[6, 12, 1]>>
  %q = rt.permute %p [0, 2, 1] : !rt.tensor<2x2x6xf32, strided<[6, 12, 1]>> -> !rt.tensor<2x6x2xf32, strided<[6, 1, 12]>>
  %y = rt.relu %q : !rt.tensor<2x6x2xf32, strided<[6, 1, 12]>> -> !rt.tensor<2x6x2xf32>
  rt.return %y : !rt.tensor<2x6x2xf32>
}

// -----

// Nobody sees the strides that the copy makes.
// CHECK-LABEL: func.func @unobserved_clone
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//  CHECK-NEXT: rt.relu %[[X]]
func.func @unobserved_clone(%x: !rt.tensor<4x6xf32, strided<[1, 4]>>) -> !rt.tensor<4x6xf32> {
  %c = rt.clone %x : !rt.tensor<4x6xf32, strided<[1, 4]>> -> !rt.tensor<4x6xf32>
  %y = rt.relu %c : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
  rt.return %y : !rt.tensor<4x6xf32>
}

// -----

// A view of the copy that exists on the source moves there.
// CHECK-LABEL: func.func @view_of_clone_moves
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//  CHECK-NEXT: %[[P:.+]] = rt.permute %[[X]] [1, 0] : <4x6xf32, strided<[1, 4]>> -> <6x4xf32>
//  CHECK-NEXT: %[[V:.+]] = rt.view %[[P]] : <6x4xf32> -> <24xf32>
//  CHECK-NEXT: rt.relu %[[V]]
func.func @view_of_clone_moves(%x: !rt.tensor<4x6xf32, strided<[1, 4]>>) -> !rt.tensor<24xf32> {
  %c = rt.clone %x : !rt.tensor<4x6xf32, strided<[1, 4]>> -> !rt.tensor<4x6xf32, strided<[1, 4]>>
  %p = rt.permute %c [1, 0] : !rt.tensor<4x6xf32, strided<[1, 4]>> -> !rt.tensor<6x4xf32>
  %v = rt.view %p : !rt.tensor<6x4xf32> -> !rt.tensor<24xf32>
  %y = rt.relu %v : !rt.tensor<24xf32> -> !rt.tensor<24xf32>
  rt.return %y : !rt.tensor<24xf32>
}

// -----

// The view does not exist without the copy.
// CHECK-LABEL: func.func @clone_needed_by_view
//       CHECK: rt.clone
func.func @clone_needed_by_view(%x: !rt.tensor<4x6xf32, strided<[1, 4]>>) -> !rt.tensor<24xf32> {
  %c = rt.clone %x : !rt.tensor<4x6xf32, strided<[1, 4]>> -> !rt.tensor<4x6xf32>
  %v = rt.view %c : !rt.tensor<4x6xf32> -> !rt.tensor<24xf32>
  %y = rt.relu %v : !rt.tensor<24xf32> -> !rt.tensor<24xf32>
  rt.return %y : !rt.tensor<24xf32>
}

// -----

// A returned copy of an argument is not the argument.
// CHECK-LABEL: func.func @returned_clone
//       CHECK: rt.clone
func.func @returned_clone(%x: !rt.tensor<4xf32>) -> !rt.tensor<2x2xf32> {
  %c = rt.clone %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %v = rt.view %c : !rt.tensor<4xf32> -> !rt.tensor<2x2xf32>
  rt.return %v : !rt.tensor<2x2xf32>
}

// -----

// A returned copy of a tensor that nothing else uses is that tensor.
// CHECK-LABEL: func.func @returned_clone_of_new_tensor
//   CHECK-NOT: rt.clone
func.func @returned_clone_of_new_tensor(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %y = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %c = rt.clone %y : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %c : !rt.tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @neutral_operands
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//  CHECK-NEXT: %[[Y:.+]] = rt.relu %[[X]]
//  CHECK-NEXT: rt.return %[[Y]]
func.func @neutral_operands(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %one = rt.full 1.0 : f32 -> !rt.tensor<f32>
  %zero = rt.full 0.0 : f32 -> !rt.tensor<f32>
  %minus = rt.full -0.0 : f32 -> !rt.tensor<f32>
  %a = rt.mul %one, %x : !rt.tensor<f32>, !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %b = rt.sub %a, %zero : !rt.tensor<4xf32>, !rt.tensor<f32> -> !rt.tensor<4xf32>
  %c = rt.add %b, %minus : !rt.tensor<4xf32>, !rt.tensor<f32> -> !rt.tensor<4xf32>
  %d = rt.div %c, %one : !rt.tensor<4xf32>, !rt.tensor<f32> -> !rt.tensor<4xf32>
  %y = rt.relu %d : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %y : !rt.tensor<4xf32>
}

// -----

// -0.0 + 0.0 is 0.0, and 1 - x is not x.
// CHECK-LABEL: func.func @not_neutral
//       CHECK: rt.add
//       CHECK: rt.div
func.func @not_neutral(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %one = rt.full 1.0 : f32 -> !rt.tensor<f32>
  %zero = rt.full 0.0 : f32 -> !rt.tensor<f32>
  %a = rt.add %x, %zero : !rt.tensor<4xf32>, !rt.tensor<f32> -> !rt.tensor<4xf32>
  %b = rt.div %one, %a : !rt.tensor<f32>, !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %b : !rt.tensor<4xf32>
}

// -----

// Integers have one zero.
// CHECK-LABEL: func.func @integer_zero
//   CHECK-NOT: rt.add
func.func @integer_zero(%x: !rt.tensor<4xi64>) -> !rt.tensor<4xi64> {
  %zero = rt.full 0 : i64 -> !rt.tensor<i64>
  %a = rt.add %x, %zero : !rt.tensor<4xi64>, !rt.tensor<i64> -> !rt.tensor<4xi64>
  %b = rt.neg %a : !rt.tensor<4xi64> -> !rt.tensor<4xi64>
  rt.return %b : !rt.tensor<4xi64>
}

// -----

// CHECK-LABEL: func.func @exact_conversions
//  CHECK-SAME: (%[[B:.+]]: !rt.tensor<4xi1>, %[[I:.+]]: !rt.tensor<4xi32>)
//       CHECK: rt.convert %[[B]] : <4xi1> -> <4xf32>
//       CHECK: rt.neg %[[I]]
func.func @exact_conversions(%b: !rt.tensor<4xi1>, %i: !rt.tensor<4xi32>) -> (!rt.tensor<4xf32>, !rt.tensor<4xi32>) {
  %0 = rt.convert %b : !rt.tensor<4xi1> -> !rt.tensor<4xi64>
  %1 = rt.convert %0 : !rt.tensor<4xi64> -> !rt.tensor<4xf32>
  %2 = rt.convert %i : !rt.tensor<4xi32> -> !rt.tensor<4xi64>
  %3 = rt.convert %2 : !rt.tensor<4xi64> -> !rt.tensor<4xi32>
  %4 = rt.neg %3 : !rt.tensor<4xi32> -> !rt.tensor<4xi32>
  rt.return %1, %4 : !rt.tensor<4xf32>, !rt.tensor<4xi32>
}

// -----

// The first conversion rounds.
// CHECK-LABEL: func.func @inexact_conversion
//       CHECK: rt.convert {{.*}} -> <4xf32>
//       CHECK: rt.convert {{.*}} -> <4xi64>
func.func @inexact_conversion(%i: !rt.tensor<4xi64>) -> !rt.tensor<4xi64> {
  %0 = rt.convert %i : !rt.tensor<4xi64> -> !rt.tensor<4xf32>
  %1 = rt.convert %0 : !rt.tensor<4xf32> -> !rt.tensor<4xi64>
  rt.return %1 : !rt.tensor<4xi64>
}

// -----

// CHECK-LABEL: func.func @constant_condition
//  CHECK-SAME: (%[[A:.+]]: !rt.tensor<4xf32>, %[[B:.+]]: !rt.tensor<4xf32>)
//  CHECK-NEXT: rt.neg %[[B]]
func.func @constant_condition(%a: !rt.tensor<4xf32>, %b: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %no = rt.full false -> !rt.tensor<i1>
  %w = rt.where %no, %a, %b : !rt.tensor<i1>, !rt.tensor<4xf32>, !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %n = rt.neg %w : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %n : !rt.tensor<4xf32>
}

// -----

// A constant operand shrinks to rank 0, a converted constant is a constant.
// CHECK-LABEL: func.func @constant_operand
//   CHECK-DAG: %[[C:.+]] = rt.full 2.0{{.*}} : f32 -> <f32>
//       CHECK: rt.mul %{{.+}}, %[[C]]
func.func @constant_operand(%x: !rt.tensor<4x6xf32>) -> !rt.tensor<4x6xf32> {
  %two = rt.full 2 : i64 -> !rt.tensor<4x6xi64>
  %c = rt.convert %two : !rt.tensor<4x6xi64> -> !rt.tensor<4x6xf32>
  %y = rt.mul %x, %c : !rt.tensor<4x6xf32>, !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
  rt.return %y : !rt.tensor<4x6xf32>
}

// -----

// A reduction over dims of size 1 is its operand, but not where a result would share memory with it.
// CHECK-LABEL: func.func @reductions_of_nothing
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor<1x4x8xf32>)
//  CHECK-NEXT: %[[C:.+]] = rt.clone %[[X]]
//  CHECK-NEXT: %[[V:.+]] = rt.view %[[X]]
//  CHECK-NEXT: %[[Y:.+]] = rt.relu %[[V]]
//  CHECK-NEXT: rt.return %[[C]], %[[Y]]
func.func @reductions_of_nothing(%x: !rt.tensor<1x4x8xf32>) -> (!rt.tensor<1x4x8xf32>, !rt.tensor<4x8xf32>) {
  %c = rt.sum %x [0] keepdim true : !rt.tensor<1x4x8xf32> -> !rt.tensor<1x4x8xf32>
  %m = rt.amax %x [0] keepdim true : !rt.tensor<1x4x8xf32> -> !rt.tensor<1x4x8xf32>
  %v = rt.view %m : !rt.tensor<1x4x8xf32> -> !rt.tensor<4x8xf32>
  %y = rt.relu %v : !rt.tensor<4x8xf32> -> !rt.tensor<4x8xf32>
  rt.return %c, %y : !rt.tensor<1x4x8xf32>, !rt.tensor<4x8xf32>
}
