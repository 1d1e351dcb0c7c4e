// RUN: rtorch-opt %s --split-input-file --verify-diagnostics

func.func @pointwise_c1_sizes_do_not_broadcast(%a: !rt.tensor<4xf32>, %b: !rt.tensor<5xf32>) {
  // expected-error @+1 {{'rt.add' op cannot broadcast operands of sizes [4], [5]}}
  %y = rt.add %a, %b : !rt.tensor<4xf32>, !rt.tensor<5xf32> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @pointwise_c1_result_sizes(%a: !rt.tensor<4xf32>, %b: !rt.tensor<3x1xf32>) {
  // expected-error @+1 {{'rt.lt' op expects result sizes [3, 4], but got [4]}}
  %y = rt.lt %a, %b : !rt.tensor<4xf32>, !rt.tensor<3x1xf32> -> !rt.tensor<4xi1>
  rt.return
}

// -----

func.func @pointwise_c2_operand_dtypes(%a: !rt.tensor<4xf32>, %b: !rt.tensor<4xf64>) {
  // expected-error @+1 {{'rt.add' op expects operands of one dtype, but got 'f32' and 'f64'}}
  %y = rt.add %a, %b : !rt.tensor<4xf32>, !rt.tensor<4xf64> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @pointwise_c2_result_dtype_of_where(%c: !rt.tensor<4xi1>, %a: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.where' op expects a result of dtype 'f32', but got 'f64'}}
  %y = rt.where %c, %a, %a : !rt.tensor<4xi1>, !rt.tensor<4xf32>, !rt.tensor<4xf32> -> !rt.tensor<4xf64>
  rt.return
}

// -----

func.func @pointwise_c2_convert_to_same_dtype(%a: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.convert' op expects a result of another dtype than 'f32'}}
  %y = rt.convert %a : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @reduction_c1_dim_beyond_rank(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.sum' op expects ascending dims below rank 2, but got [2]}}
  %y = rt.sum %a [2] keepdim false : !rt.tensor<4x6xf32> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @reduction_c2_keepdim(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.amax' op expects result sizes [4, 1], but got [4]}}
  %y = rt.amax %a [1] keepdim true : !rt.tensor<4x6xf32> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @reduction_c3_dtype(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.sum' op expects a result of dtype 'f32', but got 'f64'}}
  %y = rt.sum %a [1] keepdim false : !rt.tensor<4x6xf32> -> !rt.tensor<4xf64>
  rt.return
}

// -----

func.func @softmax_c1_sizes(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.softmax' op expects a result of sizes [4, 6] and dtype 'f32', but got [4, 5] and 'f32'}}
  %y = rt.softmax %a 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x5xf32>
  rt.return
}

// -----

func.func @softmax_c2_dim_beyond_rank(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.softmax' op expects a dim below rank 2, but got 2}}
  %y = rt.softmax %a 2 : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @log_softmax_c1_dtype(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.log_softmax' op expects a result of sizes [4, 6] and dtype 'f32', but got [4, 6] and 'f64'}}
  %y = rt.log_softmax %a 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf64>
  rt.return
}

// -----

func.func @log_softmax_c2_negative_dim(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.log_softmax' op expects a dim below rank 2, but got -1}}
  %y = rt.log_softmax %a -1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @layer_norm_c1_sizes(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.layer_norm' op expects a result of sizes [4, 6] and dtype 'f32', but got [6, 4] and 'f32'}}
  %y = rt.layer_norm %a dims 1 eps 1.0e-5 : (!rt.tensor<4x6xf32>) -> !rt.tensor<6x4xf32>
  rt.return
}

// -----

func.func @layer_norm_c2_no_dims(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.layer_norm' op expects between 1 and 2 normalized dims, but got 0}}
  %y = rt.layer_norm %a dims 0 eps 1.0e-5 : (!rt.tensor<4x6xf32>) -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @layer_norm_c3_weight_sizes(%a: !rt.tensor<4x6xf32>, %w: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.layer_norm' op expects weight and bias of sizes [6] and dtype 'f32', but got '!rt.tensor<4xf32>'}}
  %y = rt.layer_norm %a dims 1 eps 1.0e-5 weight %w : (!rt.tensor<4x6xf32>, !rt.tensor<4xf32>) -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @linear_c1_weight_of_rank_3(%x: !rt.tensor<4x6xf32>, %w: !rt.tensor<1x8x6xf32>) {
  // expected-error @+1 {{'rt.linear' op expects 'x' of rank 1 or more, 'weight' of rank 2 and 'bias' of rank 1, but got '!rt.tensor<4x6xf32>' and '!rt.tensor<1x8x6xf32>'}}
  %y = rt.linear %x, %w : (!rt.tensor<4x6xf32>, !rt.tensor<1x8x6xf32>) -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @linear_c2_weight_not_transposed(%x: !rt.tensor<4x6xf32>, %w: !rt.tensor<6x8xf32>) {
  // expected-error @+1 {{'rt.linear' op expects equal last sizes of 'x' and 'weight', but got [4, 6] and [6, 8]}}
  %y = rt.linear %x, %w : (!rt.tensor<4x6xf32>, !rt.tensor<6x8xf32>) -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @linear_c3_bias_size(%x: !rt.tensor<4x6xf32>, %w: !rt.tensor<8x6xf32>, %b: !rt.tensor<6xf32>) {
  // expected-error @+1 {{'rt.linear' op expects 'bias' of size 8, but got [6]}}
  %y = rt.linear %x, %w, %b : (!rt.tensor<4x6xf32>, !rt.tensor<8x6xf32>, !rt.tensor<6xf32>) -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @linear_c4_dtypes(%x: !rt.tensor<4x6xf32>, %w: !rt.tensor<8x6xf64>) {
  // expected-error @+1 {{'rt.linear' op expects dtype 'f32' everywhere, but got 'f64'}}
  %y = rt.linear %x, %w : (!rt.tensor<4x6xf32>, !rt.tensor<8x6xf64>) -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @matmul_c1_vector(%a: !rt.tensor<4x6xf32>, %b: !rt.tensor<6xf32>) {
  // expected-error @+1 {{'rt.matmul' op expects operands of rank 2 or more, but got '!rt.tensor<4x6xf32>' and '!rt.tensor<6xf32>'}}
  %y = rt.matmul %a, %b : !rt.tensor<4x6xf32>, !rt.tensor<6xf32> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @matmul_c2_inner_sizes(%a: !rt.tensor<4x6xf32>, %b: !rt.tensor<5x8xf32>) {
  // expected-error @+1 {{'rt.matmul' op expects the last size of 'lhs' to be the last but one of 'rhs', but got [4, 6] and [5, 8]}}
  %y = rt.matmul %a, %b : !rt.tensor<4x6xf32>, !rt.tensor<5x8xf32> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @matmul_c3_result_sizes(%a: !rt.tensor<2x4x6xf32>, %b: !rt.tensor<6x8xf32>) {
  // expected-error @+1 {{'rt.matmul' op expects result sizes [2, 4, 8], but got [4, 8]}}
  %y = rt.matmul %a, %b : !rt.tensor<2x4x6xf32>, !rt.tensor<6x8xf32> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @matmul_c4_dtypes(%a: !rt.tensor<4x6xf32>, %b: !rt.tensor<6x8xf64>) {
  // expected-error @+1 {{'rt.matmul' op expects dtype 'f32' everywhere, but got 'f64'}}
  %y = rt.matmul %a, %b : !rt.tensor<4x6xf32>, !rt.tensor<6x8xf64> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @attention_c1_ranks(%q: !rt.tensor<2x5x64xf32>, %k: !rt.tensor<5x64xf32>) {
  // expected-error @+1 {{'rt.attention' op expects 'query', 'key' and 'value' of one rank of 2 or more, but got '!rt.tensor<2x5x64xf32>', '!rt.tensor<5x64xf32>' and '!rt.tensor<5x64xf32>'}}
  %y = rt.attention %q, %k, %k scale 0.125 causal false grouped false
     : (!rt.tensor<2x5x64xf32>, !rt.tensor<5x64xf32>, !rt.tensor<5x64xf32>) -> !rt.tensor<2x5x64xf32>
  rt.return
}

// -----

func.func @attention_c2_head_sizes(%q: !rt.tensor<5x64xf32>, %k: !rt.tensor<5x32xf32>) {
  // expected-error @+1 {{'rt.attention' op expects equal head sizes of 'query' and 'key' and equal lengths of 'key' and 'value', but got [5, 64], [5, 32] and [5, 32]}}
  %y = rt.attention %q, %k, %k scale 0.125 causal false grouped false
     : (!rt.tensor<5x64xf32>, !rt.tensor<5x32xf32>, !rt.tensor<5x32xf32>) -> !rt.tensor<5x32xf32>
  rt.return
}

// -----

func.func @attention_c3_result_sizes(%q: !rt.tensor<5x64xf32>, %v: !rt.tensor<5x32xf32>) {
  // expected-error @+1 {{'rt.attention' op expects result sizes [5, 32], but got [5, 64]}}
  %y = rt.attention %q, %q, %v scale 0.125 causal false grouped false
     : (!rt.tensor<5x64xf32>, !rt.tensor<5x64xf32>, !rt.tensor<5x32xf32>) -> !rt.tensor<5x64xf32>
  rt.return
}

// -----

func.func @attention_c4_dtypes(%q: !rt.tensor<5x64xf32>, %v: !rt.tensor<5x64xf64>) {
  // expected-error @+1 {{'rt.attention' op expects dtype 'f32' everywhere, but got 'f64'}}
  %y = rt.attention %q, %q, %v scale 0.125 causal false grouped false
     : (!rt.tensor<5x64xf32>, !rt.tensor<5x64xf32>, !rt.tensor<5x64xf64>) -> !rt.tensor<5x64xf32>
  rt.return
}

// -----

func.func @attention_c5_mask_sizes(%q: !rt.tensor<5x64xf32>, %m: !rt.tensor<3x5xi1>) {
  // expected-error @+1 {{'rt.attention' op expects 'mask' to broadcast to [5, 5], but got [3, 5]}}
  %y = rt.attention %q, %q, %q mask %m scale 0.125 causal false grouped false
     : (!rt.tensor<5x64xf32>, !rt.tensor<5x64xf32>, !rt.tensor<5x64xf32>, !rt.tensor<3x5xi1>) -> !rt.tensor<5x64xf32>
  rt.return
}

// -----

func.func @pack_c1_rank_3(%w: !rt.tensor<1x40x6xf32>) {
  // expected-error @+1 {{'rt.pack' op expects 'source' of rank 2, but got '!rt.tensor<1x40x6xf32>'}}
  %p = rt.pack %w transposed true panel 32 k_multiple 4 : !rt.tensor<1x40x6xf32> -> !rt.tensor<2x8x32xf32>
  rt.return
}

// -----

func.func @pack_c2_result_sizes(%w: !rt.tensor<40x6xf32>) {
  // expected-error @+1 {{'rt.pack' op expects result sizes [2, 8, 32], but got [2, 6, 32]}}
  %p = rt.pack %w transposed true panel 32 k_multiple 4 : !rt.tensor<40x6xf32> -> !rt.tensor<2x6x32xf32>
  rt.return
}

// -----

func.func @packed_linear_c1_rank_of_packed(%x: !rt.tensor<4x6xf32>, %p: !rt.tensor<8x32xf32>) {
  // expected-error @+1 {{'rt.packed_linear' op expects 'x' of rank 1 or more, 'packed' of rank 3 and 'bias' of rank 1, but got '!rt.tensor<4x6xf32>' and '!rt.tensor<8x32xf32>'}}
  %y = rt.packed_linear %x, %p columns 40 : (!rt.tensor<4x6xf32>, !rt.tensor<8x32xf32>) -> !rt.tensor<4x40xf32>
  rt.return
}

// -----

func.func @packed_linear_c2_columns(%x: !rt.tensor<4x6xf32>, %p: !rt.tensor<2x8x32xf32>) {
  // expected-error @+1 {{'rt.packed_linear' op expects result sizes [4, 40], but got [4, 64]}}
  %y = rt.packed_linear %x, %p columns 40 : (!rt.tensor<4x6xf32>, !rt.tensor<2x8x32xf32>) -> !rt.tensor<4x64xf32>
  rt.return
}

// -----

func.func @packed_linear_c3_dtypes(%x: !rt.tensor<4x6xf32>, %p: !rt.tensor<2x8x32xf64>) {
  // expected-error @+1 {{'rt.packed_linear' op expects dtype 'f32' everywhere, but got 'f64'}}
  %y = rt.packed_linear %x, %p columns 40 : (!rt.tensor<4x6xf32>, !rt.tensor<2x8x32xf64>) -> !rt.tensor<4x40xf32>
  rt.return
}

// -----

func.func @index_c1_dim_beyond_rank(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>) {
  // expected-error @+1 {{'rt.index' op expects a different dim below rank 2 for each of 1 indices, but got [2]}}
  %y = rt.index %t [%i] dims [2] at 0 : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>) -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @index_c2_sizes_that_do_not_broadcast(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %j: !rt.tensor<3xi64>) {
  // expected-error @+1 {{'rt.index' op expects indices whose sizes broadcast}}
  %y = rt.index %t [%i, %j] dims [0, 1] at 0 : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<3xi64>) -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @index_c3_position(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>) {
  // expected-error @+1 {{'rt.index' op expects a position of at most 1, but got 2}}
  %y = rt.index %t [%i] dims [0] at 2 : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>) -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @index_c4_result_sizes(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>) {
  // expected-error @+1 {{'rt.index' op expects result sizes [4, 8], but got [8, 4]}}
  %y = rt.index %t [%i] dims [0] at 0 : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>) -> !rt.tensor<8x4xf32>
  rt.return
}

// -----

func.func @index_c5_dtype(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>) {
  // expected-error @+1 {{'rt.index' op expects a result of dtype 'f32', but got 'f64'}}
  %y = rt.index %t [%i] dims [0] at 0 : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>) -> !rt.tensor<4x8xf64>
  rt.return
}

// -----

func.func @scatter_c1_dim_beyond_rank(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %u: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.scatter' op expects a different dim below rank 2 for each of 1 indices, but got [2]}}
  %y = rt.scatter %t [%i] dims [2] at 0 combine "set" updates %u : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<4x8xf32>) -> !rt.tensor<9x8xf32>
  rt.return
}

// -----

func.func @scatter_c2_sizes_that_do_not_broadcast(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %j: !rt.tensor<3xi64>, %u: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.scatter' op expects indices whose sizes broadcast}}
  %y = rt.scatter %t [%i, %j] dims [0, 1] at 0 combine "set" updates %u : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<3xi64>, !rt.tensor<4xf32>) -> !rt.tensor<9x8xf32>
  rt.return
}

// -----

func.func @scatter_c3_position(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %u: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.scatter' op expects a position of at most 1, but got 2}}
  %y = rt.scatter %t [%i] dims [0] at 2 combine "set" updates %u : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<4x8xf32>) -> !rt.tensor<9x8xf32>
  rt.return
}

// -----

func.func @scatter_c4_update_sizes(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %u: !rt.tensor<3x8xf32>) {
  // expected-error @+1 {{'rt.scatter' op expects updates of sizes [4, 8], but got [3, 8]}}
  %y = rt.scatter %t [%i] dims [0] at 0 combine "set" updates %u : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<3x8xf32>) -> !rt.tensor<9x8xf32>
  rt.return
}

// -----

func.func @scatter_c5_dtype(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %u: !rt.tensor<4x8xf64>) {
  // expected-error @+1 {{'rt.scatter' op expects dtype 'f32' everywhere, but got 'f64' and 'f32'}}
  %y = rt.scatter %t [%i] dims [0] at 0 combine "set" updates %u : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<4x8xf64>) -> !rt.tensor<9x8xf32>
  rt.return
}

// -----

func.func @scatter_c6_result_sizes(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %u: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.scatter' op expects a result of sizes [9, 8], but got [8, 9]}}
  %y = rt.scatter %t [%i] dims [0] at 0 combine "set" updates %u : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<4x8xf32>) -> !rt.tensor<8x9xf32>
  rt.return
}

// -----

func.func @scatter_c7_combine(%t: !rt.tensor<9x8xf32>, %i: !rt.tensor<4xi64>, %u: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.scatter' op expects one of 'set', 'add', 'mul', 'amax', 'amin', but got 'sub'}}
  %y = rt.scatter %t [%i] dims [0] at 0 combine "sub" updates %u : (!rt.tensor<9x8xf32>, !rt.tensor<4xi64>, !rt.tensor<4x8xf32>) -> !rt.tensor<9x8xf32>
  rt.return
}

// -----

func.func @pad_c1_count(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.pad' op expects 2 expressions for 'low', but got 1}}
  %y = rt.pad %x value 0.0 : f32 low [#rt.expr<1>] : !rt.tensor<4x6xf32> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @pad_c2_rank(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.pad' op expects a result of rank 2 and dtype 'f32'}}
  %y = rt.pad %x value 0.0 : f32 low [#rt.expr<0>, #rt.expr<1>] : !rt.tensor<4x6xf32> -> !rt.tensor<32xf32>
  rt.return
}

// -----

func.func @pad_c3_value(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.pad' op expects a value of dtype 'f32', but got 1 : i64}}
  %y = rt.pad %x value 1 : i64 low [#rt.expr<0>, #rt.expr<1>] : !rt.tensor<4x6xf32> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @scan_c1_result_sizes(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.scan' op expects a result of sizes [4, 6] and dtype 'f32'}}
  %y = rt.scan %x 1 combine "add" : !rt.tensor<4x6xf32> -> !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @scan_c2_dim_beyond_rank(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.scan' op expects a dim below rank 2, but got 2}}
  %y = rt.scan %x 2 combine "add" : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @scan_c3_combine(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.scan' op expects one of 'add', 'mul', 'max', 'min', 'logaddexp', but got 'sub'}}
  %y = rt.scan %x 1 combine "sub" : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
  rt.return
}

// -----

func.func @sort_c1_result_sizes(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.sort' op expects results of sizes [4, 6], or fewer along dim 1, and values of dtype 'f32'}}
  %v, %i = rt.sort %x 1 descending false : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>, !rt.tensor<4xi64>
  rt.return
}

// -----

func.func @sort_c1_more_than_there_are(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.sort' op expects results of sizes [4, 6], or fewer along dim 1, and values of dtype 'f32'}}
  %v, %i = rt.sort %x 1 descending false : !rt.tensor<4x6xf32> -> !rt.tensor<4x7xf32>, !rt.tensor<4x7xi64>
  rt.return
}

// -----

func.func @sort_c2_dim_beyond_rank(%x: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.sort' op expects a dim below rank 2, but got 3}}
  %v, %i = rt.sort %x 3 descending false : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>, !rt.tensor<4x6xi64>
  rt.return
}

// -----

func.func @convolution_c1_rank(%x: !rt.tensor<1x3x8x8xf32>, %w: !rt.tensor<6x3x3xf32>) {
  // expected-error @+1 {{'rt.convolution' op expects 'x' and 'weight' of equal ranks of 3 to 5 and 'bias' of rank 1}}
  %y = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1 : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<6x3x3xf32>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @convolution_c2_stride(%x: !rt.tensor<1x3x8x8xf32>, %w: !rt.tensor<6x3x3x3xf32>) {
  // expected-error @+1 {{'rt.convolution' op expects a positive stride and dilation and a padding of 0 or more for each of 2 dims, but got stride [0, 1]}}
  %y = rt.convolution %x, %w stride [0, 1] padding [1, 1] dilation [1, 1] groups 1 : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<6x3x3x3xf32>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @convolution_c3_groups(%x: !rt.tensor<1x3x8x8xf32>, %w: !rt.tensor<6x2x3x3xf32>) {
  // expected-error @+1 {{'rt.convolution' op expects a weight for 1 groups of 3 channels, but got [6, 2, 3, 3]}}
  %y = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1 : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<6x2x3x3xf32>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @convolution_c4_result_sizes(%x: !rt.tensor<1x3x8x8xf32>, %w: !rt.tensor<6x3x3x3xf32>) {
  // expected-error @+1 {{'rt.convolution' op expects result sizes [1, 6, 8, 8], but got [1, 6, 6, 6]}}
  %y = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1 : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<6x3x3x3xf32>) -> !rt.tensor<1x6x6x6xf32>
  rt.return
}

// -----

func.func @convolution_c5_dtype(%x: !rt.tensor<1x3x8x8xf32>, %w: !rt.tensor<6x3x3x3xf64>) {
  // expected-error @+1 {{'rt.convolution' op expects dtype 'f32' everywhere, but got 'f64'}}
  %y = rt.convolution %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups 1 : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<6x3x3x3xf64>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @packed_convolution_c1_rank(%x: !rt.tensor<1x3x8x8xf32>, %p: !rt.tensor<1x1x3x3x8xf32>) {
  // expected-error @+1 {{'rt.packed_convolution' op expects 'x' of rank 3 to 5, 'packed' of a rank larger by 2 and 'bias' of rank 1}}
  %y = rt.packed_convolution %x, %p channels 6 stride [1, 1] padding [1, 1] dilation [1, 1] : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<1x1x3x3x8xf32>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @packed_convolution_c2_padding(%x: !rt.tensor<1x3x8x8xf32>, %p: !rt.tensor<1x1x3x3x3x8xf32>) {
  // expected-error @+1 {{'rt.packed_convolution' op expects a positive stride and dilation and a padding of 0 or more for each of 2 dims, but got stride [1, 1], padding [1], dilation [1, 1]}}
  %y = rt.packed_convolution %x, %p channels 6 stride [1, 1] padding [1] dilation [1, 1] : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<1x1x3x3x3x8xf32>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @packed_convolution_c3_panels(%x: !rt.tensor<1x3x8x8xf32>, %p: !rt.tensor<1x2x3x3x3x8xf32>) {
  // expected-error @+1 {{'rt.packed_convolution' op expects panels of 6 channels of a result of 3 channels, but got [1, 2, 3, 3, 3, 8]}}
  %y = rt.packed_convolution %x, %p channels 6 stride [1, 1] padding [1, 1] dilation [1, 1] : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<1x2x3x3x3x8xf32>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @packed_convolution_c4_result_sizes(%x: !rt.tensor<1x3x8x8xf32>, %p: !rt.tensor<1x1x3x3x3x8xf32>) {
  // expected-error @+1 {{'rt.packed_convolution' op expects result sizes [1, 6, 8, 8], but got [1, 6, 6, 6]}}
  %y = rt.packed_convolution %x, %p channels 6 stride [1, 1] padding [1, 1] dilation [1, 1] : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<1x1x3x3x3x8xf32>) -> !rt.tensor<1x6x6x6xf32>
  rt.return
}

// -----

func.func @packed_convolution_c5_dtype(%x: !rt.tensor<1x3x8x8xf32>, %p: !rt.tensor<1x1x3x3x3x8xf64>) {
  // expected-error @+1 {{'rt.packed_convolution' op expects dtype 'f32' everywhere, but got 'f64'}}
  %y = rt.packed_convolution %x, %p channels 6 stride [1, 1] padding [1, 1] dilation [1, 1] : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<1x1x3x3x3x8xf64>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @packed_convolution_c6_windows(%x: !rt.tensor<1x3x8x8xf32>, %p: !rt.tensor<1x1x3x3x3x8xf32>) {
  // expected-error @+1 {{'rt.packed_convolution' op expects windows of 4 x 4 in 'packed', strides and dilations of 1 with 'winograd', but got [1, 1, 3, 3, 3, 8], stride [1, 1], dilation [1, 1]}}
  %y = rt.packed_convolution %x, %p channels 6 stride [1, 1] padding [1, 1] dilation [1, 1] winograd : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<1x1x3x3x3x8xf32>) -> !rt.tensor<1x6x8x8xf32>
  rt.return
}

// -----

func.func @cat_c1_dim_beyond_rank(%a: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.cat' op expects an input and a dim below rank 2, but got 1 inputs and dim 2}}
  %y = rt.cat %a dim 2 : (!rt.tensor<4x8xf32>) -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @cat_c2_sum_of_sizes(%a: !rt.tensor<4x8xf32>) {
  // expected-error @+1 {{'rt.cat' op expects a result of size 8 in dim 0, but got 6}}
  %y = rt.cat %a, %a dim 0 : (!rt.tensor<4x8xf32>, !rt.tensor<4x8xf32>) -> !rt.tensor<6x8xf32>
  rt.return
}

// -----

func.func @scatter_view_c1_result_sizes(%x: !rt.tensor<4x8xf32>, %v: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.scatter_view' op expects a result of sizes [4, 8], but got [8, 4]}}
  %y = rt.scatter_view %x, %v at !rt.tensor<4xf32, strided<[8]>> : !rt.tensor<4x8xf32>, !rt.tensor<4xf32> -> !rt.tensor<8x4xf32>
  rt.return
}

// -----

func.func @scatter_view_c2_value_dtype(%x: !rt.tensor<4x8xf32>, %v: !rt.tensor<4xf64>) {
  // expected-error @+1 {{'rt.scatter_view' op expects dtype 'f32' everywhere, but got 'f64' and 'f32'}}
  %y = rt.scatter_view %x, %v at !rt.tensor<4xf32, strided<[8]>> : !rt.tensor<4x8xf32>, !rt.tensor<4xf64> -> !rt.tensor<4x8xf32>
  rt.return
}

// -----

func.func @scatter_view_c3_region_sizes(%x: !rt.tensor<4x8xf32>, %v: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.scatter_view' op expects a region of sizes [4], but got [5]}}
  %y = rt.scatter_view %x, %v at !rt.tensor<5xf32, strided<[8]>> : !rt.tensor<4x8xf32>, !rt.tensor<4xf32> -> !rt.tensor<4x8xf32>
  rt.return
}
