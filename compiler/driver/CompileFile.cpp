#include "compiler/driver/Pipeline.h"
#include "compiler/driver/SaveWeights.h"
#include "compiler/driver/Summary.h"
#include "compiler/emit/KernelCache.h"
#include "compiler/emit/LinkElf.h"
#include "compiler/emit/ModuleBuilder.h"
#include "compiler/emit/StaticLibrary.h"
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
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

#include <chrono>
#include <fstream>
#include <future>

using namespace mlir;

namespace rtorch::compiler {
namespace {

/// The program for one of the CPUs that the module is for.
struct Level {
  codegen::Target target;
  OwningOpRef<ModuleOp> module;
  std::optional<fold::FoldedStorages> folded;
  std::vector<emit::CompiledKernel> kernels;
  emit::ExternalWeights external; // where the weights are left out
  OwningOpRef<ModuleOp> init;
  std::vector<emit::ConstantSource> constants; // of its manifest
};

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
  llvm::Error runPasses(ModuleOp module, llvm::function_ref<void(PassManager &)> build);
  llvm::Error chooseTargets();
  llvm::Error lower(Level &level);
  llvm::Error foldConstants(Level &level);
  llvm::Error deferConstants(Level &level);
  llvm::Error link();
  int64_t firstFreeStorage() const;
  llvm::Error compile(Level &level);
  llvm::Error compileInit(Level &level);
  std::string symbolPrefix(const Level &level, llvm::StringRef kind) const;
  std::vector<std::string> takeObjects();
  llvm::Error write(const std::string &output);
  llvm::Error writeText(const std::string &output, llvm::StringRef text);
  llvm::Error build();
  void shareConstants();
  llvm::Error writeModule(const std::string &output);
  llvm::Error writeLibrary(const std::string &output, std::span<const std::byte> image);
  llvm::Error writeHeader(const std::string &output);
  std::string levelTexts(llvm::function_ref<std::string(const Level &)> text) const;
  std::string kernelTexts(std::string emit::CompiledKernel::*text,
                          std::string codegen::ObjectCode::*codeText = nullptr) const;
  std::span<const std::byte> storage(const Level &level, int64_t number) const;
  void collect(Diagnostic &diagnostic);
  llvm::Error diagnosed(const std::string &fallback);

  const Options &options_;
  Report &report_;
  MLIRContext context_;
  std::string messages_;
  ScopedDiagnosticHandler handler_;
  std::optional<importer::Program> program_;
  OwningOpRef<ModuleOp> module_;            // what all levels begin with
  std::vector<Level> levels_;               // the most demanding first
  std::vector<format::Manifest> manifests_; // of the levels
  std::string name_;                        // for C
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

llvm::Error Compilation::runPasses(ModuleOp module,
                                   llvm::function_ref<void(PassManager &)> build) {
  PassManager pm(&context_);
  build(pm);
  dumpAfter(pm, options_.dumpAfter);
  if (failed(pm.run(module)))
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

llvm::Error Compilation::deferConstants(Level &level) {
  auto weights = weightsOf(*program_);
  if (!weights)
    return weights.takeError();
  level.external.weights = std::move(*weights);
  report_.weights = level.external.weights.size();
  auto deferred = fold::deferConstants(*level.module, firstFreeStorage());
  if (!deferred)
    return deferred.takeError();
  level.init = std::move(deferred->module);
  level.external.init = level.init ? *level.init : ModuleOp();
  level.external.initStorages = std::move(deferred->storages);
  return llvm::Error::success();
}

llvm::Error Compilation::foldConstants(Level &level) {
  if (!options_.weights.empty()) {
    if (llvm::Error error = deferConstants(level))
      return error;
  } else {
    level.folded.emplace(firstFreeStorage());
    if (auto error = fold::foldConstants(
            *level.module, [&](int64_t number) { return storage(level, number); },
            options_.threads, *level.folded))
      return error;
    report_.foldedConstants = level.folded->count();
    report_.foldedBytes = level.folded->totalBytes();
  }
  if (llvm::is_contained(options_.dumpAfter, "fold"))
    level.module->print(llvm::errs());
  return llvm::Error::success();
}

/// "rtk_" for kernels of the only level, "rtk1_" for those of the next; behind the
/// module's name where they meet those of other modules.
std::string Compilation::symbolPrefix(const Level &level, llvm::StringRef kind) const {
  size_t number = &level - levels_.data();
  std::string prefix = name_.empty() ? "" : name_ + "_";
  return prefix + kind.str() + (number ? std::to_string(number) : "") + "_";
}

llvm::Error Compilation::compile(Level &level) {
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
    compile.cache = &cache.emplace(options_.kernelCache, level.target);
  compile.symbolPrefix = symbolPrefix(level, "rtk");
  auto kernels = emit::compileKernels(*level.module, level.target, compile);
  if (!kernels)
    return kernels.takeError();
  level.kernels = std::move(*kernels);
  report_.distinctKernels += level.kernels.size();
  uint64_t cached = std::ranges::count_if(level.kernels, &emit::CompiledKernel::cached);
  report_.cachedKernels += cached;
  if (cache && cached < level.kernels.size())
    cache->prune(options_.kernelCacheBytes);
  for (const emit::CompiledKernel &kernel : level.kernels)
    report_.kernelSeconds.emplace_back(
        levels_.size() == 1 ? kernel.name : kernel.name + "@" + level.target.cpu,
        (kernel.emitMs + kernel.code.times.total()) * 1e-3);
  return llvm::Error::success();
}

llvm::Error Compilation::compileInit(Level &level) {
  emit::CompileOptions compile;
  compile.threads = options_.threads;
  compile.symbolPrefix = symbolPrefix(level, "rti");
  auto kernels = emit::compileKernels(*level.init, level.target, compile);
  if (!kernels)
    return kernels.takeError();
  level.external.initKernels = std::move(*kernels);
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

/// One text after another; of several levels each with its CPU above.
std::string
Compilation::levelTexts(llvm::function_ref<std::string(const Level &)> text) const {
  std::string all;
  for (const Level &level : levels_) {
    if (levels_.size() > 1)
      all += "// CPU " + level.target.cpu + "\n";
    all += text(level);
  }
  return all;
}

std::string Compilation::kernelTexts(std::string emit::CompiledKernel::*text,
                                     std::string codegen::ObjectCode::*codeText) const {
  return levelTexts([&](const Level &level) {
    std::string all;
    for (const emit::CompiledKernel &kernel : level.kernels)
      all += "// kernel " + kernel.name + "\n" +
             (codeText ? kernel.code.*codeText : kernel.*text) + "\n";
    return all;
  });
}

std::span<const std::byte> Compilation::storage(const Level &level,
                                                int64_t number) const {
  for (const auto *payloads : {&program_->weights, &program_->constants})
    for (const auto &[name, payload] : *payloads)
      if (payload.storage == number)
        return payload.bytes;
  return level.folded ? level.folded->bytes(number) : std::span<const std::byte>();
}

/// Describes each level.
llvm::Error Compilation::build() {
  for (Level &level : levels_) {
    auto built = emit::buildModule(
        *level.module, program_->name, level.target, level.kernels,
        [&](int64_t number) { return storage(level, number); },
        options_.weights.empty() ? nullptr : &level.external);
    if (!built)
      return built.takeError();
    manifests_.push_back(std::move(built->manifest));
    level.constants = std::move(built->constants);
  }
  if (levels_.size() > 1)
    shareConstants();
  for (const auto &[level, index] : format::constantsToWrite(manifests_))
    report_.constantBytes += manifests_[level].constants[index].bytes;
  return llvm::Error::success();
}

/// Gives constants that are equal in several levels one place in the file: the same
/// storage, packed alike. What a level computed is known by its bytes.
void Compilation::shareConstants() {
  const int64_t firstFolded = firstFreeStorage();
  format::layOutConstants(manifests_, [&](size_t number, size_t index) {
    const emit::ConstantSource &source = levels_[number].constants[index];
    std::string text;
    llvm::raw_string_ostream stream(text);
    if (source.storage < firstFolded) {
      stream << source.storage;
    } else {
      auto bytes = storage(levels_[number], source.storage);
      llvm::XXH128_hash_t hash = llvm::xxh3_128bits(
          {reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()});
      stream << "computed " << hash.high64 << ' ' << hash.low64;
    }
    if (source.packed)
      for (int64_t part : {source.elementBytes, source.columns, source.k, source.n,
                           source.offset, source.rowStride, source.columnStride})
        stream << ' ' << part;
    return text;
  });
}

/// Gives the constants' bytes in the order of writing; one is packed while the one
/// before it is written.
class ConstantPacker {
public:
  using Pack = std::function<std::span<const std::byte>(
      size_t level, size_t index, std::vector<std::byte> &buffer)>;
  ConstantPacker(std::span<const format::Manifest> levels, Pack pack, bool parallel)
      : order_(format::constantsToWrite(levels)), pack_(std::move(pack)),
        policy_(parallel ? std::launch::async : std::launch::deferred) {}

  std::span<const std::byte> next() {
    std::span<const std::byte> bytes = pending_.valid() ? pending_.get() : pack(turn_);
    if (++turn_ < order_.size())
      pending_ = std::async(policy_, [this, turn = turn_] { return pack(turn); });
    return bytes;
  }

private:
  std::span<const std::byte> pack(size_t turn) {
    return pack_(order_[turn].first, order_[turn].second, buffers_[turn % 2]);
  }

  std::vector<std::pair<size_t, size_t>> order_;
  Pack pack_;
  std::launch policy_;
  std::vector<std::byte> buffers_[2];
  size_t turn_ = 0;
  std::future<std::span<const std::byte>> pending_; // ends before the buffers
};

llvm::Error Compilation::writeModule(const std::string &output) {
  ConstantPacker packer(
      manifests_,
      [this](size_t level, size_t index, std::vector<std::byte> &buffer) {
        return emit::constantBytes(
            levels_[level].constants[index],
            [&](int64_t number) { return storage(levels_[level], number); }, buffer);
      },
      options_.threads != 1);
  auto provider = [&](size_t, size_t) { return packer.next(); };
  if (options_.output == Output::Static) {
    std::vector<std::byte> image;
    if (auto error = format::writeModuleImage(image, {}, manifests_, provider))
      return failure(error->message);
    return writeLibrary(output, image);
  }
  if (auto error = format::writeModuleFile(output, std::as_bytes(std::span(elf_)),
                                           manifests_, provider))
    return failure(error->message);
  uint64_t bytes = 0;
  if (!llvm::sys::fs::file_size(output, bytes))
    report_.fileBytes = bytes;
  return llvm::Error::success();
}

llvm::Error Compilation::writeHeader(const std::string &output) {
  return writeText(output, emit::headerText(name_, manifests_.front()));
}

llvm::Error Compilation::writeLibrary(const std::string &output,
                                      std::span<const std::byte> image) {
  std::vector<std::string> symbols;
  for (const format::Manifest &manifest : manifests_)
    for (const format::Kernel &kernel : manifest.kernels)
      symbols.push_back(kernel.symbol);
  auto table =
      emit::embedModule(levels_.front().target, name_, image, std::move(symbols));
  if (!table)
    return table.takeError();
  std::vector<std::string> objects = takeObjects();
  for (const std::string &object : objects)
    report_.codeBytes += object.size();
  objects.push_back(std::move(*table));
  llvm::SmallString<128> header(output);
  llvm::sys::path::remove_filename(header);
  llvm::sys::path::append(header, name_ + ".h");
  if (llvm::Error error = writeHeader(std::string(header)))
    return error;
  if (llvm::Error error = emit::writeStaticLibrary(output, objects))
    return error;
  uint64_t bytes = 0;
  if (!llvm::sys::fs::file_size(output, bytes))
    report_.fileBytes = bytes;
  return llvm::Error::success();
}

llvm::Error Compilation::write(const std::string &output) {
  auto printed = [](ModuleOp module) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    module.print(stream);
    return text;
  };
  switch (options_.output) {
  case Output::Rt:
    return writeText(output, printed(*module_));
  case Output::Schedule:
    return writeText(output, levelTexts([&](const Level &level) {
                       return printed(ModuleOp(*level.module));
                     }));
  case Output::Mlir:
    return writeText(output, kernelTexts(&emit::CompiledKernel::mlirText));
  case Output::Llvm:
    return writeText(output, kernelTexts(nullptr, &codegen::ObjectCode::llvmText));
  case Output::Assembly:
    return writeText(output, kernelTexts(nullptr, &codegen::ObjectCode::assemblyText));
  case Output::Object:
    return writeText(output, elf_);
  case Output::Module:
  case Output::Static:
  case Output::Header:
    break;
  }
  if (!options_.weights.empty() && options_.output != Output::Header)
    if (auto error = saveWeights(*program_, options_.weights))
      return error;
  if (llvm::Error error = build())
    return error;
  return options_.output == Output::Header ? writeHeader(output) : writeModule(output);
}

std::vector<std::string> Compilation::takeObjects() {
  std::vector<std::string> objects;
  for (Level &level : levels_)
    for (auto *kernels : {&level.kernels, &level.external.initKernels})
      for (emit::CompiledKernel &kernel : *kernels)
        objects.push_back(std::move(kernel.code.object));
  return objects;
}

llvm::Error Compilation::link() {
  std::vector<std::string> objects = takeObjects();
  if (objects.empty()) {
    auto object = emit::emptyObject(levels_.front().target);
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

/// The CPUs to compile for, the most demanding first.
llvm::Error Compilation::chooseTargets() {
  auto targets = codegen::resolveTargets(options_.targetCpu, options_.target);
  if (!targets)
    return targets.takeError();
  for (codegen::Target &target : *targets) {
    report_.targetCpu += (levels_.empty() ? "" : ",") + target.cpu;
    levels_.emplace_back().target = std::move(target);
  }
  report_.levels = levels_.size();
  report_.triple = levels_.front().target.triple;
  return llvm::Error::success();
}

/// The graph to code for one CPU.
llvm::Error Compilation::lower(Level &level) {
  std::string suffix = levels_.size() == 1 ? "" : " " + level.target.cpu;
  level.module = module_->clone();
  if (auto error = phase("layouts" + suffix, [&] {
        return runPasses(*level.module, [&](PassManager &pm) {
          buildLayoutPipeline(pm, level.target, options_.winograd);
        });
      }))
    return error;
  if (auto error = phase("fold" + suffix, [&] { return foldConstants(level); }))
    return error;
  if (auto error = phase("schedule" + suffix, [&] {
        return runPasses(*level.module, [&](PassManager &pm) {
          buildSchedulePipeline(pm, level.target);
        });
      }))
    return error;
  if (&level == &levels_.front())
    summarize(*level.module, report_);
  if (options_.output == Output::Schedule)
    return llvm::Error::success();
  if (auto error = phase("codegen" + suffix, [&] { return compile(level); }))
    return error;
  if (level.init)
    return phase("init" + suffix, [&] { return compileInit(level); });
  return llvm::Error::success();
}

llvm::Error Compilation::run(const std::string &input, const std::string &output) {
  bool isModule = llvm::is_contained({Output::Module, Output::Static, Output::Header},
                                     options_.output);
  if (!options_.weights.empty() && !isModule)
    return failure("weights are left out of modules only");
  if (options_.output == Output::Static || options_.output == Output::Header) {
    llvm::StringRef stem = llvm::sys::path::stem(output);
    stem.consume_front("lib");
    name_ = emit::identifierOf(options_.name.empty() ? stem : options_.name);
  }
  if (auto error = chooseTargets())
    return error;
  context_.getOrLoadDialect<rt::RtDialect>();
  context_.getOrLoadDialect<func::FuncDialect>();
  if (auto error = phase("read", [&] { return read(input); }))
    return error;
  if (auto error = phase("import", [&] { return import(); }))
    return error;
  if (auto error = phase("graph", [&] {
        return runPasses(*module_, [](PassManager &pm) { buildGraphPipeline(pm); });
      }))
    return error;
  if (options_.output != Output::Rt)
    for (Level &level : levels_)
      if (auto error = lower(level))
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
