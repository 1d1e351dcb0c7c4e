#include "compiler/emit/CompileKernels.h"

#include "compiler/codegen/lowering/Timer.h"
#include "compiler/emit/KernelCache.h"
#include "compiler/emit/Locations.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/SHA256.h"

#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>

using namespace mlir;

namespace rtorch::emit {
namespace {

/// Kernels travel to the threads' contexts as text.
struct Job {
  std::string text;
  std::string name;
  std::string content;        // the text without the name: equal for kernels that are
  bool isContraction = false; // slow to compile
};

std::string printKernel(rt::KernelOp kernel) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  kernel->print(stream, OpPrintingFlags().enableDebugInfo(true, false).useLocalScope());
  return text;
}

/// `content` is counted, so that equal kernels of a module differ.
std::string contentOf(llvm::StringRef text, llvm::StringRef name,
                      llvm::StringMap<int> &count) {
  auto [before, after] = text.split(("@" + name).str());
  std::string content = (before + "@" + after).str();
  if (int number = count[content]++)
    content += "#" + std::to_string(number);
  return content;
}

std::vector<Job> collectJobs(ModuleOp module) {
  std::vector<Job> jobs;
  llvm::StringMap<int> count;
  for (auto kernel : module.getOps<rt::KernelOp>()) {
    bool contraction = llvm::any_of(kernel.getBlock(), [](Operation &op) {
      return isa<rt::LinearOp, rt::PackedLinearOp, rt::MatmulOp, rt::ConvolutionOp,
                 rt::PackedConvolutionOp, rt::AttentionOp>(op);
    });
    std::string text = printKernel(kernel), name = kernel.getSymName().str();
    std::string content = contentOf(text, name, count);
    jobs.push_back({std::move(text), std::move(name), std::move(content), contraction});
  }
  return jobs;
}

/// Named by what the kernel is, so that its object does not depend on the module.
std::string symbolOf(const Job &job, const CompileOptions &options) {
  llvm::SHA256 hash;
  hash.update(job.content);
  return options.symbolPrefix +
         llvm::toHex(hash.final(), /*LowerCase=*/true).substr(0, 16);
}

/// One thread's compiler.
class Worker {
public:
  static llvm::Expected<std::unique_ptr<Worker>> create(const codegen::Target &target) {
    auto compiler = codegen::ObjectCompiler::create(target);
    if (!compiler)
      return compiler.takeError();
    return std::unique_ptr<Worker>(new Worker(std::move(*compiler)));
  }

  llvm::Expected<CompiledKernel> compile(const Job &job, const CompileOptions &options);

private:
  explicit Worker(codegen::ObjectCompiler compiler) : compiler_(std::move(compiler)) {
    DialectRegistry registry;
    codegen::registerKernelDialects(registry);
    registry.insert<rt::RtDialect>();
    context_.appendDialectRegistry(registry);
    context_.loadAllAvailableDialects();
  }
  llvm::Expected<CompiledKernel> emit(const Job &job, ModuleOp code,
                                      const CompileOptions &options);

  codegen::ObjectCompiler compiler_;
  MLIRContext context_{MLIRContext::Threading::DISABLED};
};

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

llvm::Expected<CompiledKernel> Worker::emit(const Job &job, ModuleOp code,
                                            const CompileOptions &options) {
  CompiledKernel result;
  result.name = job.name;
  result.symbol = symbolOf(job, options);
  codegen::Timer timer(result.emitMs);
  OwningOpRef<ModuleOp> source = parseSourceString<ModuleOp>(job.text, &context_);
  if (!source)
    return failure("kernel '" + job.name + "' does not parse");
  OpBuilder builder(&context_);
  builder.setInsertionPointToEnd(code.getBody());
  auto kernel = *source->getOps<rt::KernelOp>().begin();
  codegen::KernelInfo info =
      codegen::emitKernel(builder, kernel, result.symbol, compiler_.target());
  result.grid = info.grid;
  result.scratchBytes = info.scratchBytes;
  for (const codegen::ErrorSiteInfo &site : info.sites) {
    auto ordinal = dyn_cast<FileLineColLoc>(site.loc);
    result.sites.push_back({site.message, ordinal ? ordinal.getLine() : 0});
  }
  if (options.mlirText) {
    llvm::raw_string_ostream stream(result.mlirText);
    code->print(stream);
  }
  return result;
}

llvm::Expected<CompiledKernel> Worker::compile(const Job &job,
                                               const CompileOptions &options) {
  std::string messages;
  ScopedDiagnosticHandler handler(&context_, [&](Diagnostic &diagnostic) {
    messages += (messages.empty() ? "" : "\n") + diagnostic.str();
    return success();
  });
  OwningOpRef<ModuleOp> code = ModuleOp::create(UnknownLoc::get(&context_));
  llvm::Expected<CompiledKernel> result = emit(job, *code, options);
  if (!result)
    return result;
  if (options.emit.verify && failed(verify(*code)))
    return failure("kernel '" + job.name + "': " + messages);
  llvm::Expected<codegen::ObjectCode> object = compiler_.compile(*code, options.emit);
  if (!object)
    return failure("kernel '" + job.name + "': " + llvm::toString(object.takeError()));
  result->code = std::move(*object);
  return result;
}

/// Refuses kernels that cannot be emitted, before any is.
llvm::Error checkKernels(ModuleOp module) {
  llvm::StringMap<Location> users;
  module.walk([&](rt::LaunchOp launch) {
    users.try_emplace(launch.getKernel(), launch.getLoc());
  });
  for (auto kernel : module.getOps<rt::KernelOp>()) {
    Operation *op = codegen::findUnsupported(kernel);
    if (!op)
      continue;
    auto user = users.find(kernel.getSymName());
    NodeLocation where = describe(user == users.end() ? op->getLoc() : user->second);
    return failure("no kernel can compute '" + op->getName().getStringRef() +
                   "', which node '" + where.node + "' at " + where.source + " needs");
  }
  return llvm::Error::success();
}

/// What the threads share.
struct Queue {
  std::vector<size_t> order; // slow jobs first
  std::atomic<size_t> next{0};
  std::mutex mutex;
  size_t done = 0;
  std::string error;
};

/// The kernel from the cache, else a worker's, which is made for the first of them.
llvm::Expected<CompiledKernel> findOrCompile(const Job &job,
                                             std::unique_ptr<Worker> &worker,
                                             const codegen::Target &target,
                                             const CompileOptions &options) {
  std::string key =
      options.cache ? options.cache->keyOf(job.content, options.symbolPrefix) : "";
  if (options.cache)
    if (std::optional<CompiledKernel> found = options.cache->find(key)) {
      found->name = job.name;
      found->cached = true;
      return std::move(*found);
    }
  if (!worker) {
    auto made = Worker::create(target);
    if (!made)
      return made.takeError();
    worker = std::move(*made);
  }
  llvm::Expected<CompiledKernel> result = worker->compile(job, options);
  if (result && options.cache)
    options.cache->add(key, *result);
  return result;
}

void runWorker(Queue &queue, const std::vector<Job> &jobs,
               const codegen::Target &target, const CompileOptions &options,
               std::vector<CompiledKernel> &results) {
  auto fail = [&](llvm::Error error) {
    std::lock_guard lock(queue.mutex);
    if (queue.error.empty())
      queue.error = llvm::toString(std::move(error));
    else
      llvm::consumeError(std::move(error));
    queue.next = jobs.size();
  };
  std::unique_ptr<Worker> worker;
  for (size_t i; (i = queue.next++) < jobs.size();) {
    size_t job = queue.order[i];
    auto result = findOrCompile(jobs[job], worker, target, options);
    if (!result)
      return fail(result.takeError());
    results[job] = std::move(*result);
    if (options.progress) {
      std::lock_guard lock(queue.mutex);
      options.progress(++queue.done, jobs.size());
    }
  }
}

} // namespace

llvm::Expected<std::vector<CompiledKernel>>
compileKernels(ModuleOp module, const codegen::Target &target,
               const CompileOptions &options) {
  if (llvm::Error error = checkKernels(module))
    return error;
  std::vector<Job> jobs = collectJobs(module);
  std::vector<CompiledKernel> results(jobs.size());
  Queue queue;
  queue.order.resize(jobs.size());
  std::iota(queue.order.begin(), queue.order.end(), 0);
  std::ranges::stable_sort(queue.order, std::greater<>(),
                           [&](size_t i) { return jobs[i].isContraction; });
  unsigned count =
      options.threads ? options.threads : std::thread::hardware_concurrency();
  count = std::max<unsigned>(1, std::min<size_t>(count, jobs.size()));
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < count; ++i)
    threads.emplace_back([&] { runWorker(queue, jobs, target, options, results); });
  runWorker(queue, jobs, target, options, results);
  for (std::thread &thread : threads)
    thread.join();
  if (!queue.error.empty())
    return failure(queue.error);
  return results;
}

llvm::Expected<std::string> emptyObject(const codegen::Target &target) {
  auto compiler = codegen::ObjectCompiler::create(target);
  if (!compiler)
    return compiler.takeError();
  DialectRegistry registry;
  codegen::registerKernelDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  auto code = compiler->compile(*module);
  if (!code)
    return code.takeError();
  return std::move(code->object);
}

} // namespace rtorch::emit
