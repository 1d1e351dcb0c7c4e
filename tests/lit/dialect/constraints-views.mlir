// RUN: rtorch-opt %s --split-input-file --verify-diagnostics

func.func @view_c1_transposed_source(%a: !rt.tensor<4x8xf32>) {
  // expected-note @+1 {{strides [1, 8] come from here; insert 'rt.clone' before the view}}
  %t = rt.permute %a [1, 0] : !rt.tensor<4x8xf32> -> !rt.tensor<8x4xf32, strided<[1, 8]>>
  // expected-error @+1 {{'rt.view' op cannot view '!rt.tensor<8x4xf32, strided<[1, 8]>>' as '!rt.tensor<32xf32>' without a copy}}
  %v = rt.view %t : !rt.tensor<8x4xf32, strided<[1, 8]>> -> !rt.tensor<32xf32>
  rt.return
}

// -----

func.func @view_c2_fewer_elements(%a: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.view' op expects a result of 32 elements, but got 30}}
  %v = rt.view %a : !rt.tensor<4x8xf32> -> !rt.tensor<30xf32>
  rt.return
}

// -----

func.func @permute_c1_strides_not_permuted(%a: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.permute' op expects result strides [1, 8] and offset 0, but got [4, 1] and 0}}
  %t = rt.permute %a [1, 0] : !rt.tensor<4x8xf32> -> !rt.tensor<8x4xf32>
  rt.return
}

// -----

func.func @permute_c2_dim_twice(%a: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.permute' op expects a permutation of 2 dims, but got [0, 0]}}
  %t = rt.permute %a [0, 0] : !rt.tensor<4x8xf32> -> !rt.tensor<4x4xf32>
  rt.return
}

// -----

func.func @expand_c1_stride_of_new_dim(%a: !rt.tensor<1x6xf32>) {
  // expected-error @+1 {{'rt.expand' op expects result strides [0, 1] and offset 0, but got [6, 1] and 0}}
  %e = rt.expand %a : !rt.tensor<1x6xf32> -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @expand_c2_other_size(%a: !rt.tensor<2x6xf32>) {
  // expected-error @+1 {{'rt.expand' op cannot expand sizes [2, 6] to [4, 6]}}
  %e = rt.expand %a : !rt.tensor<2x6xf32> -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @unsqueeze_c1_size_of_new_dim(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.unsqueeze' op expects result sizes [4, 1, 6], but got [4, 2, 6]}}
  %u = rt.unsqueeze %a 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x2x6xf32>
  rt.return
}

// -----

func.func @unsqueeze_c2_dim_beyond_rank(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.unsqueeze' op expects a dim up to rank 2, but got 3}}
  %u = rt.unsqueeze %a 3 : !rt.tensor<4x6xf32> -> !rt.tensor<4x6x1xf32>
  rt.return
}

// -----

func.func @squeeze_c1_dim_kept(%a: !rt.tensor<1x6xf32>) {
  // expected-error @+1 {{'rt.squeeze' op expects result sizes [6], but got [1, 6]}}
  %s = rt.squeeze %a [0] : !rt.tensor<1x6xf32> -> !rt.tensor<1x6xf32>
  rt.return
}

// -----

func.func @squeeze_c2_dims_not_ascending(%a: !rt.tensor<1x1xf32>) {
  // expected-error @+1 {{'rt.squeeze' op expects ascending dims below rank 2, but got [1, 0]}}
  %s = rt.squeeze %a [1, 0] : !rt.tensor<1x1xf32> -> !rt.tensor<f32>
  rt.return
}

// -----

func.func @select_c1_offset_missing(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.select' op expects result strides [1] and offset 12, but got [1] and 0}}
  %s = rt.select %a 0 at <2> : !rt.tensor<4x6xf32> -> !rt.tensor<6xf32>
  rt.return
}

// -----

func.func @select_c2_dim_beyond_rank(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.select' op expects a dim below rank 2, but got 2}}
  %s = rt.select %a 2 at <0> : !rt.tensor<4x6xf32> -> !rt.tensor<6xf32>
  rt.return
}

// -----

func.func @slice_c1_strides_dense(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.slice' op expects result strides [6, 1] and offset 0, but got [3, 1] and 0}}
  %s = rt.slice %a 1 from <0> to <3> step 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x3xf32>
  rt.return
}

// -----

func.func @slice_c2_dim_beyond_rank(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.slice' op expects a dim below rank 2, but got 5}}
  %s = rt.slice %a 5 from <0> to <3> step 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x3xf32>
  rt.return
}

// -----

func.func @slice_c3_step_of_zero(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.slice' op expects a positive step, but got 0}}
  %s = rt.slice %a 1 from <0> to <3> step 0 : !rt.tensor<4x6xf32> -> !rt.tensor<4x3xf32>
  rt.return
}

// -----

func.func @diagonal_c1_stride_of_one(%a: !rt.tensor<4x4xf32>) {
  // expected-error @+1 {{'rt.diagonal' op expects result strides [5] and offset 0, but got [1] and 0}}
  %d = rt.diagonal %a 0, 0, 1 : !rt.tensor<4x4xf32> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @diagonal_c2_one_dim_twice(%a: !rt.tensor<4x4xf32>) {
  // expected-error @+1 {{'rt.diagonal' op expects two different dims below rank 2, but got 1 and 1}}
  %d = rt.diagonal %a 0, 1, 1 : !rt.tensor<4x4xf32> -> !rt.tensor<4xf32, strided<[5]>>
  rt.return
}

// -----

func.func @unfold_c1_window_count(%a: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.unfold' op expects result sizes [2, 2], but got [3, 2]}}
  %u = rt.unfold %a 0 size 2 step 2 : !rt.tensor<4xf32> -> !rt.tensor<3x2xf32>
  rt.return
}

// -----

func.func @unfold_c2_dim_beyond_rank(%a: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.unfold' op expects a dim below rank 1, but got 1}}
  %u = rt.unfold %a 1 size 2 step 2 : !rt.tensor<4xf32> -> !rt.tensor<2x2xf32>
  rt.return
}

// -----

func.func @unfold_c3_step_of_zero(%a: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.unfold' op expects a size of 0 or more and a positive step and dilation, but got 2, 0 and 1}}
  %u = rt.unfold %a 0 size 2 step 0 : !rt.tensor<4xf32> -> !rt.tensor<2x2xf32>
  rt.return
}

// -----

func.func @as_strided_c1_negative_stride(%a: !rt.tensor<4x4xf32>) {
  // expected-error @+1 {{'rt.as_strided' op expects strides of 0 or more, but got [-1]}}
  %s = rt.as_strided %a : !rt.tensor<4x4xf32> -> !rt.tensor<4xf32, strided<[-1], offset: 3>>
  rt.return
}
