// RUN: rtorch-opt %s --split-input-file --verify-diagnostics --rt-verify-layouts=form=value | FileCheck %s

// CHECK-LABEL: func.func @write_at_the_end
func.func @write_at_the_end(%x: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  %y = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.write %y into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.return %x : !rt.tensor<4xf32>
}

// -----

// Strides are physical: they need not be eager's.
// CHECK-LABEL: func.func @other_strides
func.func @other_strides(%x: !rt.tensor<4x8xf32, strided<[1, 4]>>) {
  %y = rt.relu %x : !rt.tensor<4x8xf32, strided<[1, 4]>> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @read_after_write(%x: !rt.tensor<4xf32>, %y: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  // expected-note @+1 {{the write is here}}
  rt.write %y into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  // expected-error @+1 {{'rt.relu' op reads a storage after a write to it}}
  %z = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %z : !rt.tensor<4xf32>
}

// -----

func.func @read_of_a_shared_storage() -> !rt.tensor<4xf32> {
  %a = rt.parameter "a" storage 0 : !rt.tensor<4xf32>
  %b = rt.parameter "b" storage 0 : !rt.tensor<4xf32>
  %y = rt.relu %a : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  // expected-note @+1 {{the write is here}}
  rt.write %y into %a : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  // expected-error @+1 {{'rt.relu' op reads a storage after a write to it}}
  %z = rt.relu %b : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %z : !rt.tensor<4xf32>
}

// -----

func.func @computed_after_write(%x: !rt.tensor<4xf32>, %y: !rt.tensor<4xf32>) -> !rt.tensor<4xf32> {
  // expected-note @+1 {{the first write is here}}
  rt.write %y into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  // expected-error @+1 {{'rt.relu' op stands after a write; writes are the last ops of the value form}}
  %z = rt.relu %y : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return %z : !rt.tensor<4xf32>
}

// -----

func.func @write_into_temporary(%y: !rt.tensor<4xf32>) {
  // expected-note @+1 {{the target's storage comes from here}}
  %x = rt.relu %y : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  // expected-error @+1 {{'rt.write' op expects an argument, a parameter or a view of one as 'target' in the value form}}
  rt.write %y into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @written_twice(%x: !rt.tensor<4xf32>, %y: !rt.tensor<4xf32>, %z: !rt.tensor<4xf32>) {
  // expected-note @+1 {{the earlier write is here}}
  rt.write %y into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  // expected-error @+1 {{'rt.write' op writes elements that an earlier write may have written}}
  rt.write %z into %x : !rt.tensor<4xf32> into !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @view_of_itself(%x: !rt.tensor<4x4xf32>) {
  // expected-note @+1 {{strides [1, 4] come from here; clone the value before writing it}}
  %t = rt.permute %x [1, 0] : !rt.tensor<4x4xf32> -> !rt.tensor<4x4xf32, strided<[1, 4]>>
  // expected-error @+1 {{'rt.write' op writes '!rt.tensor<4x4xf32, strided<[1, 4]>>' into '!rt.tensor<4x4xf32>', which overlaps it in the same storage}}
  rt.write %t into %x : !rt.tensor<4x4xf32, strided<[1, 4]>> into !rt.tensor<4x4xf32>
  rt.return
}
