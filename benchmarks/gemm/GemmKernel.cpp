// Writes the object of one matrix product kernel (and of the kernel that packs its
// right operand) and prints what a caller needs to run it, as JSON.

#include "compiler/codegen/gemm/Gemm.h"
#include "compiler/codegen/lowering/ObjectCode.h"
#include "tests/unit/codegen/GemmKernels.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <ctime>

using namespace rtorch;
using namespace rtorch::test;
namespace cl = llvm::cl;

static cl::opt<std::string> cpu("cpu", cl::init("native"));
static cl::opt<int64_t> rows("m", cl::Required);
static cl::opt<int64_t> columns("n", cl::Required);
static cl::opt<int64_t> depth("k", cl::Required);
static cl::opt<bool> dynamicSizes("dynamic", cl::desc("Sizes known at run time"));
static cl::opt<bool> packed("packed", cl::desc("B is packed ahead"));
static cl::opt<bool> transposedA("ta", cl::desc("A has unit stride along columns"));
static cl::opt<bool> transposedB("tb", cl::desc("B has unit stride along columns"));
static cl::opt<bool> bias("bias-silu", cl::desc("Epilogue silu(x + bias)"));
static cl::opt<std::string> output("o", cl::Required);
static cl::opt<std::string> assembly("S", cl::desc("File for the assembly"));
// For measuring other cuts than the chosen one.
static cl::opt<int64_t> tileRows("tile-rows"), tileVectors("tile-vectors"),
    maxDepth("max-depth"), minRows("min-rows"), maxRows("max-rows"),
    maxBlockRows("max-block-rows"), minColumns("min-columns"),
    maxColumns("max-columns"), wantedTiles("tiles");

static int fail(const llvm::Twine &message) {
  llvm::errs() << "gemm-kernel: " << message << "\n";
  return 1;
}

static gemm::Blocking blockingFor(const codegen::Target &target) {
  gemm::Blocking blocking = gemm::chooseBlocking(target, 4, packed);
  auto set = [](int64_t &field, const cl::opt<int64_t> &option) {
    if (option)
      field = option;
  };
  set(blocking.registers.rows, tileRows);
  set(blocking.registers.vectors, tileVectors);
  set(blocking.maxDepth, maxDepth);
  set(blocking.maxBlockRows, maxBlockRows);
  set(blocking.minRows, minRows);
  set(blocking.maxRows, maxRows);
  set(blocking.minColumns, minColumns);
  set(blocking.maxColumns, maxColumns);
  set(blocking.wantedTiles, wantedTiles);
  return blocking;
}

static ProductKernel describe(const gemm::Blocking &blocking) {
  ProductKernel kernel;
  kernel.blocking = blocking;
  if (!dynamicSizes)
    kernel.m = rows, kernel.n = columns, kernel.k = depth;
  kernel.a = transposedA ? Order::Column : Order::Row;
  kernel.b = transposedB ? Order::Column : Order::Row;
  kernel.epilogue = bias ? Epilogue::BiasSilu : Epilogue::None;
  return kernel;
}

static llvm::Error writeFile(llvm::StringRef path, llvm::StringRef bytes) {
  std::error_code code;
  llvm::raw_fd_ostream stream(path, code);
  if (code)
    return llvm::createStringError(code, "cannot write " + path);
  stream << bytes;
  return llvm::Error::success();
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv);
  auto target = codegen::resolveTarget(cpu);
  if (!target)
    return fail(llvm::toString(target.takeError()));
  gemm::Blocking blocking = blockingFor(*target);
  mlir::DialectRegistry registry;
  codegen::registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto compiler = codegen::ObjectCompiler::create(*target);
  if (!compiler)
    return fail(llvm::toString(compiler.takeError()));

  // Twice: the first compile of a process includes one-time initialization.
  llvm::Expected<codegen::ObjectCode> code = codegen::ObjectCode();
  double emitMs = 0, firstMs = 0, cpuMs = 0;
  for (int round = 0; round < 2; ++round) {
    auto start = std::chrono::steady_clock::now();
    std::clock_t cpuStart = std::clock();
    auto module = emptyModule(context);
    describe(blocking).addTo(*module, "product");
    emitMs = std::chrono::duration<double, std::milli>(
                 std::chrono::steady_clock::now() - start)
                 .count();
    addPackKernel(*module, "pack", blocking, transposedB ? Order::Column : Order::Row);
    codegen::EmitOptions options;
    options.assemblyText = round == 1 && !assembly.empty();
    code = compiler->compile(*module, options);
    cpuMs = 1e3 * double(std::clock() - cpuStart) / CLOCKS_PER_SEC;
    if (!code)
      return fail(llvm::toString(code.takeError()));
    if (round == 0)
      firstMs = emitMs + code->times.total();
  }
  if (auto error = writeFile(output, code->object))
    return fail(llvm::toString(std::move(error)));
  if (!assembly.empty())
    if (auto error = writeFile(assembly, code->assemblyText))
      return fail(llvm::toString(std::move(error)));
  auto value = [](const layout::Expr &expr) { return *expr.constant(); };
  const layout::Expr m = rows.getValue(), n = columns.getValue(), k = depth.getValue();
  gemm::TileShape shape = blocking.shape(m, n, k);
  llvm::json::Object report{
      {"tiles", value(gemm::gridSize(blocking, m, n, k))},
      {"scratch", value(gemm::scratchBytes(blocking, m, n, k))},
      {"pack_tiles", value(gemm::packGridSize(blocking, k, n))},
      {"packed", value(blocking.packed().elements(k, n)) * 4},
      {"tile", llvm::json::Array{value(shape.rows), value(shape.columns)}},
      {"block", llvm::json::Array{value(shape.blockRows), value(shape.depth)}},
      {"register_tile",
       llvm::json::Array{blocking.registers.rows, blocking.registers.columns()}},
      {"object_bytes", int64_t(code->object.size())},
      {"compile_ms", emitMs + code->times.total()},
      {"compile_cpu_ms", cpuMs},
      {"first_compile_ms", firstMs},
      {"phases_ms", llvm::json::Object{{"emit", emitMs},
                                       {"math", code->times.math},
                                       {"conversion", code->times.conversion},
                                       {"translation", code->times.translation},
                                       {"optimization", code->times.optimization},
                                       {"codegen", code->times.codegen}}}};
  llvm::outs() << llvm::json::Value(std::move(report)) << "\n";
  return 0;
}
