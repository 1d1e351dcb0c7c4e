// Accuracy and special values of every math expansion, compiled for this machine.

#include "tests/unit/codegen/JitHarness.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace rtorch;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float quietNan = std::numeric_limits<float>::quiet_NaN();

/// "vector<8xf32>", or the scalar type for one lane.
std::string typeText(const std::string &element, int lanes) {
  return lanes == 1 ? element : "vector<" + std::to_string(lanes) + "x" + element + ">";
}

/// A kernel `f(x, y, out, n)` that applies `op` to arrays of n elements, n a multiple
/// of the lanes.
std::string kernelText(const std::string &op, bool binary, const std::string &element,
                       int lanes) {
  std::string type = typeText(element, lanes);
  std::string size = std::to_string(lanes);
  std::string load = " {alignment = 1 : i64} : !llvm.ptr -> " + type + "\n";
  std::string gep = "[%i] : (!llvm.ptr, i64) -> !llvm.ptr, " + element + "\n";
  return "func.func @f(%x: !llvm.ptr, %y: !llvm.ptr, %out: !llvm.ptr, %n: i64) {\n"
         "  %zero = arith.constant 0 : i64\n"
         "  %step = arith.constant " +
         size +
         " : i64\n"
         "  scf.for %i = %zero to %n step %step : i64 {\n"
         "    %px = llvm.getelementptr %x" +
         gep + "    %py = llvm.getelementptr %y" + gep +
         "    %po = llvm.getelementptr %out" + gep + "    %a = llvm.load %px" + load +
         "    %b = llvm.load %py" + load + "    %r = " + op + " %a" +
         (binary ? ", %b" : "") + " : " + type +
         "\n"
         "    llvm.store %r, %po {alignment = 1 : i64} : " +
         type + ", !llvm.ptr\n  }\n  return\n}\n";
}

/// One op compiled for arrays of T.
template <typename T> class Compiled {
public:
  Compiled(const std::string &op, bool binary, int lanes,
           llvm::StringRef cpu = "native")
      : lanes_(lanes),
        jit_(test::jitCompileText(
            kernelText(op, binary, sizeof(T) == 8 ? "f64" : "f32", lanes), cpu)),
        function_(jit_.get<void(const T *, const T *, T *, int64_t)>("f")) {
    REQUIRE(function_);
  }

  std::vector<T> operator()(std::vector<T> x, std::vector<T> y = {}) const {
    size_t count = x.size();
    size_t padded = (count + lanes_ - 1) / lanes_ * lanes_;
    x.resize(padded, x.back());
    y.resize(padded, y.empty() ? T(1) : y.back());
    std::vector<T> out(padded);
    function_(x.data(), y.data(), out.data(), int64_t(padded));
    out.resize(count);
    return out;
  }
  T one(T x, T y = 1) const { return (*this)(std::vector<T>{x}, {y})[0]; }

private:
  int lanes_;
  test::JitModule jit_;
  void (*function_)(const T *, const T *, T *, int64_t);
};

/// Distance of `got` from `expected` in units of the last place of `expected`.
template <typename T> double ulpError(T got, long double expected) {
  T rounded = T(expected);
  if (std::isnan(expected))
    return std::isnan(got) ? 0 : 1e30;
  if (got == rounded)
    return 0; // infinities as well
  if (std::isnan(got) || std::isinf(got) || std::isinf(rounded)) {
    // One step around the largest number is one unit.
    T largest = std::numeric_limits<T>::max();
    return std::abs(got) >= largest && std::abs(rounded) >= largest &&
                   std::signbit(got) == std::signbit(rounded)
               ? 1
               : 1e30;
  }
  int exponent;
  std::frexp(rounded, &exponent);
  exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
  long double unit = std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits);
  return double(std::abs((long double)got - expected) / unit);
}

struct Worst {
  double ulp = 0;
  double x = 0, y = 0;
};

/// Floats spread evenly over all bit patterns of finite ones (both signs).
std::vector<float> allMagnitudes(size_t count) {
  std::vector<float> result;
  uint32_t step = uint32_t((uint64_t(1) << 32) / count) | 1;
  for (uint64_t bits = 0; bits < (uint64_t(1) << 32); bits += step) {
    float value = std::bit_cast<float>(uint32_t(bits));
    if (std::isfinite(value))
      result.push_back(value);
  }
  return result;
}

template <typename T> void addUniform(std::vector<T> &x, T low, T high, size_t count) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<T> distribution(low, high);
  for (size_t i = 0; i < count; ++i)
    x.push_back(distribution(random));
}

std::vector<double> allMagnitudesF64(size_t count) {
  std::mt19937_64 random(11);
  std::vector<double> result;
  while (result.size() < count) {
    double value = std::bit_cast<double>(random());
    if (std::isfinite(value))
      result.push_back(value);
  }
  return result;
}

struct UnaryCase {
  const char *name;
  long double (*reference)(long double);
  double (*reference64)(double); ///< precise enough for f32 and ten times faster
  double maxUlpF32, maxUlpF64;
  float low, high;   ///< where most of the samples lie
  double largestF64; ///< beyond it f64 is not claimed
};

#define RTORCH_CASE(name)                                                              \
  #name, static_cast<long double (*)(long double)>(&std::name),                        \
      static_cast<double (*)(double)>(&std::name)

const UnaryCase unaryCases[] = {
    {RTORCH_CASE(exp), 1.1, 1.1, -104, 89, 1e308},
    {RTORCH_CASE(exp2), 1.5, 1.5, -150, 128, 1e308},
    {RTORCH_CASE(expm1), 2, 2, -20, 89, 1e308},
    {RTORCH_CASE(log), 1.1, 1.1, 0, 4, 1e308},
    {RTORCH_CASE(log1p), 1.5, 1.5, -1, 4, 1e308},
    {RTORCH_CASE(log2), 2, 2, 0, 4, 1e308},
    {RTORCH_CASE(log10), 2, 2, 0, 4, 1e308},
    {RTORCH_CASE(sin), 1.6, 1.6, -10, 10, 1e308},
    {RTORCH_CASE(cos), 1.6, 1.6, -10, 10, 1e308},
    {RTORCH_CASE(tan), 3.5, 3.5, -10, 10, 1e308},
    {RTORCH_CASE(asin), 2.5, 2.5, -1, 1, 1e308},
    {RTORCH_CASE(acos), 2, 2, -1, 1, 1e308},
    {RTORCH_CASE(atan), 2, 2, -4, 4, 1e308},
    {RTORCH_CASE(sinh), 2.5, 2.5, -10, 10, 1e308},
    {RTORCH_CASE(cosh), 2, 2, -10, 10, 1e308},
    {RTORCH_CASE(tanh), 2, 2, -10, 10, 1e308},
    {RTORCH_CASE(asinh), 3, 3, -4, 4, 1e308},
    {RTORCH_CASE(acosh), 3, 3, 1, 4, 1e308},
    {RTORCH_CASE(atanh), 3, 3, -1, 1, 1e308},
    {RTORCH_CASE(erf), 2, 2, -4, 4, 1e308},
    {RTORCH_CASE(erfc), 4, 6, -4, 11, 1e308},
};

Worst worstF32(const UnaryCase &c, const Compiled<float> &f, size_t samples) {
  std::vector<float> x = allMagnitudes(samples / 2);
  addUniform(x, c.low, c.high, samples / 2);
  std::vector<float> got = f(x);
  Worst worst;
  for (size_t i = 0; i < x.size(); ++i) {
    double ulp = ulpError<float>(got[i], c.reference64(x[i]));
    if (ulp > worst.ulp)
      worst = {ulp, x[i]};
  }
  return worst;
}

Worst worstF64(const UnaryCase &c, const Compiled<double> &f, size_t samples) {
  std::vector<double> x = allMagnitudesF64(samples / 2);
  addUniform<double>(x, c.low, c.high, samples / 2);
  std::vector<double> got = f(x);
  Worst worst;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::abs(x[i]) > c.largestF64)
      continue;
    double ulp = ulpError<double>(got[i], c.reference(x[i]));
    if (ulp > worst.ulp)
      worst = {ulp, x[i]};
  }
  return worst;
}

int nativeLanes(int bytes) {
  auto target = codegen::resolveTarget("native");
  REQUIRE(bool(target));
  return int(target->lanes(bytes));
}

bool sameBits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

} // namespace

TEST_CASE("f32 functions are accurate on vectors", "[math]") {
  for (const UnaryCase &c : unaryCases) {
    Compiled<float> f("math." + std::string(c.name), false, nativeLanes(4));
    Worst worst = worstF32(c, f, 1 << 22);
    INFO("math." << c.name << " f32: " << worst.ulp << " ulp at " << worst.x);
    if (std::getenv("RTORCH_PRINT_ULP"))
      printf("%-6s f32 %6.3f ulp at %.9g\n", c.name, worst.ulp, worst.x);
    CHECK(worst.ulp <= c.maxUlpF32);
  }
}

TEST_CASE("f64 functions are accurate on vectors", "[math]") {
  for (const UnaryCase &c : unaryCases) {
    Compiled<double> f("math." + std::string(c.name), false, nativeLanes(8));
    Worst worst = worstF64(c, f, 1 << 18);
    INFO("math." << c.name << " f64: " << worst.ulp << " ulp at " << worst.x);
    if (std::getenv("RTORCH_PRINT_ULP"))
      printf("%-6s f64 %6.3f ulp at %.17g\n", c.name, worst.ulp, worst.x);
    CHECK(worst.ulp <= c.maxUlpF64);
  }
}

TEST_CASE("scalars and odd vector widths give the bits of full vectors", "[math]") {
  std::vector<float> x = allMagnitudes(1 << 12);
  addUniform(x, -4.0f, 4.0f, 1 << 10);
  for (const UnaryCase &c : unaryCases) {
    std::string op = "math." + std::string(c.name);
    std::vector<float> expected = Compiled<float>(op, false, nativeLanes(4))(x);
    for (int lanes : {1, 4, 3}) {
      std::vector<float> got = Compiled<float>(op, false, lanes)(x);
      size_t different = 0;
      for (size_t i = 0; i < x.size(); ++i)
        different += !sameBits(got[i], expected[i]);
      INFO(op << " with " << lanes << " lanes");
      CHECK(different == 0);
    }
  }
}

TEST_CASE("without FMA the functions keep their accuracy", "[math]") {
  for (const UnaryCase &c : unaryCases) {
    std::string op = "math." + std::string(c.name);
    Worst worst = worstF32(c, Compiled<float>(op, false, 4, "x86-64-v2"), 1 << 18);
    INFO(op << " f32: " << worst.ulp << " ulp at " << worst.x);
    CHECK(worst.ulp <= c.maxUlpF32);
    worst = worstF64(c, Compiled<double>(op, false, 2, "x86-64-v2"), 1 << 14);
    INFO(op << " f64: " << worst.ulp << " ulp at " << worst.x);
    CHECK(worst.ulp <= c.maxUlpF64);
  }
}

TEST_CASE("every function compiles for every target and imports nothing", "[math]") {
  struct Case {
    const char *cpu, *triple;
  };
  for (Case c : {Case{"x86-64-v2", "x86_64-linux-gnu"},
                 {"x86-64-v3", "x86_64-linux-gnu"},
                 {"x86-64-v4", "x86_64-linux-gnu"},
                 {"generic", "aarch64-linux-gnu"}}) {
    auto target = codegen::resolveTarget(c.cpu, c.triple);
    REQUIRE(bool(target));
    auto compiler = codegen::ObjectCompiler::create(*target);
    REQUIRE(bool(compiler));
    for (std::string element : {"f32", "f64"}) {
      std::string text;
      int lanes = int(target->lanes(element == "f32" ? 4 : 8));
      auto add = [&](const std::string &op, bool binary) {
        std::string kernel = kernelText(op, binary, element, lanes);
        std::string name = "@f_" + op.substr(op.find('.') + 1) + "(";
        text += kernel.replace(kernel.find("@f("), 3, name);
      };
      for (const UnaryCase &function : unaryCases)
        add("math." + std::string(function.name), false);
      for (const char *op : {"math.rsqrt", "math.sqrt", "math.floor", "math.ceil",
                             "math.trunc", "math.round", "math.roundeven", "math.absf"})
        add(op, false);
      for (const char *op : {"math.powf", "math.atan2", "arith.remf", "math.copysign",
                             "arith.maximumf", "arith.minnumf"})
        add(op, true);
      auto context = test::createKernelContext();
      auto module = test::parseKernels(*context, text);
      auto code = compiler->compile(*module, {.verify = true});
      INFO(c.cpu << " " << element);
      if (!code)
        FAIL(llvm::toString(code.takeError()));
      CHECK(!code->object.empty());
    }
  }
}

TEST_CASE("special values are those of C", "[math]") {
  const float values[] = {0.0f,     -0.0f,   1.0f,     -1.0f, inf,   -inf,
                          quietNan, 2.0f,    -2.0f,    0.5f,  -0.5f, 1e-45f,
                          -1e-45f,  3.4e38f, -3.4e38f, 1e-38f};
  for (const UnaryCase &c : unaryCases) {
    std::string op = "math." + std::string(c.name);
    for (int lanes : {1, nativeLanes(4)}) {
      Compiled<float> f(op, false, lanes);
      for (float x : values) {
        float got = f.one(x), expected = float(c.reference64(x));
        INFO(op << " of " << x << ", " << lanes << " lanes: got " << got
                << ", expected " << expected);
        CHECK(ulpError<float>(got, c.reference64(x)) <= c.maxUlpF32);
        // Zeros keep their sign.
        if (expected == 0.0f || std::isinf(expected))
          CHECK(std::signbit(got) == std::signbit(expected));
      }
    }
    Compiled<double> g(op, false, nativeLanes(8));
    for (double x : {0.0, -0.0, 1.0, -1.0, double(inf), -double(inf), double(quietNan),
                     5e-324, -5e-324}) {
      double got = g.one(x), expected = double(c.reference(x));
      INFO(op << " of " << x << ": got " << got << ", expected " << expected);
      CHECK(ulpError<double>(got, c.reference(x)) <= c.maxUlpF64);
      if (expected == 0.0 || std::isinf(expected))
        CHECK(std::signbit(got) == std::signbit(expected));
    }
  }
}

TEST_CASE("powers are accurate and follow C99 at the edges", "[math]") {
  std::mt19937_64 random(3);
  for (int lanes : {1, nativeLanes(4)}) {
    Compiled<float> f("math.powf", true, lanes);
    std::vector<float> x, y;
    std::uniform_real_distribution<float> logBase(-80, 80), logResult(-103, 88);
    std::uniform_real_distribution<float> near(0.9f, 1.1f);
    for (int i = 0; i < (1 << 20); ++i) {
      x.push_back(i % 2 ? std::exp(logBase(random)) : near(random));
      y.push_back(logResult(random) / std::log(x.back()));
    }
    std::vector<float> got = f(x, y);
    Worst worst;
    for (size_t i = 0; i < x.size(); ++i) {
      double ulp = ulpError<float>(got[i], std::pow(double(x[i]), double(y[i])));
      if (ulp > worst.ulp)
        worst = {ulp, x[i], y[i]};
    }
    INFO(worst.ulp << " ulp at " << worst.x << ", " << worst.y);
    if (std::getenv("RTORCH_PRINT_ULP"))
      printf("powf   f32 %6.3f ulp\n", worst.ulp);
    CHECK(worst.ulp <= 1);

    const float edges[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f,     -0.5f, 2.0f,   -2.0f,
                           3.0f, -3.0f, inf,  -inf,  quietNan, 1e30f, -1e30f, 2.5f};
    for (float a : edges)
      for (float b : edges) {
        float result = f.one(a, b), expected = std::pow(a, b);
        INFO("pow(" << a << ", " << b << ") = " << result << ", expected " << expected);
        bool same = sameBits(result, expected) ||
                    (expected != 0 && ulpError<float>(result, expected) <= 1);
        CHECK(same);
      }
  }
}

TEST_CASE("f64 powers are accurate", "[math]") {
  std::mt19937_64 random(5);
  Compiled<double> f("math.powf", true, nativeLanes(8));
  std::vector<double> x, y;
  std::uniform_real_distribution<double> logBase(-600, 600), logResult(-744, 709);
  std::uniform_real_distribution<double> near(0.7, 1.42);
  for (int i = 0; i < (1 << 18); ++i) {
    x.push_back(i % 2 ? std::exp(logBase(random)) : near(random));
    y.push_back(logResult(random) / std::log(x.back()));
  }
  std::vector<double> got = f(x, y);
  Worst worst;
  for (size_t i = 0; i < x.size(); ++i) {
    double ulp = ulpError<double>(got[i], std::pow((long double)x[i], y[i]));
    if (ulp > worst.ulp)
      worst = {ulp, x[i], y[i]};
  }
  INFO(worst.ulp << " ulp at " << worst.x << ", " << worst.y);
  if (std::getenv("RTORCH_PRINT_ULP"))
    printf("powf   f64 %6.3f ulp at %.17g, %.17g\n", worst.ulp, worst.x, worst.y);
  CHECK(worst.ulp <= 2);
  for (double a :
       {0.0, -0.0, 1.0, -1.0, -2.0, 0.5, double(inf), -double(inf), double(quietNan)})
    for (double b :
         {0.0, -1.0, 3.0, 0.5, -3.0, double(inf), -double(inf), double(quietNan)}) {
      double result = f.one(a, b), expected = std::pow(a, b);
      INFO("pow(" << a << ", " << b << ") = " << result << ", expected " << expected);
      CHECK(ulpError<double>(result, expected) <= 1);
      if (!std::isnan(expected))
        CHECK(std::signbit(result) == std::signbit(expected));
    }
}

TEST_CASE("atan2 is accurate and follows C99 at the edges", "[math]") {
  std::mt19937_64 random(9);
  std::normal_distribution<float> normal;
  Compiled<float> f("math.atan2", true, nativeLanes(4));
  Compiled<double> g("math.atan2", true, nativeLanes(8));
  std::vector<float> y = allMagnitudes(1 << 19), x;
  std::vector<double> y64, x64;
  for (size_t i = 0; i < y.size(); ++i)
    x.push_back(i % 2 ? y[(i * 7919) % y.size()] : y[i] * normal(random));
  for (size_t i = 0; i < y.size(); ++i) {
    y64.push_back(normal(random));
    x64.push_back(normal(random));
  }
  std::vector<float> got = f(y, x);
  std::vector<double> got64 = g(y64, x64);
  double worst = 0, worst64 = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    worst = std::max(worst, ulpError<float>(got[i], std::atan2(double(y[i]), x[i])));
    worst64 =
        std::max(worst64, ulpError<double>(got64[i], std::atan2((long double)y64[i],
                                                                (long double)x64[i])));
  }
  if (std::getenv("RTORCH_PRINT_ULP"))
    printf("atan2  f32 %6.3f f64 %6.3f ulp\n", worst, worst64);
  CHECK(worst <= 2);
  CHECK(worst64 <= 2);
  const float edges[] = {0.0f, -0.0f, 1.0f, -1.0f, inf, -inf, quietNan, 1e-45f, 3e38f};
  for (float a : edges)
    for (float b : edges) {
      float result = f.one(a, b), expected = std::atan2(a, b);
      INFO("atan2(" << a << ", " << b << ") = " << result << ", not " << expected);
      bool same = sameBits(result, expected) ||
                  (expected != 0 && ulpError<float>(result, expected) <= 2);
      CHECK(same);
    }
}

TEST_CASE("arith.remf is exactly fmod", "[math]") {
  std::mt19937_64 random(13);
  for (const char *cpu : {"native", "x86-64-v2"}) {
    Compiled<float> f("arith.remf", true, 4, cpu);
    Compiled<double> g("arith.remf", true, 2, cpu);
    std::vector<float> x = allMagnitudes(1 << 16), y;
    for (size_t i = 0; i < x.size(); ++i)
      y.push_back(x[random() % x.size()]);
    for (float special : {0.0f, -0.0f, inf, -inf, quietNan, 1.0f, 3.0f})
      for (float other : {0.0f, -0.0f, inf, -inf, quietNan, 1.0f, -7.5f}) {
        x.push_back(special);
        y.push_back(other);
      }
    std::vector<float> got = f(x, y);
    size_t wrong = 0;
    for (size_t i = 0; i < x.size(); ++i)
      wrong += !sameBits(got[i], std::fmod(x[i], y[i]));
    CHECK(wrong == 0);
    // Near the largest numbers the product without FMA cannot be split.
    std::vector<double> x64, y64;
    std::uniform_real_distribution<double> logarithm(-700, 680);
    for (int i = 0; i < 20000; ++i) {
      x64.push_back(std::exp(logarithm(random)));
      y64.push_back(i % 2 ? std::exp(logarithm(random)) : x64.back() / (1 + i % 77));
    }
    std::vector<double> got64 = g(x64, y64);
    size_t wrong64 = 0;
    for (size_t i = 0; i < x64.size(); ++i)
      wrong64 += got64[i] != std::fmod(x64[i], y64[i]);
    INFO(cpu);
    CHECK(wrong64 == 0);
  }
}

TEST_CASE("rsqrt is one over the rounded square root", "[math]") {
  Compiled<float> f("math.rsqrt", false, nativeLanes(4));
  for (float x : {4.0f, 2.0f, 1e-45f, 3e38f, 0.0f, -0.0f, inf, -1.0f})
    CHECK(sameBits(f.one(x), 1.0f / std::sqrt(x)));
}

TEST_CASE("integer powers wrap and take negative exponents", "[math]") {
  test::JitModule jit = test::jitCompileText(R"mlir(
    func.func @scalar(%a: i64, %b: i64) -> i64 {
      %0 = math.ipowi %a, %b : i64
      return %0 : i64
    }
    func.func @vector(%a: !llvm.ptr, %b: !llvm.ptr, %out: !llvm.ptr) {
      %x = llvm.load %a {alignment = 4 : i64} : !llvm.ptr -> vector<4xi32>
      %y = llvm.load %b {alignment = 4 : i64} : !llvm.ptr -> vector<4xi32>
      %0 = math.ipowi %x, %y : vector<4xi32>
      llvm.store %0, %out {alignment = 4 : i64} : vector<4xi32>, !llvm.ptr
      return
    })mlir");
  auto *scalar = jit.get<int64_t(int64_t, int64_t)>("scalar");
  CHECK(scalar(3, 4) == 81);
  CHECK(scalar(2, 63) == std::numeric_limits<int64_t>::min());
  CHECK(scalar(2, 64) == 0);
  CHECK(scalar(7, 0) == 1);
  CHECK(scalar(0, 0) == 1);
  CHECK(scalar(0, -1) == 0);
  CHECK(scalar(1, -5) == 1);
  CHECK(scalar(-1, -5) == -1);
  CHECK(scalar(-1, -4) == 1);
  CHECK(scalar(5, -1) == 0);
  auto *vector = jit.get<void(const int *, const int *, int *)>("vector");
  int a[] = {3, -2, 10, -1}, b[] = {5, 3, -2, 1 << 30}, out[4];
  vector(a, b, out);
  CHECK(out[0] == 243);
  CHECK(out[1] == -8);
  CHECK(out[2] == 0);
  CHECK(out[3] == 1);
}

TEST_CASE("bf16 conversions round to nearest even", "[math]") {
  test::JitModule jit = test::jitCompileText(R"mlir(
    func.func @narrow(%x: !llvm.ptr, %out: !llvm.ptr) {
      %v = llvm.load %x {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
      %n = arith.truncf %v : vector<8xf32> to vector<8xbf16>
      %e = math.exp %n : vector<8xbf16>
      llvm.store %n, %out {alignment = 2 : i64} : vector<8xbf16>, !llvm.ptr
      %next = llvm.getelementptr %out[8] : (!llvm.ptr) -> !llvm.ptr, bf16
      llvm.store %e, %next {alignment = 2 : i64} : vector<8xbf16>, !llvm.ptr
      return
    }
    func.func @widen(%x: !llvm.ptr) -> f64 {
      %v = llvm.load %x : !llvm.ptr -> bf16
      %w = arith.extf %v : bf16 to f64
      return %w : f64
    })mlir",
                                             "x86-64-v2");
  auto fromBits = [](uint32_t bits) { return std::bit_cast<float>(bits); };
  // Ties go to even; just above a tie goes up; NaN stays NaN; the largest overflows.
  float x[8] = {fromBits(0x3f808000),
                fromBits(0x3f818000),
                fromBits(0x3f808001),
                1,
                quietNan,
                3.4e38f,
                -inf,
                -0.0f};
  uint16_t out[16];
  jit.get<void(const float *, uint16_t *)>("narrow")(x, out);
  const uint16_t expected[8] = {0x3f80, 0x3f82, 0x3f81, 0x3f80,
                                0x7fc0, 0x7f80, 0xff80, 0x8000};
  for (int i = 0; i < 8; ++i)
    CHECK(out[i] == expected[i]);
  CHECK(out[8 + 3] == 0x402e); // e = 2.71828, 2.71875 in bf16
  CHECK(jit.get<double(const uint16_t *)>("widen")(&expected[1]) == 1.015625);
}

TEST_CASE("f16 functions are computed in f32", "[math]") {
  test::JitModule jit = test::jitCompileText(R"mlir(
    func.func @f(%x: !llvm.ptr, %out: !llvm.ptr) {
      %v = llvm.load %x {alignment = 2 : i64} : !llvm.ptr -> vector<8xf16>
      %r = math.log %v : vector<8xf16>
      llvm.store %r, %out {alignment = 2 : i64} : vector<8xf16>, !llvm.ptr
      return
    })mlir",
                                             "x86-64-v3");
  uint16_t x[8] = {0x3c00, 0x4000, 0, 0xbc00, 0x7c00, 0x3c00, 0x3c00, 0x3c00}, out[8];
  jit.get<void(const uint16_t *, uint16_t *)>("f")(x, out);
  CHECK(out[0] == 0);      // log 1
  CHECK(out[1] == 0x398c); // log 2 = 0.6931
  CHECK(out[2] == 0xfc00); // log 0
  CHECK((out[3] & 0x7e00) == 0x7e00);
  CHECK(out[4] == 0x7c00);
}
