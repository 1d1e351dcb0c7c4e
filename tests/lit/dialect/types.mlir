// RUN: rtorch-opt %s --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @row_major_layout_is_left_out
//  CHECK-SAME: !rt.tensor<4x8xf32>, %{{.*}}: !rt.tensor<[s0, 8]xbf16>, %{{.*}}: !rt.tensor<f64>
func.func @row_major_layout_is_left_out(
    %a: !rt.tensor<4x8xf32, strided<[8, 1], offset: 0>>,
    %b: !rt.tensor<[s0, 8]xbf16, strided<[8, 1]>>, %c: !rt.tensor<f64, strided<[]>>) {
  rt.return
}

// -----

// CHECK-LABEL: func.func @expressions_are_canonical
//  CHECK-SAME: !rt.tensor<[2*s0 + 1, floordiv(s1, 2)]xi64, strided<[s1, 1], offset: 3>>
func.func @expressions_are_canonical(
    %a: !rt.tensor<[s0 + 1 + s0, floordiv(s1, 2)]xi64, strided<[s1, 2 - 1], offset: 3>>) {
  rt.return
}

// -----

// expected-error @+1 {{expects as many strides as sizes, but got 1 strides for 2 sizes}}
func.func @strides_missing(%a: !rt.tensor<4x8xf32, strided<[1]>>) {
  rt.return
}

// -----

// expected-error @+1 {{expects sizes of 0 or more, but got -4}}
func.func @negative_size(%a: !rt.tensor<[-4, s0]xf32>) {
  rt.return
}

// -----

// A size that begins with a negated function.
func.func @negated_min(%a: !rt.tensor<[-min(s0, 4) + max(s0, 4)]xf32>)
    attributes {rt.symbols = [#rt.symbol<"s0", 3, 64, 0>]} {
  rt.return
}
