#include "compiler/codegen/lowering/ObjectCode.h"
#include "tests/unit/codegen/JitHarness.h"

#include "mlir/Parser/Parser.h"
#include "runtime/format/KernelAbi.h"

#include <catch2/catch.hpp>

#include <numeric>
#include <thread>
#include <vector>

using namespace rtorch;
using Catch::Matchers::Contains;

namespace {

/// y[i] = x[i] * 3 + 1 for tiles of eight elements, with the kernel signature.
constexpr const char *axpyText = R"mlir(
func.func @axpy(%frame: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr) -> i32 {
  %buffers = llvm.load %frame : !llvm.ptr -> !llvm.ptr
  %x = llvm.load %buffers : !llvm.ptr -> !llvm.ptr
  %slot = llvm.getelementptr %buffers[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %y = llvm.load %slot : !llvm.ptr -> !llvm.ptr
  %one = arith.constant 1 : i64
  %eight = arith.constant 8 : i64
  %factor = arith.constant dense<3.0> : vector<8xf32>
  %add = arith.constant dense<1.0> : vector<8xf32>
  scf.for %tile = %begin to %end step %one : i64 {
    %i = arith.muli %tile, %eight : i64
    %px = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %py = llvm.getelementptr %y[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %v = llvm.load %px {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
    %r = vector.fma %v, %factor, %add : vector<8xf32>
    llvm.store %r, %py {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
  }
  %zero = arith.constant 0 : i32
  return %zero : i32
}
)mlir";

/// Fills n floats with a constant, one by one: LLVM likes to make it a memset.
constexpr const char *fillText = R"mlir(
func.func @fill(%p: !llvm.ptr, %n: i64) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %value = arith.constant 0.0 : f32
  scf.for %i = %zero to %n step %one : i64 {
    %q = llvm.getelementptr %p[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    llvm.store %value, %q : f32, !llvm.ptr
  }
  return
}
func.func @copy(%p: !llvm.ptr, %r: !llvm.ptr, %n: i64) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  scf.for %i = %zero to %n step %one : i64 {
    %q = llvm.getelementptr %p[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %s = llvm.getelementptr %r[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %v = llvm.load %s : !llvm.ptr -> f32
    llvm.store %v, %q : f32, !llvm.ptr
  }
  return
}
)mlir";

llvm::Expected<codegen::ObjectCode> compileText(llvm::StringRef text,
                                                llvm::StringRef cpu,
                                                llvm::StringRef triple,
                                                codegen::EmitOptions options = {}) {
  auto context = test::createKernelContext();
  auto module = test::parseKernels(*context, text);
  auto target = codegen::resolveTarget(cpu, triple);
  if (!target)
    return target.takeError();
  auto compiler = codegen::ObjectCompiler::create(*target);
  if (!compiler)
    return compiler.takeError();
  options.verify = true;
  return compiler->compile(*module, options);
}

std::string errorOf(llvm::StringRef text, llvm::StringRef cpu = "x86-64-v3",
                    llvm::StringRef triple = "x86_64-linux-gnu") {
  auto code = compileText(text, cpu, triple);
  return code ? "" : llvm::toString(code.takeError());
}

} // namespace

TEST_CASE("a kernel runs in process") {
  test::JitModule jit = test::jitCompileText(axpyText);
  std::vector<float> x(32), y(32, -1);
  std::iota(x.begin(), x.end(), 0.0f);
  void *buffers[] = {x.data(), y.data()};
  rtorch_frame frame{buffers, nullptr};
  auto *kernel =
      jit.get<int32_t(const rtorch_frame *, int64_t, int64_t, void *)>("axpy");
  REQUIRE(kernel);
  CHECK(kernel(&frame, 1, 3, nullptr) == 0);
  for (int i = 0; i < 32; ++i)
    CHECK(y[i] == (i >= 8 && i < 24 ? 3.0f * i + 1 : -1.0f));
  CHECK(jit.get<void()>("absent") == nullptr);
}

TEST_CASE("every target compiles, with its own instructions") {
  struct Case {
    const char *cpu, *triple, *instruction;
  };
  for (Case c : {Case{"x86-64-v3", "x86_64-linux-gnu", "vfmadd"},
                 {"x86-64-v4", "x86_64-linux-gnu", "vfmadd"},
                 {"x86-64-v2", "x86_64-linux-gnu", "mulps"},
                 {"generic", "aarch64-linux-gnu", "fmla"}}) {
    INFO(c.cpu);
    auto code = compileText(axpyText, c.cpu, c.triple,
                            {.llvmText = true, .assemblyText = true});
    if (!code)
      FAIL(llvm::toString(code.takeError()));
    CHECK_THAT(code->assemblyText, Contains(c.instruction));
    CHECK_THAT(code->llvmText, Contains("no-builtins"));
    CHECK(code->object.starts_with("\x7f"
                                   "ELF"));
    CHECK(code->times.total() > 0);
  }
}

TEST_CASE("no feature outside the target's list is used") {
  // znver4 has AVX512-BF16, which no target lists: the object must not need it.
  auto code = compileText(axpyText, "znver4", "x86_64-linux-gnu", {.llvmText = true});
  REQUIRE(bool(code));
  CHECK_THAT(code->llvmText, Contains("\"target-cpu\"=\"x86-64\"") &&
                                 Contains("\"tune-cpu\"=\"znver4\"") &&
                                 Contains("\"prefer-vector-width\"=\"512\"") &&
                                 !Contains("bf16"));
}

TEST_CASE("loops do not become library calls") {
  for (const char *cpu : {"x86-64-v3", "x86-64-v4"}) {
    auto code = compileText(fillText, cpu, "x86_64-linux-gnu", {.assemblyText = true});
    if (!code)
      FAIL(llvm::toString(code.takeError()));
    CHECK_THAT(code->assemblyText, !Contains("memset") && !Contains("memcpy"));
  }
}

TEST_CASE("an import is an error that names the symbol") {
  CHECK_THAT(errorOf(R"mlir(
    func.func private @helper(f32) -> f32
    func.func @f(%x: f32) -> f32 {
      %0 = func.call @helper(%x) : (f32) -> f32
      return %0 : f32
    })mlir"),
             Contains("kernels must import nothing") && Contains("helper"));
}

TEST_CASE("an op that cannot be lowered is named") {
  CHECK_THAT(errorOf(R"mlir(
    func.func @f(%x: f32, %a: i1) -> f32 {
      cf.assert %a, "no"
      return %x : f32
    })mlir"),
             Contains("lowering to LLVM failed") && Contains("cf.assert"));
}

TEST_CASE("private functions become internal") {
  auto code = compileText(R"mlir(
    func.func private @twice(%x: f32) -> f32 attributes {passthrough = ["noinline"]} {
      %0 = arith.addf %x, %x : f32
      return %0 : f32
    }
    func.func @f(%x: f32) -> f32 {
      %0 = func.call @twice(%x) : (f32) -> f32
      return %0 : f32
    })mlir",
                          "x86-64-v3", "x86_64-linux-gnu", {.llvmText = true});
  REQUIRE(bool(code));
  CHECK_THAT(code->llvmText, Contains("define internal float @twice"));
}

TEST_CASE("the vector ops that kernels use lower") {
  auto code = compileText(R"mlir(
    func.func @f(%p: !llvm.ptr, %n: i64, %q: !llvm.ptr) -> f32 {
      %zero = arith.constant dense<0.0> : vector<8xf32>
      %lane = arith.constant dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi64>
      %count = vector.broadcast %n : i64 to vector<8xi64>
      %mask = arith.cmpi slt, %lane, %count : vector<8xi64>
      %a = llvm.intr.masked.load %p, %mask, %zero {alignment = 4 : i32}
        : (!llvm.ptr, vector<8xi1>, vector<8xf32>) -> vector<8xf32>
      %offsets = llvm.getelementptr %p[%lane] : (!llvm.ptr, vector<8xi64>) -> vector<8x!llvm.ptr>, f32
      %b = llvm.intr.masked.gather %offsets, %mask, %zero {alignment = 4 : i32}
        : (vector<8x!llvm.ptr>, vector<8xi1>, vector<8xf32>) -> vector<8xf32>
      %s = vector.shuffle %a, %b [0, 8, 1, 9, 2, 10, 3, 11] : vector<8xf32>, vector<8xf32>
      %e = vector.extract %s[1] : f32 from vector<8xf32>
      %v = vector.insert %e, %s[0] : f32 into vector<8xf32>
      %r = math.roundeven %v : vector<8xf32>
      %m = arith.maximumf %r, %s : vector<8xf32>
      %i = vector.interleave %m, %m : vector<8xf32> -> vector<16xf32>
      %d = vector.extract_strided_slice %i {offsets = [0], sizes = [8], strides = [1]}
        : vector<16xf32> to vector<8xf32>
      llvm.intr.masked.store %d, %q, %mask {alignment = 4 : i32}
        : vector<8xf32>, vector<8xi1> into !llvm.ptr
      %sum = vector.reduction <add>, %d fastmath<reassoc> : vector<8xf32> into f32
      return %sum : f32
    })mlir",
                          "x86-64-v3", "x86_64-linux-gnu", {.assemblyText = true});
  if (!code)
    FAIL(llvm::toString(code.takeError()));
  CHECK_THAT(code->assemblyText, Contains("vmaskmovps"));
}

TEST_CASE("threads compile side by side and get the same bytes") {
  std::vector<std::string> objects(4);
  std::vector<std::thread> threads;
  for (std::string &object : objects)
    // No Catch assertion in here: they are not thread-safe.
    threads.emplace_back([&object] {
      auto context = test::createKernelContext();
      auto target = codegen::resolveTarget("x86-64-v3", "x86_64-linux-gnu");
      auto module = mlir::parseSourceString<mlir::ModuleOp>(axpyText, context.get());
      auto compiler = codegen::ObjectCompiler::create(*target);
      auto code = compiler->compile(*module);
      if (code)
        object = code->object;
      else
        llvm::consumeError(code.takeError());
    });
  for (std::thread &thread : threads)
    thread.join();
  REQUIRE(!objects[0].empty());
  for (const std::string &object : objects)
    CHECK(object == objects[0]);
}
