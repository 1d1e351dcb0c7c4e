// RUN: rtorch-opt %s --split-input-file --verify-diagnostics

func.func @parameter_c1_negative_storage() {
  // expected-error @+1 {{'rt.parameter' op expects a storage number of 0 or more, but got -1}}
  %w = rt.parameter "w" storage -1 : !rt.tensor<4xf32>
  rt.return
}

// -----

func.func @write_c1_other_sizes(%a: !rt.tensor<4xf32>, %b: !rt.tensor<5xf32>) {
  // expected-error @+1 {{'rt.write' op expects 'value' with the sizes of 'target', [5], but got [4]}}
  rt.write %a into %b : !rt.tensor<4xf32> into !rt.tensor<5xf32>
  rt.return
}

// -----

func.func @write_c2_other_dtype(%a: !rt.tensor<4xf32>, %b: !rt.tensor<4xf64>) {
  // expected-error @+1 {{'rt.write' op expects 'value' with the dtype of 'target', 'f64', but got 'f32'}}
  rt.write %a into %b : !rt.tensor<4xf32> into !rt.tensor<4xf64>
  rt.return
}

// -----

func.func @return_c1_other_type(%a: !rt.tensor<4xf32>) -> !rt.tensor<4xf64> {
  // expected-error @+1 {{'rt.return' op expects operands of types ('!rt.tensor<4xf64>'), but got ('!rt.tensor<4xf32>')}}
  rt.return %a : !rt.tensor<4xf32>
}

// -----

func.func @full_c1_integer_in_float() {
  // expected-error @+1 {{'rt.full' op expects a value of dtype 'f32', but got 1 : i64}}
  %f = rt.full 1 : i64 -> !rt.tensor<f32>
  rt.return
}

// -----

func.func @iota_c1_rank_2() {
  // expected-error @+1 {{'rt.iota' op expects a result of rank 1, but got rank 2}}
  %i = rt.iota from #rt.expr<0> step #rt.expr<1> -> !rt.tensor<2x2xi64>
  rt.return
}

// -----

func.func @iota_c2_float_step_of_integers() {
  // expected-error @+1 {{'rt.iota' op expects start and step of dtype 'i64', but got 1.000000e+00 : f32}}
  %i = rt.iota from #rt.expr<0> step 1.0 : f32 -> !rt.tensor<4xi64>
  rt.return
}

// -----

func.func @clone_c1_other_sizes(%a: !rt.tensor<4x6xf32>) {
  // expected-error @+1 {{'rt.clone' op expects a result of sizes [4, 6], but got [24]}}
  %c = rt.clone %a : !rt.tensor<4x6xf32> -> !rt.tensor<24xf32>
  rt.return
}

// -----

func.func @clone_c2_other_dtype(%a: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.clone' op expects a result of dtype 'f32', but got 'f64'}}
  %c = rt.clone %a : !rt.tensor<4xf32> -> !rt.tensor<4xf64>
  rt.return
}

// -----

// expected-error @+1 {{'rt.kernel' op expects a body that ends with 'rt.yield'}}
rt.kernel @kernel_c1_no_yield symbols [] {
^bb0(%x: !rt.tensor<4xf32>):
  %y = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
}

// -----

// expected-error @+1 {{'rt.kernel' op expects tensor arguments without offset, but got '!rt.tensor<4xf32, strided<[1], offset: 2>>'}}
rt.kernel @kernel_c2_offset_of_argument symbols [] {
^bb0(%x: !rt.tensor<4xf32, strided<[1], offset: 2>>):
  %y = rt.relu %x : !rt.tensor<4xf32, strided<[1], offset: 2>> -> !rt.tensor<4xf32>
  rt.yield %y : !rt.tensor<4xf32>
}

// -----

rt.kernel @yield_c1_nothing symbols [] {
^bb0(%x: !rt.tensor<4xf32>):
  // expected-error @+1 {{'rt.yield' op expects at least one tensor}}
  "rt.yield"() : () -> ()
}

// -----

func.func @launch_c1_no_such_kernel(%x: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.launch' op expects a kernel named 'nothing'}}
  %y = rt.launch @nothing(%x) values [] : (!rt.tensor<4xf32>) -> !rt.tensor<4xf32>
  rt.return
}

// -----

rt.kernel @relu symbols [] {
^bb0(%x: !rt.tensor<4xf32>):
  %y = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.yield %y : !rt.tensor<4xf32>
}

func.func @launch_c2_operand_too_many(%x: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.launch' op expects operands and results in number and dtype as those of 'relu'}}
  %y = rt.launch @relu(%x, %x) values [] : (!rt.tensor<4xf32>, !rt.tensor<4xf32>) -> !rt.tensor<4xf32>
  rt.return
}

// -----

rt.kernel @relu symbols [] {
^bb0(%x: !rt.tensor<4xf32>):
  %y = rt.relu %x : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
  rt.yield %y : !rt.tensor<4xf32>
}

func.func @launch_c3_value_too_many(%x: !rt.tensor<4xf32>) {
  // expected-error @+1 {{'rt.launch' op expects 0 values, but got 1}}
  %y = rt.launch @relu(%x) values [#rt.expr<4>] : (!rt.tensor<4xf32>) -> !rt.tensor<4xf32>
  rt.return
}
