#include "compiler/fold/RunLaunches.h"

#include "compiler/emit/LinkElf.h"
#include "compiler/schedule/ViewChain.h"
#include "runtime/format/KernelAbi.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <atomic>
#include <dlfcn.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;
using rtorch::schedule::viewRoot;

namespace rtorch::fold {
namespace {

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError("constants cannot be folded: " + message);
}

/// Code that was just linked, in this process.
class LoadedImage {
public:
  static llvm::Expected<LoadedImage> load(const std::string &elf) {
    int descriptor = memfd_create("rtorch-constants", MFD_CLOEXEC);
    if (descriptor < 0 ||
        write(descriptor, elf.data(), elf.size()) != static_cast<ssize_t>(elf.size())) {
      if (descriptor >= 0)
        close(descriptor);
      return failure("no memory for their code");
    }
    std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    close(descriptor);
    if (!handle)
      return failure(dlerror());
    return LoadedImage(handle);
  }
  LoadedImage(LoadedImage &&other) : handle_(std::exchange(other.handle_, nullptr)) {}
  LoadedImage(const LoadedImage &) = delete;
  ~LoadedImage() {
    if (handle_)
      dlclose(handle_);
  }

  rtorch_kernel kernel(const std::string &symbol) const {
    return reinterpret_cast<rtorch_kernel>(dlsym(handle_, symbol.c_str()));
  }

private:
  explicit LoadedImage(void *handle) : handle_(handle) {}
  void *handle_;
};

struct AlignedDelete {
  void operator()(std::byte *memory) const {
    operator delete[](memory, std::align_val_t(RTORCH_ALIGNMENT));
  }
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;

AlignedBytes allocate(size_t bytes) {
  auto *memory = static_cast<std::byte *>(operator new[](
      std::max<size_t>(bytes, 1), std::align_val_t(RTORCH_ALIGNMENT)));
  return AlignedBytes(memory);
}

/// Only what is independent of symbols is computed here.
int64_t numberOf(const Expr &expr) {
  std::optional<int64_t> number = expr.constant();
  if (!number)
    llvm::report_fatal_error("a constant that depends on a symbol");
  return *number;
}

/// Bytes from the first element to the end of the last.
size_t extentOf(rt::TensorType type) {
  int64_t last = 0;
  for (auto [size, stride] : llvm::zip_equal(type.getSizes(), type.getStrides())) {
    if (numberOf(size) == 0)
      return 0;
    last += (numberOf(size) - 1) * numberOf(stride);
  }
  return (last + 1) * type.getElementBytes();
}

class Runner {
public:
  Runner(const LoadedImage &image, ArrayRef<emit::CompiledKernel> kernels,
         const emit::StorageBytes &storages, unsigned threads)
      : image_(image), kernels_(kernels), storages_(storages), threads_(threads) {}

  /// False if the kernel hit an error.
  bool run(rt::LaunchOp launch);
  ComputedValue take(Value value);

private:
  std::byte *memoryOf(Value value);
  int32_t runGrid(rtorch_kernel kernel, const rtorch_frame &frame, int64_t grid,
                  size_t scratchBytes) const;

  const LoadedImage &image_;
  ArrayRef<emit::CompiledKernel> kernels_;
  const emit::StorageBytes &storages_;
  unsigned threads_;
  llvm::DenseMap<Value, AlignedBytes> buffers_;
};

/// Where the elements of `value` begin.
std::byte *Runner::memoryOf(Value value) {
  Value root = viewRoot(value);
  std::byte *base;
  if (auto parameter = root.getDefiningOp<rt::ParameterOp>()) {
    base = const_cast<std::byte *>(storages_(parameter.getStorage()).data());
  } else {
    AlignedBytes &buffer = buffers_[root];
    if (!buffer)
      buffer = allocate(extentOf(tensorType(root)));
    base = buffer.get();
  }
  rt::TensorType type = tensorType(value);
  return base + numberOf(type.getOffset()) * type.getElementBytes();
}

int32_t Runner::runGrid(rtorch_kernel kernel, const rtorch_frame &frame, int64_t grid,
                        size_t scratchBytes) const {
  std::atomic<int64_t> next{0};
  std::atomic<int32_t> error{0};
  int64_t chunk = std::max<int64_t>(1, grid / (8 * threads_));
  auto work = [&] {
    AlignedBytes scratch = allocate(scratchBytes);
    for (int64_t begin; (begin = next.fetch_add(chunk)) < grid;)
      if (int32_t code =
              kernel(&frame, begin, std::min(begin + chunk, grid), scratch.get()))
        error = code;
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < threads_ && i < grid / chunk; ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers)
    helper.join();
  return error;
}

bool Runner::run(rt::LaunchOp launch) {
  auto kernel = llvm::find_if(kernels_, [&](const emit::CompiledKernel &k) {
    return k.name == launch.getKernel();
  });
  std::vector<void *> operands;
  for (ValueRange values :
       {ValueRange(launch.getInputs()), ValueRange(launch.getResults()),
        ValueRange(launch.getTargets())})
    for (Value value : values)
      operands.push_back(memoryOf(value));
  std::vector<int64_t> numbers;
  std::map<std::string, Expr> symbols;
  for (auto value : launch.getValues().getAsRange<rt::ExprAttr>()) {
    symbols["k" + std::to_string(numbers.size())] = value.getValue();
    numbers.push_back(numberOf(value.getValue()));
  }
  rtorch_frame frame{operands.data(), numbers.data()};
  return runGrid(image_.kernel(kernel->symbol), frame,
                 numberOf(kernel->grid.substitute(symbols)),
                 numberOf(kernel->scratchBytes.substitute(symbols))) == 0;
}

/// The bytes of a result, which PrepareResults gave memory of its own.
ComputedValue Runner::take(Value value) {
  size_t bytes = extentOf(tensorType(value));
  const std::byte *memory = memoryOf(value);
  return {tensorType(value), std::vector<std::byte>(memory, memory + bytes)};
}

} // namespace

llvm::Expected<std::vector<ComputedValue>>
runLaunches(ModuleOp module, const emit::StorageBytes &storages, unsigned threads) {
  auto target = codegen::resolveTarget("native");
  if (!target)
    return target.takeError();
  emit::CompileOptions options;
  options.threads = threads;
  auto kernels = emit::compileKernels(module, *target, options);
  if (!kernels)
    return kernels.takeError();
  std::vector<std::string> objects;
  for (emit::CompiledKernel &kernel : *kernels)
    objects.push_back(std::move(kernel.code.object));
  auto elf = emit::linkElf(objects);
  if (!elf)
    return elf.takeError();
  auto image = LoadedImage::load(*elf);
  if (!image)
    return image.takeError();
  Runner runner(*image, *kernels, storages,
                threads ? threads : std::max(1u, std::thread::hardware_concurrency()));
  auto function = *module.getOps<func::FuncOp>().begin();
  for (auto launch : function.front().getOps<rt::LaunchOp>())
    if (!runner.run(launch))
      return std::vector<ComputedValue>();
  std::vector<ComputedValue> results;
  for (Value value : function.front().getTerminator()->getOperands())
    results.push_back(runner.take(value));
  return results;
}

} // namespace rtorch::fold
