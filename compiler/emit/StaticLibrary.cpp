#include "compiler/emit/StaticLibrary.h"

#include "runtime/core/ExprTable.h"
#include "runtime/core/Value.h"
#include "runtime/format/KernelAbi.h"
#include "runtime/include/rtorch/runtime.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

using namespace llvm;

namespace rtorch::emit {
namespace {

/// So many bytes and more go to a section that linkers place behind all others, where
/// they push no code out of reach. Only x86-64 has such a section.
constexpr uint64_t kLargeBytes = uint64_t(1) << 29;

/// Builds the object's IR.
class Embedder {
public:
  Embedder(llvm::Module &module, const codegen::Target &target)
      : module_(module), context_(module.getContext()), target_(target) {}

  void define(StringRef name, StringRef bytes, ArrayRef<std::string> symbols);

private:
  GlobalVariable *constant(Constant *value, const Twine &name);
  Constant *text(StringRef value);
  Constant *number(uint64_t value, unsigned bits = 64) {
    return ConstantInt::get(IntegerType::get(context_, bits), value);
  }
  Constant *bytesOf(StringRef bytes);
  Constant *kernelTable(ArrayRef<std::string> symbols);

  llvm::Module &module_;
  LLVMContext &context_;
  const codegen::Target &target_;
};

GlobalVariable *Embedder::constant(Constant *value, const Twine &name) {
  return new GlobalVariable(module_, value->getType(), /*isConstant=*/true,
                            GlobalValue::PrivateLinkage, value, name);
}

Constant *Embedder::text(StringRef value) {
  return constant(ConstantDataArray::getString(context_, value), "text");
}

Constant *Embedder::bytesOf(StringRef bytes) {
  Constant *data =
      ConstantDataArray::getRaw(bytes, bytes.size(), Type::getInt8Ty(context_));
  GlobalVariable *global = constant(data, "bytes");
  global->setAlignment(Align(RTORCH_ALIGNMENT));
  if (bytes.size() >= kLargeBytes && target_.isX86()) {
    global->setSection(".lrodata.rtorch");
    global->setCodeModel(CodeModel::Large);
  }
  return global;
}

Constant *Embedder::kernelTable(ArrayRef<std::string> symbols) {
  auto *function = FunctionType::get(Type::getVoidTy(context_), false);
  SmallVector<Constant *> rows;
  for (const std::string &symbol : symbols) {
    auto *kernel =
        Function::Create(function, GlobalValue::ExternalLinkage, symbol, module_);
    // Nobody outside of what is linked from this library calls it.
    kernel->setVisibility(GlobalValue::HiddenVisibility);
    rows.push_back(ConstantStruct::getAnon({text(symbol), kernel}));
  }
  auto *pointer = PointerType::get(context_, 0);
  auto *row = StructType::get(context_, {pointer, pointer});
  return constant(ConstantArray::get(ArrayType::get(row, rows.size()), rows),
                  "kernels");
}

void Embedder::define(StringRef name, StringRef bytes, ArrayRef<std::string> symbols) {
  Constant *value = ConstantStruct::getAnon({number(sizeof(rtorch_embedded_module), 32),
                                             number(0, 32), text(name), bytesOf(bytes),
                                             number(bytes.size()), kernelTable(symbols),
                                             number(symbols.size())});
  auto *global = new GlobalVariable(module_, value->getType(), /*isConstant=*/true,
                                    GlobalValue::ExternalLinkage, value, name);
  global->setAlignment(Align(8));
}

std::string describe(const format::Manifest &manifest, const format::TensorSpec &spec) {
  auto list = [&](const std::vector<format::ExprId> &ids) {
    std::string out;
    for (format::ExprId id : ids)
      out += (out.empty() ? "" : ", ") + core::printExpr(manifest, id);
    return "[" + out + "]";
  };
  return std::string(core::dtypeName(spec.dtype)) + " " + list(spec.sizes) +
         " strides " + list(spec.strides);
}

/// Text of the program that may stand in a comment.
std::string commentOf(std::string text) {
  for (char &c : text)
    if (!isPrint(c) || c == '*')
      c = '?';
  return text;
}

} // namespace

std::string identifierOf(StringRef text) {
  std::string out;
  for (char c : text)
    out += isAlnum(c) || c == '_' ? c : '_';
  if (out.empty() || isDigit(out.front()))
    out.insert(0, "model_");
  return out;
}

Expected<std::string> embedModule(const codegen::Target &target, StringRef name,
                                  std::span<const std::byte> bytes,
                                  std::vector<std::string> symbols) {
  auto machine = codegen::createTargetMachine(target);
  if (!machine)
    return machine.takeError();
  LLVMContext context;
  llvm::Module module(name, context);
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  llvm::sort(symbols);
  Embedder(module, target)
      .define(name, {reinterpret_cast<const char *>(bytes.data()), bytes.size()},
              symbols);
  SmallVector<char, 0> object;
  raw_svector_ostream stream(object);
  legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr,
                                      CodeGenFileType::ObjectFile,
                                      /*DisableVerify=*/true))
    return createStringError("LLVM cannot emit objects for " + target.triple);
  passes.run(module);
  return std::string(object.begin(), object.end());
}

Error writeStaticLibrary(const std::string &path, ArrayRef<std::string> objects) {
  std::vector<std::string> names;
  for (size_t i = 0; i < objects.size(); ++i)
    names.push_back("rtorch_" + std::to_string(i) + ".o");
  std::vector<NewArchiveMember> members;
  for (auto [name, object] : zip_equal(names, objects)) {
    NewArchiveMember &member = members.emplace_back(MemoryBufferRef(object, name));
    member.MemberName = name;
  }
  Error error =
      writeArchive(path, members, SymtabWritingMode::NormalSymtab,
                   object::Archive::K_GNU, /*Deterministic=*/true, /*Thin=*/false);
  if (error)
    return createStringError("cannot write '" + path +
                             "': " + llvm::toString(std::move(error)));
  return Error::success();
}

std::string headerText(StringRef nameOfModule, const format::Manifest &manifest) {
  const std::string name = nameOfModule.str();
  std::string text = "/* '" + commentOf(manifest.model) + "', compiled by " +
                     manifest.producer + " for " + manifest.triple + ".\n";
  for (const format::Argument &argument : manifest.arguments)
    if (argument.kind == format::Argument::Kind::Tensor)
      text += " *\n * argument " + commentOf(argument.name) + ": " +
              commentOf(describe(manifest, argument.tensor)) + "\n";
  for (const format::Result &result : manifest.results)
    if (result.kind == format::Result::Kind::Tensor ||
        result.kind == format::Result::Kind::View)
      text += " *\n * result " + commentOf(result.name) + ": " +
              commentOf(describe(manifest, result.tensor)) + "\n";
  std::string guard = "RTORCH_MODULE_" + StringRef(name).upper() + "_H";
  text += " */\n#ifndef " + guard + "\n#define " + guard +
          "\n\n#include <rtorch/runtime.h>\n\n#ifdef __cplusplus\nextern \"C\" "
          "{\n#endif\n\n"
          "/* For rtorch_module_open_embedded, or rtorch::Module::embedded. */\n"
          "extern const rtorch_embedded_module " +
          name + ";\n\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
  return text;
}

} // namespace rtorch::emit
