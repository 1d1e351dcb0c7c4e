// RUN: rtorch-opt %s --split-input-file --verify-diagnostics

func.func @loop_c1_argument_of_other_sizes(%h: !rt.tensor<2xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.loop' op expects a block argument of type '!rt.tensor<2xf32>' for carried value 0, but got '!rt.tensor<3xf32>'}}
  %l = rt.loop "i0" to #rt.expr<4> carry (%h) stacked [] reversed [] {
  ^bb0(%c: !rt.tensor<3xf32>):
    rt.next %c : !rt.tensor<3xf32>
  } : (!rt.tensor<2xf32>) -> !rt.tensor<2xf32>
  rt.return
}

// -----

func.func @loop_c2_gives_too_few(%h: !rt.tensor<2xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.loop' op expects a body that ends with 'rt.next' of 1 values}}
  %l = rt.loop "i0" to #rt.expr<4> carry (%h) stacked [] reversed [] {
  ^bb0(%c: !rt.tensor<2xf32>):
    rt.next
  } : (!rt.tensor<2xf32>) -> !rt.tensor<2xf32>
  rt.return
}

// -----

func.func @loop_c3_gives_other_dtype(%h: !rt.tensor<2xf32>, %d: !rt.tensor<2xf64>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.loop' op expects carried value 0 with the sizes and dtype of '!rt.tensor<2xf32>', but got '!rt.tensor<2xf64>'}}
  %l = rt.loop "i0" to #rt.expr<4> carry (%h) stacked [] reversed [] {
  ^bb0(%c: !rt.tensor<2xf32>):
    rt.next %d : !rt.tensor<2xf64>
  } : (!rt.tensor<2xf32>) -> !rt.tensor<2xf32>
  rt.return
}

// -----

func.func @loop_c4_stack_of_other_length(%h: !rt.tensor<2xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.loop' op expects a stacked result of sizes [4, 2] and dtype 'f32', but got '!rt.tensor<5x2xf32>'}}
  %l = rt.loop "i0" to #rt.expr<4> stacked [0] reversed [false] {
    rt.next %h : !rt.tensor<2xf32>
  } : () -> !rt.tensor<5x2xf32>
  rt.return
}

// -----

func.func @loop_c4_too_few_entries(%h: !rt.tensor<2xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.loop' op expects as many entries in 'stacked' and 'reversed' as results behind the carried ones, 1, but got 1 and 0}}
  %l = rt.loop "i0" to #rt.expr<4> stacked [0] reversed [] {
    rt.next %h : !rt.tensor<2xf32>
  } : () -> !rt.tensor<4x2xf32>
  rt.return
}

// -----

func.func @loop_c5_undeclared_symbol(%h: !rt.tensor<2xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.loop' op expects the symbol 'i1' among those that the function declares}}
  %l = rt.loop "i1" to #rt.expr<4> stacked [0] reversed [false] {
    rt.next %h : !rt.tensor<2xf32>
  } : () -> !rt.tensor<4x2xf32>
  rt.return
}

// -----

func.func @loop_c6_no_condition(%h: !rt.tensor<2xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.loop' op expects a bool of rank 0 as its first carried value, and nothing stacked, where it is conditional}}
  %l = rt.loop "i0" to #rt.expr<4> conditional carry (%h) stacked [] reversed [] {
  ^bb0(%c: !rt.tensor<2xf32>):
    rt.next %c : !rt.tensor<2xf32>
  } : (!rt.tensor<2xf32>) -> !rt.tensor<2xf32>
  rt.return
}

// -----

func.func @if_c1_condition_of_rank_1(%c: !rt.tensor<1xi1>, %a: !rt.tensor<2xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.if' op expects a condition of rank 0, but got '!rt.tensor<1xi1>'}}
  %y = rt.if %c {
    rt.next %a : !rt.tensor<2xf32>
  } else {
    rt.next %a : !rt.tensor<2xf32>
  } : (!rt.tensor<1xi1>) -> !rt.tensor<2xf32>
  rt.return
}

// -----

func.func @if_c2_branches_differ(%c: !rt.tensor<i1>, %a: !rt.tensor<2xf32>, %b: !rt.tensor<3xf32>) attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.if' op expects branches that end with 'rt.next' of values with the sizes and dtypes of the results}}
  %y = rt.if %c {
    rt.next %a : !rt.tensor<2xf32>
  } else {
    rt.next %b : !rt.tensor<3xf32>
  } : (!rt.tensor<i1>) -> !rt.tensor<2xf32>
  rt.return
}

// -----

func.func @next_c1_in_a_function(%a: !rt.tensor<2xf32>) {
  // expected-error @+1 {{'rt.next' op expects parent op to be one of 'rt.loop, rt.if'}}
  rt.next %a : !rt.tensor<2xf32>
}

// -----

func.func @buffer_c1_offset() attributes {rt.symbols = [#rt.symbol<"i0", 0, 3, 0>]} {
  // expected-error @+1 {{'rt.buffer' op expects a tensor without offset, but got '!rt.tensor<2xf32, strided<[1], offset: 4>>'}}
  %b = rt.buffer : !rt.tensor<2xf32, strided<[1], offset: 4>>
  rt.return
}
