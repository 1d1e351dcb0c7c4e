#include "runtime/format/KernelAbi.h"
#include "runtime/format/ManifestCodec.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <vector>

namespace rtorch::format {
namespace {

/// Of runtime/core/PackMatrix.h, which lies above this folder.
constexpr uint64_t kDepthGroup = 4;

/// Collects the first rule that the manifest breaks.
class Validator {
public:
  explicit Validator(const Manifest &manifest) : m_(manifest) {}

  FormatStatus run() {
    checkExprs();
    checkSymbols();
    checkArguments();
    checkResults();
    checkMemory();
    checkSchedule();
    if (problem_.empty())
      return std::nullopt;
    return formatError(FormatErrorKind::Inconsistent, text("manifest: ", problem_));
  }

private:
  template <typename... Parts> void expect(bool holds, const Parts &...parts) {
    if (!holds && problem_.empty())
      problem_ = text(parts...);
  }
  void index(uint64_t value, size_t count, std::string_view where,
             std::string_view what) {
    expect(value < count, where, " refers to ", what, " ", value, ", but there are ",
           count);
  }
  /// An expression that is evaluated once for all rounds of loops.
  void expr(ExprId id, std::string_view where) {
    index(id, m_.exprs.size(), where, "expression");
    if (problem_.empty())
      expect(!round_[id], where, " depends on the round of a loop");
  }
  void roundExpr(ExprId id, std::string_view where) {
    index(id, m_.exprs.size(), where, "expression");
  }
  void operand(const Operand &operand, std::string_view where) {
    index(operand.storage, m_.storages.size(), where, "storage");
    roundExpr(operand.byte_offset, where);
  }

  void checkExprs() {
    round_.resize(m_.exprs.size());
    for (size_t i = 0; i < m_.exprs.size() && problem_.empty(); ++i) {
      const ExprNode &node = m_.exprs[i];
      const std::string where = text("expression ", i);
      if (node.op == ExprOp::Constant)
        continue;
      if (node.op == ExprOp::Round) {
        index(uint64_t(node.a), m_.loops, where, "loop");
        round_[i] = true;
        continue;
      }
      if (node.op == ExprOp::Symbol) {
        index(uint64_t(node.a), m_.symbols.size(), where, "symbol");
        continue;
      }
      // Operands lie before their user: the table can be evaluated in one pass.
      index(uint64_t(node.a), i, where, "earlier expression");
      index(uint64_t(node.b), i, where, "earlier expression");
      if (problem_.empty())
        round_[i] = round_[size_t(node.a)] || round_[size_t(node.b)];
    }
  }

  void checkSymbols() {
    for (const Symbol &symbol : m_.symbols) {
      const std::string where = text("symbol '", symbol.name, "'");
      expect(symbol.min <= symbol.max, where, " has an empty range");
      expect(symbol.step >= 1, where, " is read in steps of ", symbol.step);
      index(symbol.argument, m_.arguments.size(), where, "argument");
      if (!problem_.empty())
        return;
      const Argument &argument = m_.arguments[symbol.argument];
      if (symbol.dim == -1) {
        expect(argument.kind == Argument::Kind::Int, where,
               " is the value of an argument that is no integer");
      } else {
        expect(argument.kind == Argument::Kind::Tensor && symbol.dim >= 0 &&
                   size_t(symbol.dim) < argument.tensor.sizes.size(),
               where, " is read from a dimension that its argument lacks");
      }
    }
  }

  void spec(const TensorSpec &tensor, std::string_view where) {
    expect(tensor.sizes.size() <= kMaxRank, where, " has rank ", tensor.sizes.size());
    expect(tensor.sizes.size() == tensor.strides.size(), where, " has ",
           tensor.sizes.size(), " sizes, but ", tensor.strides.size(), " strides");
    for (ExprId id : tensor.sizes)
      expr(id, where);
    for (ExprId id : tensor.strides)
      expr(id, where);
  }

  void checkArguments() {
    for (const Argument &argument : m_.arguments) {
      const std::string where = text("argument '", argument.name, "'");
      if (argument.kind == Argument::Kind::Tensor) {
        spec(argument.tensor, where);
        expect(std::has_single_bit(argument.alignment), where, " has alignment ",
               argument.alignment);
      } else if (argument.kind == Argument::Kind::Int) {
        expr(argument.value, where);
      }
    }
  }

  void checkResults() {
    for (const Result &result : m_.results) {
      const std::string where = text("result '", result.name, "'");
      if (result.kind == Result::Kind::Int)
        expr(result.value, where);
      if (result.kind != Result::Kind::Tensor && result.kind != Result::Kind::View)
        continue;
      spec(result.tensor, where);
      if (result.kind != Result::Kind::View)
        continue;
      expr(result.byte_offset, where);
      index(result.storage, m_.storages.size(), where, "storage");
    }
  }

  void checkStorage(const Storage &storage, const std::string &where) {
    switch (storage.kind) {
    case StorageKind::Argument:
      index(storage.index, m_.arguments.size(), where, "argument");
      if (problem_.empty())
        expect(m_.arguments[storage.index].kind == Argument::Kind::Tensor, where,
               " is an argument that is no tensor");
      break;
    case StorageKind::Result:
      index(storage.index, m_.results.size(), where, "result");
      if (problem_.empty())
        expect(m_.results[storage.index].kind == Result::Kind::Tensor, where,
               " is a result that has no memory of its own");
      break;
    case StorageKind::Constant:
      index(storage.index, m_.constants.size(), where, "constant");
      break;
    case StorageKind::State:
      index(storage.index, m_.states.size(), where, "state");
      break;
    case StorageKind::Arena:
      expr(storage.offset, where);
      expr(storage.bytes, where);
      break;
    }
  }

  /// The matrix lies within its source, and the panels are as large as the constant.
  void checkPacking(const Constant &constant, const std::string &where) {
    const Packing &p = constant.packing;
    index(constant.source, m_.constants.size(), where, "constant");
    expect(p.element_bytes <= 8 && std::has_single_bit(p.element_bytes), where,
           " has elements of ", p.element_bytes, " bytes");
    expect(p.columns > 0 && p.k > 0 && p.n > 0, where, " packs nothing");
    if (!problem_.empty())
      return;
    const Constant &source = m_.constants[constant.source];
    expect(source.kind != Constant::Kind::Packed, where, " is packed twice");
    // Nothing overflows: 128 bits hold products of two of these.
    constexpr uint64_t kMax = uint64_t(1) << 48;
    for (const uint64_t value :
         {p.columns, p.k, p.n, p.offset, p.row_stride, p.column_stride})
      expect(value < kMax, where, " is too large");
    if (!problem_.empty())
      return;
    using Wide = unsigned __int128;
    const Wide last =
        p.offset + Wide(p.k - 1) * p.row_stride + Wide(p.n - 1) * p.column_stride;
    expect((last + 1) * p.element_bytes <= source.bytes, where,
           " is packed from behind its source");
    const Wide panels = (p.n + p.columns - 1) / p.columns,
               depth = (p.k + kDepthGroup - 1) / kDepthGroup * kDepthGroup;
    expect(panels < kMax && panels * p.columns < kMax &&
               panels * p.columns * depth * p.element_bytes == constant.bytes,
           where, " has another size than its panels");
  }

  void checkConstants() {
    for (const Constant &constant : m_.constants) {
      const std::string where = text("constant '", constant.name, "'");
      expect(constant.offset % RTORCH_ALIGNMENT == 0, where, " is not aligned to ",
             RTORCH_ALIGNMENT, " bytes");
      expect(constant.bytes <= UINT64_MAX - constant.offset, where, " has no end");
      if (constant.kind == Constant::Kind::Packed)
        checkPacking(constant, where);
    }
  }

  void checkWeights() {
    for (const Weight &weight : m_.weights) {
      const std::string where = text("weight '", weight.name, "'");
      spec(weight.tensor, where);
      index(weight.constant, m_.constants.size(), where, "constant");
      if (!problem_.empty())
        return;
      const Constant &constant = m_.constants[weight.constant];
      expect(constant.kind == Constant::Kind::Weight, where,
             " is none of its constant");
      expect(weight.byte_offset <= constant.bytes, where, " begins behind its storage");
    }
  }

  void checkMemory() {
    expr(m_.arena_bytes, "the arena's size");
    checkConstants();
    checkWeights();
    for (const State &state : m_.states) {
      const std::string where = text("state '", state.name, "'");
      spec(state.tensor, where);
      index(state.initial, m_.constants.size(), where, "constant");
      if (problem_.empty())
        expect(state.byte_offset <= m_.constants[state.initial].bytes, where,
               " begins behind its storage");
    }
    for (size_t i = 0; i < m_.storages.size(); ++i)
      checkStorage(m_.storages[i], text("storage ", i));
  }

  void checkLaunch(const Launch &launch) {
    const std::string where = text("launch '", launch.name, "'");
    index(launch.kernel, m_.kernels.size(), where, "kernel");
    for (const Operand &o : launch.operands)
      operand(o, where);
    for (ExprId id : launch.values)
      roundExpr(id, where);
    roundExpr(launch.grid, where);
    expr(launch.scratch_bytes, where);
  }

  /// A launch on constants that are there before anything is packed.
  void checkInit(const Launch &launch) {
    checkLaunch(launch);
    const std::string where = text("launch '", launch.name, "'");
    if (!problem_.empty())
      return;
    for (const Operand &o : launch.operands) {
      const Storage &storage = m_.storages[o.storage];
      expect(storage.kind == StorageKind::Constant, where,
             " has an operand that is no constant");
      if (problem_.empty())
        expect(m_.constants[storage.index].kind != Constant::Kind::Packed, where,
               " has an operand that is packed behind it");
      expr(o.byte_offset, where);
    }
    for (const ExprId id : launch.values)
      expr(id, where);
    expr(launch.grid, where);
  }

  void checkLoop(const Step &step, const std::string &where) {
    index(step.index, m_.loops, where, "loop");
    roundExpr(step.trips, where);
    expect(step.condition.size() <= 1, where, " has ", step.condition.size(),
           " conditions");
    if (!problem_.empty())
      return;
    expect(!seen_[step.index], where, " has the number of an earlier loop");
    seen_[step.index] = true;
  }

  /// The steps [begin, end), which belong to `depth` loops and branches.
  void checkSteps(size_t begin, size_t end, uint32_t depth) {
    expect(depth <= kMaxNesting, "loops and branches nest deeper than ", kMaxNesting);
    while (begin < end && problem_.empty()) {
      const Step &step = m_.steps[begin];
      const std::string where = text("step ", begin);
      ++begin;
      for (const Operand &condition : step.condition)
        operand(condition, where);
      if (step.kind == Step::Kind::Launch) {
        index(step.index, m_.schedule.size(), where, "launch");
        continue;
      }
      const bool isLoop = step.kind == Step::Kind::Loop;
      if (isLoop)
        checkLoop(step, where);
      else
        expect(step.condition.size() == 1, where, " is a branch with ",
               step.condition.size(), " conditions");
      expect(!isLoop || step.otherwise == 0, where, " is a loop with ", step.otherwise,
             " steps of a branch");
      const uint64_t otherwise = step.otherwise, room = end - begin;
      expect(step.body <= room && otherwise <= room - step.body, where, " covers ",
             step.body + otherwise, " steps, but ", room, " follow");
      if (!problem_.empty())
        return;
      checkSteps(begin, begin + step.body, depth + 1);
      checkSteps(begin + step.body, begin + step.body + otherwise, depth + 1);
      begin += step.body + otherwise;
    }
  }

  void checkSchedule() {
    for (const Check &check : m_.checks) {
      expr(check.lhs, "a check");
      expr(check.rhs, "a check");
    }
    for (const Kernel &kernel : m_.kernels)
      expect(!kernel.symbol.empty(), "kernel '", kernel.name, "' has no symbol");
    for (const Launch &launch : m_.schedule)
      checkLaunch(launch);
    for (const Launch &launch : m_.init)
      checkInit(launch);
    // Every loop is a step: a count beyond that must not ask for gigabytes.
    expect(m_.loops <= m_.steps.size(), "there are ", m_.loops, " loops, but ",
           m_.steps.size(), " steps");
    if (!problem_.empty())
      return;
    seen_.resize(m_.loops);
    checkSteps(0, m_.steps.size(), 0);
  }

  const Manifest &m_;
  std::string problem_;
  std::vector<bool> round_; // by expression: depends on the round of a loop
  std::vector<bool> seen_;  // by loop
};

} // namespace

FormatStatus validate(const Manifest &manifest) { return Validator(manifest).run(); }

namespace {

/// What the caller of a module sees of a tensor, whatever the level.
bool isSameTensor(const TensorSpec &a, const TensorSpec &b) {
  return a.dtype == b.dtype && a.sizes.size() == b.sizes.size() &&
         a.strides.size() == b.strides.size();
}

/// Where two levels promise something else; empty if nowhere.
std::string differenceOf(const Manifest &a, const Manifest &b) {
  const auto isSame = [](const auto &x, const auto &y) {
    return x.name == y.name && isSameTensor(x.tensor, y.tensor);
  };
  const auto isSameLeaf = [&](const auto &x, const auto &y) {
    return x.kind == y.kind && isSame(x, y) && x.constant == y.constant;
  };
  if (a.triple != b.triple)
    return "target";
  if (a.symbols != b.symbols)
    return "symbols";
  if (!std::ranges::equal(a.arguments, b.arguments, isSameLeaf))
    return "arguments";
  if (!std::ranges::equal(a.results, b.results, isSameLeaf))
    return "results";
  if (!std::ranges::equal(a.weights, b.weights, isSame))
    return "weights";
  if (!std::ranges::equal(a.states, b.states, isSame))
    return "buffers";
  return {};
}

} // namespace

FormatStatus validateLevels(std::span<const Manifest> levels) {
  if (levels.empty() || levels.size() > kMaxLevels)
    return formatError(
        FormatErrorKind::Inconsistent,
        text("expected 1 to ", kMaxLevels, " CPU levels, but got ", levels.size()));
  for (const Manifest &level : levels) {
    if (FormatStatus error = validate(level))
      return error;
    if (std::string what = differenceOf(levels.front(), level); !what.empty())
      return formatError(FormatErrorKind::Inconsistent,
                         text("the ", what, " for CPU '", level.cpu,
                              "' are others than those for '", levels.front().cpu,
                              "'"));
  }
  return std::nullopt;
}

} // namespace rtorch::format
