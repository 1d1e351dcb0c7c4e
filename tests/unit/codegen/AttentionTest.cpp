// Attention against its definition, in double precision.

#include "compiler/codegen/gemm/Attention.h"
#include "runtime/format/KernelAbi.h"
#include "tests/unit/codegen/AttentionKernels.h"
#include "tests/unit/codegen/GemmKernels.h"
#include "tests/unit/codegen/GuardedMemory.h"
#include "tests/unit/codegen/JitHarness.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

using namespace rtorch;
using namespace rtorch::test;

namespace {

template <typename T> T valueOrFail(llvm::Expected<T> expected) {
  if (!expected)
    FAIL(llvm::toString(expected.takeError()));
  return std::move(*expected);
}

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Sizes {
  int64_t batchHeads, queries, keys, headSize, valueSize;
};

template <typename T> class AttentionTest {
public:
  AttentionTest(AttentionKernel kernel, const char *cpu) : kernel_(std::move(kernel)) {
    auto context = createKernelContext();
    auto module = emptyModule(*context);
    kernel_.addTo(*module, "attention");
    jit_.emplace(valueOrFail(jitCompile(*module, cpu)));
    run_ =
        jit_->get<int32_t(const rtorch_frame *, int64_t, int64_t, void *)>("attention");
    REQUIRE(run_ != nullptr);
  }

  void check(const Sizes &sizes) {
    prepare(sizes);
    runAndCompare();
  }

  void prepare(const Sizes &sizes) {
    s_ = sizes;
    q_.emplace(sizeof(T) * s_.batchHeads * s_.queries * s_.headSize);
    k_.emplace(sizeof(T) * s_.batchHeads * s_.keys * s_.headSize);
    v_.emplace(sizeof(T) * s_.batchHeads * s_.keys * s_.valueSize);
    out_.emplace(sizeof(T) * s_.batchHeads * s_.queries * s_.valueSize);
    bool bytes = kernel_.mask == ScoreMask::Boolean;
    mask_.emplace((bytes ? 1 : sizeof(T)) * s_.queries * s_.keys);
    fill(*q_, s_.batchHeads * s_.queries * s_.headSize);
    fill(*k_, s_.batchHeads * s_.keys * s_.headSize);
    fill(*v_, s_.batchHeads * s_.keys * s_.valueSize);
    std::bernoulli_distribution visible(0.7);
    for (int64_t i = 0; i < s_.queries * s_.keys; ++i)
      if (bytes)
        mask_->as<uint8_t>()[i] = visible(random_);
      else if (kernel_.mask == ScoreMask::Additive)
        mask_->as<T>()[i] = visible(random_) ? T(i % 5) : T(-infinity);
  }

  T &q(int64_t b, int64_t i, int64_t d) {
    return q_->as<T>()[(b * s_.queries + i) * s_.headSize + d];
  }
  T &k(int64_t b, int64_t j, int64_t d) {
    if (kernel_.transposedKeys)
      return k_->as<T>()[(b * s_.headSize + d) * s_.keys + j];
    return k_->as<T>()[(b * s_.keys + j) * s_.headSize + d];
  }
  T &v(int64_t b, int64_t j, int64_t d) {
    return v_->as<T>()[(b * s_.keys + j) * s_.valueSize + d];
  }
  T out(int64_t b, int64_t i, int64_t d) {
    return out_->as<T>()[(b * s_.queries + i) * s_.valueSize + d];
  }
  void hideRow(int64_t i) {
    for (int64_t j = 0; j < s_.keys; ++j)
      if (kernel_.mask == ScoreMask::Boolean)
        mask_->as<uint8_t>()[i * s_.keys + j] = 0;
      else
        mask_->as<T>()[i * s_.keys + j] = T(-infinity);
  }

  void runAndCompare() {
    CAPTURE(s_.batchHeads, s_.queries, s_.keys, s_.headSize, s_.valueSize);
    const auto &blocking = kernel_.blocking;
    GuardedMemory scratch(*gemm::attentionScratchBytes(blocking, s_.queries, s_.keys,
                                                       s_.headSize, s_.valueSize)
                               .constant());
    void *buffers[] = {q_->data(), k_->data(), v_->data(), out_->data(), mask_->data()};
    int64_t values[] = {s_.queries, s_.keys, s_.headSize, s_.valueSize};
    rtorch_frame frame{buffers, values};
    int64_t tiles =
        *gemm::attentionGridSize(blocking, s_.batchHeads, s_.queries).constant();
    for (int64_t t = tiles; t-- > 0;)
      REQUIRE(run_(&frame, t, t + 1, scratch.data()) == 0);
    int64_t wrong = 0;
    for (int64_t b = 0; b < s_.batchHeads; ++b)
      for (int64_t i = 0; i < s_.queries; ++i)
        wrong += compareRow(b, i);
    CHECK(wrong == 0);
  }

private:
  void fill(GuardedMemory &memory, int64_t count) {
    std::normal_distribution<T> normal;
    for (int64_t i = 0; i < count; ++i)
      memory.as<T>()[i] = normal(random_);
  }

  double score(int64_t b, int64_t i, int64_t j) {
    if (kernel_.causal && j > i)
      return -infinity;
    double sum = 0;
    for (int64_t d = 0; d < s_.headSize; ++d)
      sum += double(q(b, i, d)) * kernel_.scale * double(k(b, j, d));
    if (kernel_.mask == ScoreMask::Additive)
      sum += mask_->as<T>()[i * s_.keys + j];
    if (kernel_.mask == ScoreMask::Boolean && !mask_->as<uint8_t>()[i * s_.keys + j])
      sum = -infinity;
    return sum;
  }

  /// Counts the wrong elements of one row of the result.
  int64_t compareRow(int64_t b, int64_t i) {
    std::vector<double> weights(s_.keys);
    double maximum = -infinity, total = 0;
    for (int64_t j = 0; j < s_.keys; ++j) {
      weights[j] = score(b, i, j);
      maximum = std::max(maximum, weights[j]);
    }
    bool nan = std::any_of(weights.begin(), weights.end(),
                           [](double weight) { return std::isnan(weight); });
    for (double &weight : weights) {
      // A fully masked row: the difference would be NaN.
      weight = maximum == -infinity && !nan ? 0 : std::exp(weight - maximum);
      total += weight;
    }
    int64_t wrong = 0;
    for (int64_t d = 0; d < s_.valueSize; ++d) {
      double expected = 0, magnitude = 0;
      for (int64_t j = 0; j < s_.keys; ++j) {
        expected += weights[j] * v(b, j, d);
        magnitude += weights[j] * std::abs(double(v(b, j, d)));
      }
      if (total != 0)
        expected /= total, magnitude /= total;
      double got = out(b, i, d);
      double tolerance = (std::is_same_v<T, float> ? 2e-6 : 1e-14) * (magnitude + 0.1) *
                         (4 + std::abs(std::isfinite(maximum) ? maximum : 0));
      bool same = nan || std::isnan(expected) ? std::isnan(got)
                                              : std::abs(got - expected) <= tolerance;
      if (!same && wrong++ == 0)
        UNSCOPED_INFO("element " << b << ", " << i << ", " << d << ": expected "
                                 << expected << ", got " << got);
    }
    return wrong;
  }

  AttentionKernel kernel_;
  std::optional<JitModule> jit_;
  int32_t (*run_)(const rtorch_frame *, int64_t, int64_t, void *) = nullptr;
  std::mt19937 random_{11};
  Sizes s_{};
  std::optional<GuardedMemory> q_, k_, v_, out_, mask_;
};

AttentionKernel kernelFor(const char *cpu, bool isDouble = false) {
  AttentionKernel kernel;
  kernel.isDouble = isDouble;
  kernel.scale = 0.125;
  kernel.blocking = gemm::chooseAttentionBlocking(
      valueOrFail(codegen::resolveTarget(cpu)), isDouble ? 8 : 4);
  return kernel;
}

} // namespace

TEST_CASE("attention of any lengths, masked or not", "[attention]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  ScoreMask mask = GENERATE(ScoreMask::None, ScoreMask::Additive, ScoreMask::Boolean);
  bool causal = GENERATE(false, true);
  AttentionKernel kernel = kernelFor(cpu);
  kernel.mask = mask;
  kernel.causal = causal;
  CAPTURE(cpu, int(mask), causal);
  AttentionTest<float> test(kernel, cpu);
  test.check({2, 1, 1, 4, 4});
  test.check({3, 7, 5, 8, 8});
  test.check({2, 13, 33, 64, 64});
  test.check({1, 65, 64, 32, 48});
  test.check({2, 130, 129, 17, 33});
  test.check({1, 31, 77, 5, 1});
}

TEST_CASE("long sequences take the softmax online", "[attention]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  bool causal = GENERATE(false, true);
  AttentionKernel kernel = kernelFor(cpu);
  kernel.mask = causal ? ScoreMask::None : ScoreMask::Boolean;
  kernel.causal = causal;
  CAPTURE(cpu, causal);
  AttentionTest<float> test(kernel, cpu);
  test.check({1, 9, 1100, 16, 20});
  test.check({1, 600, 700, 8, 8});
  test.check({1, 1030, 513, 4, 6});
  SECTION("scratch memory is bounded") {
    auto bytes = [&](int64_t length) {
      return *gemm::attentionScratchBytes(kernel.blocking, length, length, 64, 64)
                  .constant();
    };
    CHECK(bytes(1 << 20) <= bytes(1 << 14) + (64 << 10));
    CHECK(bytes(1 << 20) < (1 << 20));
  }
}

TEST_CASE("attention with fixed sizes", "[attention]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  Sizes sizes = GENERATE(Sizes{2, 128, 128, 32, 32}, Sizes{2, 129, 40, 20, 12},
                         Sizes{1, 1, 600, 64, 64});
  AttentionKernel kernel = kernelFor(cpu);
  kernel.queries = sizes.queries, kernel.keys = sizes.keys;
  kernel.headSize = sizes.headSize, kernel.valueSize = sizes.valueSize;
  kernel.mask = ScoreMask::Additive;
  CAPTURE(cpu);
  AttentionTest<float>(kernel, cpu).check(sizes);
}

TEST_CASE("keys may be transposed, elements double", "[attention]") {
  const char *cpu = GENERATE("native", "x86-64-v3", "x86-64-v2");
  AttentionKernel kernel = kernelFor(cpu, /*isDouble=*/true);
  kernel.transposedKeys = GENERATE(false, true);
  kernel.causal = true;
  CAPTURE(cpu, kernel.transposedKeys);
  AttentionTest<double> test(kernel, cpu);
  test.check({2, 21, 35, 10, 7});
  test.check({1, 300, 300, 8, 9});
}

TEST_CASE("fully masked rows give 0, NaN stays in its row", "[attention]") {
  const char *cpu = GENERATE("native", "x86-64-v3");
  int64_t keys = GENERATE(40, 700);
  AttentionKernel kernel = kernelFor(cpu);
  kernel.mask = GENERATE(ScoreMask::Additive, ScoreMask::Boolean);
  CAPTURE(cpu, keys, int(kernel.mask));
  AttentionTest<float> test(kernel, cpu);
  test.prepare({1, 20, keys, 16, 16});
  test.hideRow(0);
  test.hideRow(13);
  test.q(0, 5, 3) = std::numeric_limits<float>::quiet_NaN();
  test.runAndCompare();
  for (int64_t d = 0; d < 16; ++d) {
    CHECK(test.out(0, 0, d) == 0);
    CHECK(test.out(0, 13, d) == 0);
    CHECK(std::isnan(test.out(0, 5, d)));
    CHECK(std::isfinite(test.out(0, 6, d)));
  }
}

TEST_CASE("attention over no keys gives 0", "[attention]") {
  AttentionTest<float> test(kernelFor("native"), "native");
  test.prepare({2, 3, 0, 8, 8});
  test.runAndCompare();
  CHECK(test.out(1, 2, 7) == 0);
}
