#include "tools/rtorch-compile/Command.h"

#include "tools/progress/Progress.h"
#include "tools/recording/Recording.h"
#include "tools/rtorch-compile/Record.h"
#include "tools/rtorch-compile/ReportPrinter.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <unistd.h>

namespace rtorch::tools {
namespace {

const std::map<std::string, compiler::Output> kOutputs = {
    {"rt", compiler::Output::Rt},         {"schedule", compiler::Output::Schedule},
    {"mlir", compiler::Output::Mlir},     {"llvm", compiler::Output::Llvm},
    {"asm", compiler::Output::Assembly},  {"object", compiler::Output::Object},
    {"module", compiler::Output::Module}, {"static", compiler::Output::Static},
    {"header", compiler::Output::Header},
};

struct Arguments {
  std::string input, output, emit = "module";
  compiler::Options options;
  RecordSettings record;
  bool json = false, quiet = false;
};

bool isText(compiler::Output output) {
  return output != compiler::Output::Object && output != compiler::Output::Module &&
         output != compiler::Output::Static;
}

/// The name of what is written if the user gives none.
std::filesystem::path defaultOutput(const std::filesystem::path &input,
                                    compiler::Output output) {
  std::filesystem::path name = input.filename();
  if (output == compiler::Output::Static)
    return "lib" + name.stem().string() + ".a";
  return name.replace_extension(output == compiler::Output::Object ? ".so" : ".rtm");
}

void addOptions(CLI::App &app, Arguments &arguments) {
  app.add_option("model", arguments.input, "archive of torch.export.save (.pt2)")
      ->required();
  app.add_option(
      "-o,--output", arguments.output,
      "file to write; default: the model's name with .rtm, or stdout for text");
  app.add_option("--target-cpu", arguments.options.targetCpu,
                 "native, x86-64-v2, x86-64-v3, x86-64-v4 or a CPU name of LLVM; "
                 "several with commas: the module has code for each, and the best that "
                 "the CPU can run is chosen when it is loaded; default: native, or the "
                 "base of another architecture")
      ->type_name("CPU,...");
  app.add_option("--target", arguments.options.target,
                 "the system to compile for, such as aarch64-linux-gnu; default: this "
                 "machine's")
      ->type_name("TRIPLE");
  app.add_option(
         "--name", arguments.options.name,
         "what C programs call the module of --emit static and header; default: "
         "after the output file")
      ->type_name("NAME");
  app.add_option("--emit", arguments.emit,
                 "what to write; static: a library to link into programs, and its "
                 "header beside")
      ->check(CLI::IsMember({"rt", "schedule", "mlir", "llvm", "asm", "object",
                             "module", "static", "header"}))
      ->capture_default_str();
  app.add_option(
         "--weights", arguments.options.weights,
         "leave the weights out of the module and write them to this checkpoint "
         "(RTCH); 'external': beside the module, as .rtch. rtorch-run takes it "
         "with --weights")
      ->type_name("FILE");
  app.add_option(
         "--dump-after", arguments.options.dumpAfter,
         "print the module to stderr after this pass (import, rt-functionalize, ...)")
      ->type_name("PASS");
  app.add_option("--threads", arguments.options.threads,
                 "compile with so many threads; 0: all cores")
      ->capture_default_str();
  app.add_option("--kernel-cache", arguments.options.kernelCache,
                 "take equal kernels from this folder, and add others to it")
      ->type_name("DIR");
  app.add_flag("!--no-winograd", arguments.options.winograd,
               "sum over all taps of 3x3 convolutions, never by minimal filtering");
  app.add_flag("--cross-check", arguments.options.crossCheck,
               "warn where a layout differs from what the exporter recorded");
  app.add_flag("--json", arguments.json, "print the report as JSON");
  app.add_flag("-q,--quiet", arguments.quiet, "print no progress and no report");
  app.add_option("--store", arguments.record.store,
                 "record this compilation in the store of this directory; default: "
                 "RTORCH_STORE, or rtorch in the user's data directory")
      ->type_name("DIR");
  app.add_flag("--no-store", arguments.record.off, "record nothing");
  app.set_version_flag("--version",
                       std::string("rtorch-compile " RTORCH_VERSION "\nLLVM ") +
                           compiler::llvmDescription());
  app.add_flag_callback(
         "--list-ops",
         [] {
           for (const std::string &op : compiler::supportedOps())
             std::cout << op << "\n";
           throw CLI::Success();
         },
         "print the ops that programs may use, one a line, and exit")
      ->trigger_on_parse();
  app.footer("Exit status: 0 done, 1 failed, 2 wrong usage. Results go to stdout, "
             "diagnostics to stderr.");
}

/// Text goes to stdout if no file is named: through a temporary file, so that nothing
/// is printed on failure.
int printText(const std::filesystem::path &file) {
  std::ifstream stream(file);
  std::cout << stream.rdbuf() << std::flush;
  return std::cout ? 0 : 1;
}

int run(Arguments &arguments) {
  compiler::Options &options = arguments.options;
  options.output = kOutputs.at(arguments.emit);
  bool toStdout = arguments.output.empty() && isText(options.output);
  std::filesystem::path output = arguments.output;
  if (output.empty()) {
    output = toStdout ? std::filesystem::temp_directory_path() /
                            ("rtorch-" + std::to_string(getpid()) + ".txt")
                      : defaultOutput(arguments.input, options.output);
    if (toStdout && options.name.empty())
      options.name = std::filesystem::path(arguments.input).stem().string();
  }
  if (options.weights == "external")
    options.weights = std::filesystem::path(output).replace_extension(".rtch").string();
  Progress progress(!arguments.quiet);
  options.progress = [&](const std::string &what) { progress.show(what + " ..."); };
  compiler::Report report;
  std::string error;
  Recording recording(
      "rtorch-compile", "compile",
      factsOfCompile(arguments.input, output.string(), arguments.emit, options),
      arguments.record);
  bool done =
      compiler::compileFile(arguments.input, output.string(), options, report, error);
  recording.finish(done, resultsOfCompile(report, error));
  progress.clear();
  if (!done) {
    std::cerr << "rtorch-compile: error: " << error << "\n";
    return 1;
  }
  if (toStdout) {
    int status = printText(output);
    std::filesystem::remove(output);
    return status;
  }
  if (arguments.json)
    std::cout << reportJson(report, output.string());
  else if (!arguments.quiet)
    std::cout << reportText(report, output.string());
  return 0;
}

} // namespace

int compileCommand(int argc, char **argv) {
  CLI::App app("Compiles an exported PyTorch program to a native module.",
               "rtorch-compile");
  Arguments arguments;
  addOptions(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(arguments);
}

} // namespace rtorch::tools
