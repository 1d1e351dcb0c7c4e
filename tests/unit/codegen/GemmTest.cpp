// Matrix products against sums in double precision, term by term.

#include "compiler/codegen/gemm/Gemm.h"
#include "compiler/codegen/gemm/PackedLayout.h"
#include "runtime/format/KernelAbi.h"
#include "tests/unit/codegen/GemmKernels.h"
#include "tests/unit/codegen/GuardedMemory.h"
#include "tests/unit/codegen/JitHarness.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

using namespace rtorch;
using namespace rtorch::test;
using layout::Expr;

namespace {

/// The value, or a failed test with the message.
template <typename T> T valueOrFail(llvm::Expected<T> expected) {
  if (!expected)
    FAIL(llvm::toString(expected.takeError()));
  return std::move(*expected);
}

codegen::Target targetNamed(const char *cpu) {
  return valueOrFail(codegen::resolveTarget(cpu));
}

struct Size {
  int64_t m, n, k;
};

/// Compiles one kernel and runs it on random operands of several sizes.
template <typename T> class ProductTest {
public:
  ProductTest(ProductKernel kernel, const char *cpu) : kernel_(std::move(kernel)) {
    auto context = createKernelContext();
    auto module = emptyModule(*context);
    kernel_.addTo(*module, "product");
    jit_.emplace(valueOrFail(jitCompile(*module, cpu)));
    run_ =
        jit_->get<int32_t(const rtorch_frame *, int64_t, int64_t, void *)>("product");
    REQUIRE(run_ != nullptr);
  }

  /// The largest error in units of epsilon * sum |a| |b| over the elements.
  void check(const Size &size) {
    CAPTURE(size.m, size.n, size.k);
    prepare(size);
    runGrid();
    compare();
  }

  /// As check, with `value` in one element of A and of B.
  void checkPropagates(const Size &size, T value) {
    prepare(size);
    a(size.m - 1, size.k / 2) = value;
    if (!kernel_.blocking.packedB)
      b(0, 0) = value;
    runGrid();
    compare();
  }

private:
  T &a(int64_t i, int64_t j) { return a_->as<T>()[i * strides_[0] + j * strides_[1]]; }
  T &b(int64_t i, int64_t j) { return b_->as<T>()[i * strides_[2] + j * strides_[3]]; }

  static std::pair<int64_t, int64_t> stridesOf(Order order, int64_t rows,
                                               int64_t columns) {
    if (order == Order::Row)
      return {columns + 3, 1};
    if (order == Order::Column)
      return {1, rows + 1};
    return {2 * columns + 1, 2};
  }

  static int64_t extent(int64_t rows, int64_t columns, int64_t rowStride,
                        int64_t columnStride) {
    if (rows == 0 || columns == 0)
      return 0;
    return (rows - 1) * rowStride + (columns - 1) * columnStride + 1;
  }

  void prepare(const Size &size) {
    size_ = size;
    auto [am, ak] = stridesOf(kernel_.a, size.m, size.k);
    auto [bk, bn] = stridesOf(kernel_.b, size.k, size.n);
    strides_[0] = am, strides_[1] = ak, strides_[2] = bk, strides_[3] = bn;
    a_.emplace(sizeof(T) * extent(size.m, size.k, am, ak));
    b_.emplace(sizeof(T) * extent(size.k, size.n, bk, bn));
    cStride_ = size.n + 5;
    int64_t results = extent(size.m, size.n, cStride_, 1);
    c_.emplace(sizeof(T) * results);
    bool bias = kernel_.epilogue == Epilogue::BiasSilu;
    extra_.emplace(sizeof(T) * (bias ? size.n : results));
    std::normal_distribution<T> normal;
    for (int64_t i = 0; i < size.m; ++i)
      for (int64_t j = 0; j < size.k; ++j)
        a(i, j) = normal(random_);
    for (int64_t i = 0; i < size.k; ++i)
      for (int64_t j = 0; j < size.n; ++j)
        b(i, j) = normal(random_);
    for (int64_t i = 0; i < (bias ? size.n : results); ++i)
      extra_->as<T>()[i] = normal(random_);
  }

  void *rightOperand() {
    if (!kernel_.blocking.packedB)
      return b_->data();
    auto layout = kernel_.blocking.packed();
    int64_t elements = *layout.elements(size_.k, size_.n).constant();
    packed_.emplace(sizeof(T) * elements);
    gemm::packWeight(layout, sizeof(T), b_->data(), size_.k, size_.n, strides_[2],
                     strides_[3], packed_->data());
    return packed_->data();
  }

  void runGrid() {
    const auto &[m, n, k] = size_;
    GuardedMemory scratch(*gemm::scratchBytes(kernel_.blocking, m, n, k).constant());
    void *buffers[] = {a_->data(), rightOperand(), c_->data(), extra_->data()};
    int64_t values[] = {m,           n,           k,           strides_[0],
                        strides_[1], strides_[2], strides_[3], cStride_};
    rtorch_frame frame{buffers, values};
    // One tile a call, the last one first: tiles do not depend on each other.
    for (int64_t t = *gemm::gridSize(kernel_.blocking, m, n, k).constant(); t-- > 0;)
      REQUIRE(run_(&frame, t, t + 1, scratch.data()) == 0);
  }

  double finish(double sum, int64_t i, int64_t j) {
    if (kernel_.epilogue == Epilogue::BiasSilu) {
      double x = sum + extra_->as<T>()[j];
      return x / (1 + std::exp(-x));
    }
    if (kernel_.epilogue == Epilogue::Residual)
      return sum + extra_->as<T>()[i * cStride_ + j];
    return sum;
  }

  void compare() {
    const double epsilon = std::numeric_limits<T>::epsilon();
    int64_t wrong = 0;
    for (int64_t i = 0; i < size_.m; ++i)
      for (int64_t j = 0; j < size_.n; ++j) {
        double sum = 0, absolute = 1;
        for (int64_t x = 0; x < size_.k; ++x) {
          double term = double(a(i, x)) * double(b(x, j));
          sum += term, absolute += std::abs(term);
        }
        double expected = finish(sum, i, j), got = c_->as<T>()[i * cStride_ + j];
        bool same = std::isnan(expected) ? std::isnan(got)
                    : std::isinf(expected)
                        ? got == expected
                        : std::abs(got - expected) <= 4 * epsilon * absolute;
        if (!same && wrong++ == 0)
          UNSCOPED_INFO("element " << i << ", " << j << ": expected " << expected
                                   << ", got " << got);
      }
    CHECK(wrong == 0);
    // Nothing outside the result is written.
    for (int64_t i = 0; size_.n > 0 && i + 1 < size_.m; ++i)
      for (int64_t j = size_.n; j < cStride_; ++j)
        REQUIRE(std::isnan(c_->as<T>()[i * cStride_ + j]));
  }

  ProductKernel kernel_;
  std::optional<JitModule> jit_;
  int32_t (*run_)(const rtorch_frame *, int64_t, int64_t, void *) = nullptr;
  std::mt19937 random_{7};
  Size size_{};
  int64_t strides_[4]{}, cStride_ = 0;
  std::optional<GuardedMemory> a_, b_, c_, extra_, packed_;
};

ProductKernel kernelFor(const char *cpu, bool packedB, bool isDouble = false) {
  ProductKernel kernel;
  kernel.isDouble = isDouble;
  kernel.blocking = gemm::chooseBlocking(targetNamed(cpu), isDouble ? 8 : 4, packedB);
  return kernel;
}

} // namespace

TEST_CASE("products with sizes known at run time hit every remainder", "[gemm]") {
  const char *cpu = GENERATE("native", "x86-64-v3", "x86-64-v2");
  bool packedB = GENERATE(true, false);
  ProductKernel kernel = kernelFor(cpu, packedB);
  CAPTURE(cpu, packedB);
  ProductTest<float> test(kernel, cpu);
  const int64_t rows = kernel.blocking.registers.rows,
                columns = kernel.blocking.registers.columns();
  for (int64_t m = 1; m <= 2 * rows + 1; ++m)
    test.check({m, columns + 1, 37});
  for (int64_t n : {int64_t(1), columns / 2, columns - 1, columns, columns + 1,
                    2 * columns, 5 * columns + columns / 2 + 1})
    test.check({5, n, 19});
  for (int64_t k : {0, 1, 3, 4, 5, 63, 64, 65, 300, 2000})
    test.check({rows + 2, columns + 3, k});
  test.check({0, 5, 7});
  test.check({5, 0, 7});
  test.check({3 * kernel.blocking.maxBlockRows + 1, 700, 33});
  test.check({200, 1100, 1601});
}

TEST_CASE("products with fixed sizes", "[gemm]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  bool packedB = GENERATE(true, false);
  Size size =
      GENERATE(Size{1, 64, 48}, Size{1, 33, 5}, Size{7, 96, 64}, Size{25, 65, 63},
               Size{128, 384, 300}, Size{200, 48, 1000}, Size{3, 5, 0});
  CAPTURE(cpu, packedB);
  ProductKernel kernel = kernelFor(cpu, packedB);
  kernel.m = size.m, kernel.n = size.n, kernel.k = size.k;
  ProductTest<float>(kernel, cpu).check(size);
}

TEST_CASE("operands may be transposed or strided", "[gemm]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  Order a = GENERATE(Order::Row, Order::Column, Order::Neither);
  Order b = GENERATE(Order::Row, Order::Column, Order::Neither);
  CAPTURE(cpu, int(a), int(b));
  ProductKernel kernel = kernelFor(cpu, false);
  kernel.a = a, kernel.b = b;
  ProductTest<float> test(kernel, cpu);
  for (int64_t k : {1, 4, 7, 16, 18, 31, 850})
    test.check({13, 50, k});
  for (int64_t m : {1, 2, 5, 12, 29})
    test.check({m, 35, 9});
  for (int64_t n : {1, 15, 16, 32, 33, 200})
    test.check({4, n, 21});
}

TEST_CASE("products of doubles", "[gemm]") {
  const char *cpu = GENERATE("native", "x86-64-v3", "x86-64-v2");
  bool packedB = GENERATE(true, false);
  Order order = GENERATE(Order::Row, Order::Column);
  CAPTURE(cpu, packedB, int(order));
  ProductKernel kernel = kernelFor(cpu, packedB, /*isDouble=*/true);
  kernel.a = kernel.b = order;
  ProductTest<double> test(kernel, cpu);
  for (int64_t k : {0, 1, 5, 64, 500})
    for (int64_t n : {1, 16, 19})
      test.check({15, n, k});
}

TEST_CASE("epilogues see every element once", "[gemm]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  Epilogue epilogue = GENERATE(Epilogue::BiasSilu, Epilogue::Residual);
  CAPTURE(cpu, int(epilogue));
  ProductKernel kernel = kernelFor(cpu, true);
  kernel.epilogue = epilogue;
  ProductTest<float> test(kernel, cpu);
  for (int64_t k : {5, 64, 1700})
    for (int64_t n : {1, 32, 77})
      test.check({29, n, k});
}

TEST_CASE("NaN and infinity reach the results they belong to", "[gemm]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  bool packedB = GENERATE(true, false);
  ProductTest<float> test(kernelFor(cpu, packedB), cpu);
  for (float value : {std::numeric_limits<float>::quiet_NaN(),
                      std::numeric_limits<float>::infinity()})
    for (int64_t k : {1, 6, 33})
      test.checkPropagates({14, 37, k}, value);
}

TEST_CASE("a packing launch gives the layout of packWeight", "[gemm]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  Order order = GENERATE(Order::Row, Order::Column, Order::Neither);
  auto blocking = gemm::chooseBlocking(targetNamed(cpu), 4, true);
  auto context = createKernelContext();
  auto module = emptyModule(*context);
  addPackKernel(*module, "pack", blocking, order);
  JitModule jit = valueOrFail(jitCompile(*module, cpu));
  auto *run = jit.get<int32_t(const rtorch_frame *, int64_t, int64_t, void *)>("pack");
  for (auto [k, n] :
       {std::pair<int64_t, int64_t>{1, 1}, {7, 33}, {64, 128}, {21, 500}}) {
    CAPTURE(cpu, int(order), k, n);
    int64_t row = order == Order::Row ? n : order == Order::Column ? 1 : 3 * n;
    int64_t column = order == Order::Row ? 1 : order == Order::Column ? k : 3;
    GuardedMemory source(4 * ((k - 1) * row + (n - 1) * column + 1));
    for (int64_t i = 0; i < (k - 1) * row + (n - 1) * column + 1; ++i)
      source.as<float>()[i] = float(i + 1);
    int64_t elements = *blocking.packed().elements(k, n).constant();
    GuardedMemory packed(4 * elements), expected(4 * elements);
    gemm::packWeight(blocking.packed(), 4, source.data(), k, n, row, column,
                     expected.data());
    void *buffers[] = {source.data(), packed.data()};
    int64_t values[] = {k, n, row, column};
    rtorch_frame frame{buffers, values};
    for (int64_t t = *gemm::packGridSize(blocking, k, n).constant(); t-- > 0;)
      run(&frame, t, t + 1, nullptr);
    const int64_t columns = blocking.registers.columns(), depth = (k + 3) / 4 * 4;
    for (int64_t c = 0; c < n; ++c)
      for (int64_t i = 0; i < depth; ++i) {
        int64_t at = c / columns * columns * depth + i * columns + c % columns;
        REQUIRE(packed.as<float>()[at] == expected.as<float>()[at]);
        REQUIRE(packed.as<float>()[at] ==
                (i < k ? source.as<float>()[i * row + c * column] : 0));
      }
  }
}

TEST_CASE("weights are packed from any address", "[gemm]") {
  const gemm::PackedLayout layout{8};
  const int64_t k = 9, n = 13;
  for (bool transposed : {false, true}) {
    CAPTURE(transposed);
    const int64_t row = transposed ? 1 : n, column = transposed ? k : 1;
    std::vector<float> source(k * n);
    std::iota(source.begin(), source.end(), 1.0f);
    std::vector<char> shifted(source.size() * sizeof(float) + 1);
    std::memcpy(shifted.data() + 1, source.data(), source.size() * sizeof(float));
    std::vector<float> expected(*layout.elements(k, n).constant()), packed(expected);
    gemm::packWeight(layout, 4, source.data(), k, n, row, column, expected.data());
    gemm::packWeight(layout, 4, shifted.data() + 1, k, n, row, column, packed.data());
    CHECK(packed == expected);
    CHECK(expected[0] == 1);
  }
}

TEST_CASE("the grid gives several threads work", "[gemm]") {
  auto tiles = [](int64_t m, int64_t n, int64_t k, bool packedB) {
    auto blocking = gemm::chooseBlocking(targetNamed("x86-64-v3"), 4, packedB);
    return *gemm::gridSize(blocking, m, n, k).constant();
  };
  CHECK(tiles(128, 1536, 384, true) >= 6);
  CHECK(tiles(128, 384, 1536, true) >= 6);
  CHECK(tiles(128, 384, 384, true) >= 6);
  CHECK(tiles(512, 512, 512, false) >= 6);
  CHECK(tiles(2048, 2048, 2048, false) >= 16);
  CHECK(tiles(1, 4096, 4096, true) >= 8);
  CHECK(tiles(0, 5, 5, true) == 0);
  CHECK(tiles(5, 0, 5, true) == 0);
}

TEST_CASE("symbolic sizes give the same grid and scratch as their values", "[gemm]") {
  bool packedB = GENERATE(true, false);
  auto blocking = gemm::chooseBlocking(targetNamed("x86-64-v3"), 4, packedB);
  Expr m = Expr::symbol("s0") * Expr::symbol("s1"), k = Expr::symbol("s2");
  for (int64_t rows : {0, 1, 31, 512})
    for (int64_t depth : {0, 64, 769, 4000}) {
      std::map<std::string, int64_t> values{{"s0", rows}, {"s1", 3}, {"s2", depth}};
      CHECK(gemm::gridSize(blocking, m, 384, k).evaluate(values) ==
            gemm::gridSize(blocking, 3 * rows, 384, depth).constant());
      CHECK(gemm::scratchBytes(blocking, m, 384, k).evaluate(values) ==
            gemm::scratchBytes(blocking, 3 * rows, 384, depth).constant());
    }
}

TEST_CASE("the main microkernels keep their sums in registers", "[gemm]") {
  const char *cpu = GENERATE("x86-64-v3", "x86-64-v4");
  auto context = createKernelContext();
  auto module = emptyModule(*context);
  ProductKernel kernel = kernelFor(cpu, true);
  kernel.addTo(*module, "product");
  auto compiler = valueOrFail(codegen::ObjectCompiler::create(targetNamed(cpu)));
  codegen::EmitOptions options;
  options.assemblyText = true;
  auto code = valueOrFail(compiler.compile(*module, options));
  const auto &tile = kernel.blocking.registers;
  std::string name = "uk_f32_" + std::to_string(tile.rows) + "x" +
                     std::to_string(tile.columns()) + ":";
  size_t begin = code.assemblyText.find("\n" + name);
  REQUIRE(begin != std::string::npos);
  size_t end = code.assemblyText.find(".size", begin);
  std::string body = code.assemblyText.substr(begin, end - begin);
  int64_t products = 0, spills = 0;
  size_t line = 0;
  while (line < body.size()) {
    size_t next = std::min(body.find('\n', line), body.size());
    std::string text = body.substr(line, next - line);
    products += text.find("vfmadd") != std::string::npos;
    spills +=
        text.find("rsp") != std::string::npos && text.find("mm") != std::string::npos;
    line = next + 1;
  }
  CHECK(products == tile.rows * tile.vectors * gemm::depthGroup);
  CHECK(spills == 0);
}
