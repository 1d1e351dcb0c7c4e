// Compiling exported PyTorch programs from C++.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace rtorch::compiler {

/// What a compilation leaves behind.
enum class Output {
  Rt,       ///< the graph in the value form of the rt dialect
  Schedule, ///< kernels, launches and memory plan
  Mlir,     ///< kernels as loops and vectors
  Llvm,     ///< kernels as LLVM IR
  Assembly, ///< kernels as assembly
  Object,   ///< the linked ELF image of all kernels
  Module,   ///< the .rtm file
  Static,   ///< a static library with the module in it, and its header beside
  Header,   ///< that header alone
};

struct Options {
  /// Levels ("x86-64-v3"), LLVM's CPU names, or native, separated by commas: the module
  /// has code for each. Empty: native, or the base of another architecture.
  std::string targetCpu;
  /// "aarch64-linux-gnu"; empty: this machine's.
  std::string target;
  /// What C calls a module of a static library; empty: after the output file.
  std::string name;
  Output output = Output::Module;
  /// Print the module to stderr after these passes ("import" and "fold" count as some).
  std::vector<std::string> dumpAfter;
  unsigned threads = 0; ///< 0: as many as the process may use
  /// Compare the importer's layouts with what the exporter recorded.
  bool crossCheck = false;
  /// Compute 3 x 3 convolutions of many channels with fewer multiplications where that
  /// pays (Winograd's F(2 x 2, 3 x 3)): faster, rounded in another way, and next to an
  /// infinite or NaN input some more pixels are NaN.
  bool winograd = true;
  /// Leave the weights out of the module and write them to this checkpoint (RTCH); they
  /// are given when the module is loaded. Empty: the module has its weights.
  std::string weights;
  /// A folder of compiled kernels, which other compilations share; empty: none.
  std::string kernelCache;
  uint64_t kernelCacheBytes = 1 << 30; ///< the least recently used go beyond this size
  /// Called with what is being done, at the start of each phase and after each kernel,
  /// by one thread at a time.
  std::function<void(const std::string &what)> progress;
};

/// What was compiled, and what it cost.
struct Report {
  std::string model;
  std::string targetCpu;
  std::string triple;
  uint64_t ops = 0; ///< nodes of the imported graph
  uint64_t launches = 0;
  uint64_t distinctKernels = 0;
  uint64_t cachedKernels = 0;   ///< of those, found in the cache
  uint64_t foldedConstants = 0; ///< values that were computed while compiling
  uint64_t foldedBytes = 0;
  uint64_t channelsLast = 0; ///< activations laid out with the channels innermost
  std::vector<std::string> layoutCopies; ///< ops that need such a tensor in rows again
  uint64_t views = 0;                    ///< tensors that are memory of another
  /// Copies that keep what eager's strides and aliasing are.
  struct Copy {
    std::string place;        ///< node and source line
    std::string bytes;        ///< an expression over the program's symbols
    int64_t exampleBytes = 0; ///< for the sizes of the exported example
  };
  std::vector<Copy> copies;
  /// Tensors that kernels read and write, by the kind of their layout.
  std::map<std::string, uint64_t> layouts;
  std::vector<std::pair<std::string, double>> seconds;       ///< per phase, in order
  std::vector<std::pair<std::string, double>> kernelSeconds; ///< per distinct kernel
  double totalSeconds = 0;
  uint64_t peakMemoryBytes = 0; ///< of the compiling process
  uint64_t levels = 1;          ///< CPUs that the module has code for
  uint64_t codeBytes = 0;
  uint64_t constantBytes = 0;
  uint64_t weights = 0; ///< tensors that are left out of the module
  uint64_t fileBytes = 0;
  std::string arenaBytes; ///< an expression over the program's symbols
  std::vector<std::string> openChecks;
};

/// Compiles the program in the archive `input`; writes `output` (a text for the text
/// outputs). On failure returns false with a message that names the node and source
/// line where there is one; no file is left behind.
bool compileFile(const std::string &input, const std::string &output,
                 const Options &options, Report &report, std::string &error);

/// The overloads of ops that graphs may use, sorted, by their names in the archive. The
/// in-place twin of an overload is understood too, and not listed.
std::vector<std::string> supportedOps();

/// "22.1.8; targets: aarch64, x86-64": LLVM's version and what code can be made for.
std::string llvmDescription();

} // namespace rtorch::compiler
