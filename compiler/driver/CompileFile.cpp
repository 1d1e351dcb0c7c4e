#include "compiler/driver/Pipeline.h"
#include "compiler/driver/SaveWeights.h"
#include "compiler/driver/Summary.h"
#include "compiler/emit/KernelCache.h"
#include "compiler/emit/LinkElf.h"
#include "compiler/emit/ModuleBuilder.h"
#include "compiler/fold/FoldConstants.h"
#include "compiler/import/GraphReader.h"
#include "compiler/import/ToRt.h"
#include "compiler/import/ops/Rules.h"
#include "compiler/include/rtorch/compiler.h"
#include "compiler/schedule/Passes.h"
#include "runtime/format/ModuleFile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"

#include <chrono>
#include <fstream>
#include <future>

using namespace mlir;

namespace rtorch::compiler {
namespace {

/// One compilation: its state, phase after phase.
class Compilation {
public:
  Compilation(const Options &options, Report &report)
      : options_(options), report_(report),
        handler_(&context_, [this](Diagnostic &diagnostic) {
          collect(diagnostic);
          return success();
        }) {}

  llvm::Error run(const std::string &input, const std::string &output);

private:
  using Phase = llvm::function_ref<llvm::Error()>;
  llvm::Error phase(const std::string &name, Phase body);
  llvm::Error read(const std::string &input);
  llvm::Error import();
  llvm::Error runPasses(llvm::function_ref<void(PassManager &)> build);
  llvm::Error foldConstants();
  llvm::Error deferConstants();
  llvm::Error compileInit();
  llvm::Error link();
  int64_t firstFreeStorage() const;
  llvm::Error compile();
  llvm::Error write(const std::string &output);
  llvm::Error writeText(const std::string &output, llvm::StringRef text);
  llvm::Error writeModule(const std::string &output, const emit::BuiltModule &built);
  std::string kernelTexts(
      llvm::function_ref<const std::string &(const emit::CompiledKernel &)> text) const;
  std::span<const std::byte> storage(int64_t number) const;
  void collect(Diagnostic &diagnostic);
  llvm::Error diagnosed(const std::string &fallback);

  const Options &options_;
  Report &report_;
  MLIRContext context_;
  std::string messages_;
  ScopedDiagnosticHandler handler_;
  std::optional<importer::Program> program_;
  OwningOpRef<ModuleOp> module_;
  std::optional<codegen::Target> target_;
  std::optional<fold::FoldedStorages> folded_;
  std::vector<emit::CompiledKernel> kernels_;
  emit::ExternalWeights external_; // where the weights are left out
  OwningOpRef<ModuleOp> init_;
  std::string elf_;
};

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// "node 'linear_3' at model.py:12: "
std::string prefixOf(Location loc) {
  std::string place = placeOf(loc);
  return place.empty() ? "" : place + ": ";
}

void Compilation::collect(Diagnostic &diagnostic) {
  if (diagnostic.getSeverity() == DiagnosticSeverity::Warning) {
    llvm::errs() << "warning: " << prefixOf(diagnostic.getLocation())
                 << diagnostic.str() << "\n";
    return;
  }
  messages_ += (messages_.empty() ? "" : "\n") + prefixOf(diagnostic.getLocation()) +
               diagnostic.str();
  for (Diagnostic &note : diagnostic.getNotes())
    messages_ += "\n  note: " + prefixOf(note.getLocation()) + note.str();
}

llvm::Error Compilation::diagnosed(const std::string &fallback) {
  return failure(messages_.empty() ? fallback : messages_);
}

llvm::Error Compilation::phase(const std::string &name, Phase body) {
  if (options_.progress)
    options_.progress(name);
  auto start = std::chrono::steady_clock::now();
  llvm::Error error = body();
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  report_.seconds.emplace_back(name, seconds.count());
  report_.totalSeconds += seconds.count();
  return error;
}

llvm::Error Compilation::read(const std::string &input) {
  auto program = importer::readProgram(input);
  if (!program.ok())
    return failure(program.message());
  program_ = std::move(*program);
  report_.model = program_->name;
  report_.ops = program_->graph.nodes.size();
  return llvm::Error::success();
}

llvm::Error Compilation::import() {
  importer::ImportOptions import;
  import.crossCheck = options_.crossCheck;
  auto module = importer::importProgram(context_, *program_, import);
  if (failed(module))
    return diagnosed("the program cannot be imported");
  module_ = std::move(*module);
  if (llvm::is_contained(options_.dumpAfter, "import"))
    module_->print(llvm::errs());
  return llvm::Error::success();
}

llvm::Error Compilation::runPasses(llvm::function_ref<void(PassManager &)> build) {
  PassManager pm(&context_);
  build(pm);
  dumpAfter(pm, options_.dumpAfter);
  if (failed(pm.run(*module_)))
    return diagnosed("a pass failed");
  return llvm::Error::success();
}

int64_t Compilation::firstFreeStorage() const {
  int64_t next = 0;
  for (const auto *payloads : {&program_->weights, &program_->constants})
    for (const auto &[name, payload] : *payloads)
      next = std::max<int64_t>(next, payload.storage + 1);
  return next;
}

llvm::Error Compilation::deferConstants() {
  auto weights = weightsOf(*program_);
  if (!weights)
    return weights.takeError();
  external_.weights = std::move(*weights);
  report_.weights = external_.weights.size();
  auto deferred = fold::deferConstants(*module_, firstFreeStorage());
  if (!deferred)
    return deferred.takeError();
  init_ = std::move(deferred->module);
  external_.init = init_ ? *init_ : ModuleOp();
  external_.initStorages = std::move(deferred->storages);
  if (llvm::is_contained(options_.dumpAfter, "fold"))
    module_->print(llvm::errs());
  return llvm::Error::success();
}

llvm::Error Compilation::foldConstants() {
  if (!options_.weights.empty())
    return deferConstants();
  folded_.emplace(firstFreeStorage());
  if (auto error = fold::foldConstants(
          *module_, [this](int64_t number) { return storage(number); },
          options_.threads, *folded_))
    return error;
  report_.foldedConstants = folded_->count();
  report_.foldedBytes = folded_->totalBytes();
  if (llvm::is_contained(options_.dumpAfter, "fold"))
    module_->print(llvm::errs());
  return llvm::Error::success();
}

llvm::Error Compilation::compile() {
  emit::CompileOptions compile;
  compile.threads = options_.threads;
  compile.mlirText = options_.output == Output::Mlir;
  compile.emit.llvmText = options_.output == Output::Llvm;
  if (options_.progress)
    compile.progress = [this](size_t done, size_t total) {
      options_.progress("codegen " + std::to_string(done) + " of " +
                        std::to_string(total) + " kernels");
    };
  compile.emit.assemblyText = options_.output == Output::Assembly;
  std::optional<emit::KernelCache> cache;
  bool onlyObjects =
      !compile.mlirText && !compile.emit.llvmText && !compile.emit.assemblyText;
  if (!options_.kernelCache.empty() && onlyObjects)
    compile.cache = &cache.emplace(options_.kernelCache, *target_);
  auto kernels = emit::compileKernels(*module_, *target_, compile);
  if (!kernels)
    return kernels.takeError();
  kernels_ = std::move(*kernels);
  report_.distinctKernels = kernels_.size();
  report_.cachedKernels =
      std::ranges::count_if(kernels_, &emit::CompiledKernel::cached);
  if (cache && report_.cachedKernels < report_.distinctKernels)
    cache->prune(options_.kernelCacheBytes);
  for (const emit::CompiledKernel &kernel : kernels_)
    report_.kernelSeconds.emplace_back(
        kernel.name, (kernel.emitMs + kernel.code.times.total()) * 1e-3);
  return llvm::Error::success();
}

llvm::Error Compilation::compileInit() {
  emit::CompileOptions compile;
  compile.threads = options_.threads;
  compile.symbolPrefix = "rti_";
  auto kernels = emit::compileKernels(*init_, *target_, compile);
  if (!kernels)
    return kernels.takeError();
  external_.initKernels = std::move(*kernels);
  return llvm::Error::success();
}

llvm::Error Compilation::writeText(const std::string &output, llvm::StringRef text) {
  llvm::SmallString<128> temporary;
  int descriptor;
  if (std::error_code error = llvm::sys::fs::createUniqueFile(output + ".%%%%%%.tmp",
                                                              descriptor, temporary))
    return failure("cannot write '" + output + "': " + error.message());
  llvm::scope_exit cleanup([&] { llvm::sys::fs::remove(temporary); });
  llvm::raw_fd_ostream file(descriptor, /*shouldClose=*/true);
  file << text;
  file.close();
  std::error_code error = file.error();
  file.clear_error();
  if (!error)
    error = llvm::sys::fs::rename(temporary, output);
  if (error)
    return failure("cannot write '" + output + "': " + error.message());
  cleanup.release();
  report_.fileBytes = text.size();
  return llvm::Error::success();
}

std::string Compilation::kernelTexts(
    llvm::function_ref<const std::string &(const emit::CompiledKernel &)> text) const {
  std::string all;
  for (const emit::CompiledKernel &kernel : kernels_)
    all += "// kernel " + kernel.name + "\n" + text(kernel) + "\n";
  return all;
}

std::span<const std::byte> Compilation::storage(int64_t number) const {
  for (const auto *payloads : {&program_->weights, &program_->constants})
    for (const auto &[name, payload] : *payloads)
      if (payload.storage == number)
        return payload.bytes;
  return folded_ ? folded_->bytes(number) : std::span<const std::byte>();
}

llvm::Error Compilation::writeModule(const std::string &output,
                                     const emit::BuiltModule &built) {
  emit::StorageBytes storages = [this](int64_t number) { return storage(number); };
  // The next constant is packed while one is written.
  std::vector<std::byte> buffers[2];
  size_t turn = 0;
  auto pack = [&](size_t index) {
    return emit::constantBytes(built.constants[index], storages, buffers[turn++ % 2]);
  };
  auto policy = options_.threads == 1 ? std::launch::deferred : std::launch::async;
  std::future<std::span<const std::byte>> next;
  const auto &constants = built.manifest.constants;
  auto isInFile = [](const format::Constant &constant) {
    return constant.kind == format::Constant::Kind::File;
  };
  auto provider = [&](size_t index) {
    std::span<const std::byte> bytes = next.valid() ? next.get() : pack(index);
    auto following =
        std::find_if(constants.begin() + index + 1, constants.end(), isInFile);
    // Buffers alternate by the order of writing, whatever is left out between.
    if (following != constants.end())
      next = std::async(policy, pack, following - constants.begin());
    return bytes;
  };
  auto error = format::writeModuleFile(output, std::as_bytes(std::span(elf_)),
                                       built.manifest, provider);
  if (error)
    return failure(error->message);
  uint64_t bytes = 0;
  if (!llvm::sys::fs::file_size(output, bytes))
    report_.fileBytes = bytes;
  for (const format::Constant &constant : llvm::make_filter_range(constants, isInFile))
    report_.constantBytes += constant.bytes;
  return llvm::Error::success();
}

llvm::Error Compilation::write(const std::string &output) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  switch (options_.output) {
  case Output::Rt:
  case Output::Schedule:
    module_->print(stream);
    return writeText(output, text);
  case Output::Mlir:
    return writeText(
        output, kernelTexts([](auto &kernel) -> auto & { return kernel.mlirText; }));
  case Output::Llvm:
    return writeText(output, kernelTexts([](auto &kernel) -> auto & {
                       return kernel.code.llvmText;
                     }));
  case Output::Assembly:
    return writeText(output, kernelTexts([](auto &kernel) -> auto & {
                       return kernel.code.assemblyText;
                     }));
  case Output::Object:
    return writeText(output, elf_);
  case Output::Module:
    break;
  }
  if (!options_.weights.empty())
    if (auto error = saveWeights(*program_, options_.weights))
      return error;
  auto built = emit::buildModule(
      *module_, program_->name, *target_, kernels_,
      [this](int64_t number) { return storage(number); },
      options_.weights.empty() ? nullptr : &external_);
  if (!built)
    return built.takeError();
  return writeModule(output, *built);
}

llvm::Error Compilation::link() {
  std::vector<std::string> objects;
  for (auto *kernels : {&kernels_, &external_.initKernels})
    for (emit::CompiledKernel &kernel : *kernels)
      objects.push_back(std::move(kernel.code.object));
  if (objects.empty()) {
    auto object = emit::emptyObject(*target_);
    if (!object)
      return object.takeError();
    objects.push_back(std::move(*object));
  }
  auto elf = emit::linkElf(objects);
  if (!elf)
    return elf.takeError();
  elf_ = std::move(*elf);
  report_.codeBytes = elf_.size();
  return llvm::Error::success();
}

llvm::Error Compilation::run(const std::string &input, const std::string &output) {
  if (!options_.weights.empty() && options_.output != Output::Module)
    return failure("weights are left out of modules only");
  auto target = codegen::resolveTarget(options_.targetCpu);
  if (!target)
    return target.takeError();
  target_ = *target;
  report_.targetCpu = target_->cpu;
  report_.triple = target_->triple;
  context_.getOrLoadDialect<rt::RtDialect>();
  context_.getOrLoadDialect<func::FuncDialect>();
  if (auto error = phase("read", [&] { return read(input); }))
    return error;
  if (auto error = phase("import", [&] { return import(); }))
    return error;
  if (auto error = phase("graph", [&] {
        return runPasses([](PassManager &pm) { buildGraphPipeline(pm); });
      }))
    return error;
  if (options_.output != Output::Rt) {
    if (auto error = phase("layouts", [&] {
          return runPasses([&](PassManager &pm) { buildLayoutPipeline(pm, *target_); });
        }))
      return error;
    if (auto error = phase("fold", [&] { return foldConstants(); }))
      return error;
    if (auto error = phase("schedule", [&] {
          return runPasses(
              [&](PassManager &pm) { buildSchedulePipeline(pm, *target_); });
        }))
      return error;
    summarize(*module_, report_);
  }
  if (options_.output != Output::Rt && options_.output != Output::Schedule)
    if (auto error = phase("codegen", [&] { return compile(); }))
      return error;
  if (init_)
    if (auto error = phase("init", [&] { return compileInit(); }))
      return error;
  if (options_.output == Output::Object || options_.output == Output::Module)
    if (auto error = phase("link", [&] { return link(); }))
      return error;
  return phase("write", [&] { return write(output); });
}

/// Of this process. Not from getrusage, which counts what the process was forked from.
uint64_t peakMemoryBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:"))
      return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  return 0;
}

} // namespace

bool compileFile(const std::string &input, const std::string &output,
                 const Options &options, Report &report, std::string &error) {
  Compilation compilation(options, report);
  llvm::Error result = compilation.run(input, output);
  report.peakMemoryBytes = peakMemoryBytes();
  if (!result)
    return true;
  error = llvm::toString(std::move(result));
  return false;
}

std::vector<std::string> supportedOps() {
  std::vector<std::string> ops;
  for (llvm::StringRef op : translate::ruleTable().keys())
    ops.push_back(op.str());
  std::ranges::sort(ops);
  return ops;
}

std::string llvmDescription() {
  return LLVM_VERSION_STRING "; targets: x86-64, aarch64";
}

} // namespace rtorch::compiler
