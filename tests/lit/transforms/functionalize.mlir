// RUN: rtorch-opt %s --split-input-file --verify-diagnostics --rt-functionalize --rt-verify-layouts=form=value --canonicalize | FileCheck %s

// A program without writes stays as it is.
// CHECK-LABEL: func.func @no_writes
//  CHECK-NEXT: %[[Y:.+]] = rt.relu
//  CHECK-NEXT: rt.return %[[Y]]
func.func @no_writes(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %y = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %y : !rt.tensor<4xf32>
}

// -----

// Later reads see the new value, earlier ones the old; the write moves to the end. The
// argument that is returned is returned as it is.
// CHECK-LABEL: func.func @argument_written
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//  CHECK-NEXT: %[[OLD:.+]] = rt.neg %[[X]]
//  CHECK-NEXT: %[[NEW:.+]] = rt.relu %[[X]]
//  CHECK-NEXT: %[[SUM:.+]] = rt.add %[[OLD]], %[[NEW]]
//  CHECK-NEXT: rt.write %[[NEW]] into %[[X]]
//  CHECK-NEXT: rt.return %[[SUM]], %[[X]]
func.func @argument_written(%x: !rt.tensor<4xf32>) -> (!rt.tensor<4xf32>, !rt.tensor<4xf32>) {
  %old = rt.neg %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %r = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.write %r into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  %sum = rt.add %old, %x : !rt.tensor<4xf32>, !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %sum, %x : !rt.tensor<4xf32>, !rt.tensor<4xf32>
}

// -----

// A write through a view changes its part; another view made before sees it.
// CHECK-LABEL: func.func @row_written
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor<4x8xf32>, %[[V:.+]]: !rt.tensor<8xf32>)
//       CHECK: %[[NEW:.+]] = rt.scatter_view %[[X]], %[[V]] at !rt.tensor<8xf32, strided<[1], offset: 16>>
//       CHECK: %[[T:.+]] = rt.permute %[[NEW]] [1, 0]
//       CHECK: %[[R:.+]] = rt.relu %[[T]]
//       CHECK: rt.write %[[NEW]] into %[[X]]
//       CHECK: rt.return %[[R]]
func.func @row_written(%x: !rt.tensor<4x8xf32>, %v: !rt.tensor<8xf32>) -> !rt.tensor<8x4xf32, strided<[1, 8]>> {
  %t = rt.permute %x [1, 0] : !rt.tensor<4x8xf32> -> !rt.tensor<8x4xf32, strided<[1, 8]>>
  %row = rt.select %x 0 at <2> : !rt.tensor<4x8xf32> -> !rt.tensor<8xf32, strided<[1], offset: 16>>
  rt.write %v into %row : !rt.tensor<8xf32> into !rt.tensor<8xf32, strided<[1], offset: 16>>
  %r = rt.relu %t : !rt.tensor<8x4xf32, strided<[1, 8]>> -> !rt.tensor<8x4xf32, strided<[1, 8]>>
  rt.return %r : !rt.tensor<8x4xf32, strided<[1, 8]>>
}

// -----

// The region counts in a row-major tensor of the root's sizes, whatever its strides.
// CHECK-LABEL: func.func @column_of_transposed
//       CHECK: rt.scatter_view %{{.+}}, %{{.+}} at !rt.tensor<4xf32, strided<[8], offset: 2>>
//  CHECK-SAME: -> <4x8xf32, strided<[1, 4]>>
func.func @column_of_transposed(%x: !rt.tensor<4x8xf32, strided<[1, 4]>>, %v: !rt.tensor<4xf32>) {
  %c = rt.select %x 1 at <2> : !rt.tensor<4x8xf32, strided<[1, 4]>> -> !rt.tensor<4xf32, strided<[1], offset: 8>>
  rt.write %v into %c : !rt.tensor<4xf32> into !rt.tensor<4xf32, strided<[1], offset: 8>>
  rt.return
}

// -----

// A write to all of a transposed view needs no scatter.
// CHECK-LABEL: func.func @all_through_a_transpose
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor<4x8xf32>, %[[V:.+]]: !rt.tensor<8x4xf32>)
//   CHECK-NOT: rt.scatter_view
//       CHECK: %[[P:.+]] = rt.permute %[[V]] [1, 0]
//       CHECK: rt.write %[[P]] into %[[X]]
func.func @all_through_a_transpose(%x: !rt.tensor<4x8xf32>, %v: !rt.tensor<8x4xf32>) {
  %t = rt.permute %x [1, 0] : !rt.tensor<4x8xf32> -> !rt.tensor<8x4xf32, strided<[1, 8]>>
  rt.write %v into %t : !rt.tensor<8x4xf32> into !rt.tensor<8x4xf32, strided<[1, 8]>>
  rt.return
}

// -----

// Writes to a temporary vanish; two results that alias it still alias each other.
// CHECK-LABEL: func.func @temporary
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor<4x8xf32>
//   CHECK-NOT: rt.write
//       CHECK: %[[A:.+]] = rt.relu %[[X]]
//       CHECK: %[[N:.+]] = rt.neg %[[A]]
//       CHECK: %[[T:.+]] = rt.permute %[[N]] [1, 0]
//       CHECK: rt.return %[[N]], %[[T]]
func.func @temporary(%x: !rt.tensor<4x8xf32>) -> (!rt.tensor<4x8xf32>, !rt.tensor<8x4xf32, strided<[1, 8]>>) {
  %a = rt.relu %x : !rt.tensor<4x8xf32> -> !rt.tensor<4x8xf32>
  %t = rt.permute %a [1, 0] : !rt.tensor<4x8xf32> -> !rt.tensor<8x4xf32, strided<[1, 8]>>
  %n = rt.neg %a : !rt.tensor<4x8xf32> -> !rt.tensor<4x8xf32>
  rt.write %n into %a : !rt.tensor<4x8xf32> into !rt.tensor<4x8xf32>
  rt.return %a, %t : !rt.tensor<4x8xf32>, !rt.tensor<8x4xf32, strided<[1, 8]>>
}

// -----

// A copy into a temporary that is returned stays a copy: the result is no argument.
// CHECK-LABEL: func.func @returned_copy
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//       CHECK: %[[C:.+]] = rt.clone %[[X]]
//       CHECK: rt.return %[[C]]
func.func @returned_copy(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %a = rt.full 0.0 : f32 -> !rt.tensor<4xf32>
  rt.write %x into %a : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.return %a : !rt.tensor<4xf32>
}

// -----

// Two temporaries that got the same value are two results.
// CHECK-LABEL: func.func @two_copies_of_one_value
//       CHECK: %[[R:.+]] = rt.relu
//       CHECK: %[[C:.+]] = rt.clone %[[R]]
//       CHECK: rt.return %[[R]], %[[C]]
func.func @two_copies_of_one_value(%x: !rt.tensor<4xf32>) -> (!rt.tensor<4xf32>, !rt.tensor<4xf32>) {
  %r = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  %a = rt.full 0.0 : f32 -> !rt.tensor<4xf32>
  rt.write %r into %a : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.return %r, %a : !rt.tensor<4xf32>, !rt.tensor<4xf32>
}

// -----

// Swapping two arguments: what is written back is read before either is written.
// CHECK-LABEL: func.func @swap
//  CHECK-SAME: (%[[A:.+]]: !rt.tensor<4xf32>, %[[B:.+]]: !rt.tensor<4xf32>)
//   CHECK-DAG: %[[OLD_A:.+]] = rt.clone %[[A]]
//   CHECK-DAG: %[[OLD_B:.+]] = rt.clone %[[B]]
//   CHECK-DAG: rt.write %[[OLD_B]] into %[[A]]
//   CHECK-DAG: rt.write %[[OLD_A]] into %[[B]]
func.func @swap(%a: !rt.tensor<4xf32>, %b: !rt.tensor<4xf32>) {
  %t = rt.clone %a : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.write %b into %a : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.write %t into %b : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.return
}

// -----

// Parameters of one storage alias each other, also with different layouts.
// CHECK-LABEL: func.func @tied_parameters
//       CHECK: %[[W:.+]] = rt.parameter "w" storage 3 mutated
//       CHECK: %[[B:.+]] = rt.parameter "w.row" storage 3 mutated
//       CHECK: %[[FLAT:.+]] = rt.as_strided %[[W]] : <4x8xf32> -> <32xf32>
//       CHECK: %[[V:.+]] = rt.neg %[[B]]
//       CHECK: %[[NEW:.+]] = rt.scatter_view %[[FLAT]], %[[V]] at !rt.tensor<8xf32, strided<[1], offset: 8>>
//       CHECK: %[[SEEN:.+]] = rt.as_strided %[[NEW]] : <32xf32> -> <4x8xf32>
//       CHECK: rt.relu %[[SEEN]]
//       CHECK: rt.write %[[NEW]] into %[[FLAT]]
func.func @tied_parameters() -> !rt.tensor<4x8xf32> {
  %w = rt.parameter "w" storage 3 : !rt.tensor<4x8xf32>
  %b = rt.parameter "w.row" storage 3 : !rt.tensor<8xf32, strided<[1], offset: 8>>
  %v = rt.neg %b : !rt.tensor<8xf32, strided<[1], offset: 8>> -> !rt.tensor<8xf32>
  rt.write %v into %b : !rt.tensor<8xf32> into !rt.tensor<8xf32, strided<[1], offset: 8>>
  %y = rt.relu %w : !rt.tensor<4x8xf32> -> !rt.tensor<4x8xf32>
  rt.return %y : !rt.tensor<4x8xf32>
}

// -----

// Two parameters that are the same tensor need no flat view.
// CHECK-LABEL: func.func @same_parameter_twice
//       CHECK: %[[A:.+]] = rt.parameter "a" storage 0 mutated
//       CHECK: %[[V:.+]] = rt.neg %[[A]]
//       CHECK: %[[Y:.+]] = rt.relu %[[V]]
//       CHECK: rt.write %[[V]] into %[[A]]
//       CHECK: rt.return %[[Y]]
func.func @same_parameter_twice() -> !rt.tensor<4xf32> {
  %a = rt.parameter "a" storage 0 : !rt.tensor<4xf32>
  %b = rt.parameter "b" storage 0 : !rt.tensor<4xf32>
  %v = rt.neg %a : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.write %v into %a : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  %y = rt.relu %b : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %y : !rt.tensor<4xf32>
}

// -----

// A result that is a view of a written argument is the view of the argument.
// CHECK-LABEL: func.func @view_of_written_argument
//  CHECK-SAME: (%[[X:.+]]: !rt.tensor
//   CHECK-DAG: %[[V:.+]] = rt.view %[[X]]
//   CHECK-DAG: %[[N:.+]] = rt.neg %[[X]]
//       CHECK: rt.write %[[N]] into %[[X]]
//       CHECK: rt.return %[[V]]
func.func @view_of_written_argument(%x: !rt.tensor<4x8xf32>) -> !rt.tensor<32xf32> {
  %v = rt.view %x : !rt.tensor<4x8xf32> -> !rt.tensor<32xf32>
  %n = rt.neg %x : !rt.tensor<4x8xf32> -> !rt.tensor<4x8xf32>
  rt.write %n into %x : !rt.tensor<4x8xf32> into !rt.tensor<4x8xf32>
  rt.return %v : !rt.tensor<32xf32>
}

// -----

// A tensor written to itself changes nothing.
// CHECK-LABEL: func.func @written_to_itself
//  CHECK-NEXT: rt.return
func.func @written_to_itself(%x: !rt.tensor<4xf32>) {
  rt.write %x into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.return
}

// -----

// expected-error @+1 {{views reach element 19 of a storage that is written, but its tensor '!rt.tensor<4xf32>' ends after 4}}
func.func @beyond_the_argument(%x: !rt.tensor<4xf32>, %v: !rt.tensor<10xf32>) {
  // expected-note @+1 {{viewed here}}
  %s = rt.as_strided %x : !rt.tensor<4xf32> -> !rt.tensor<10xf32, strided<[2], offset: 1>>
  rt.write %v into %s : !rt.tensor<10xf32> into !rt.tensor<10xf32, strided<[2], offset: 1>>
  rt.return
}
