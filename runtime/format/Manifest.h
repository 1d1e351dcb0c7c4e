// What a module file says about itself: contract, constants, kernels, schedule.
//
// These structures are the decoded form, shared by the emitter, which fills and
// encodes them, and the loader, which decodes and checks them. Indices refer into
// the vectors of the Manifest; decode() rejects any that is out of bounds, so code
// behind it can index without checks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtorch::format {

/// Element types, numbered for the file. The order is frozen.
enum class DType : uint8_t {
  Bool = 0,
  U8 = 1,
  I8 = 2,
  I16 = 3,
  I32 = 4,
  I64 = 5,
  F16 = 6,
  BF16 = 7,
  F32 = 8,
  F64 = 9,
};

/// Operations of the expression table; operands are earlier entries of the table.
enum class ExprOp : uint8_t {
  Constant = 0, // the value `a`
  Symbol = 1,   // the value of symbols[a]
  Add = 2,
  Mul = 3,
  FloorDiv = 4, // rounds to minus infinity, as Python's //; division by 0 is an error
  Mod = 5,      // sign of the divisor, as Python's %
  Min = 6,
  Max = 7,
  Round = 8, // the number of the round that loop `a` is in, or ended before
};

/// One entry of the expression table: integers over the module's symbols, evaluated
/// in order once per new set of symbol values; those that depend on a loop's round, as
/// only operands, values and grids of launches, trip counts and conditions may, again
/// in each round. Overflow of int64 is an error.
struct ExprNode {
  ExprOp op = ExprOp::Constant;
  int64_t a = 0;
  int64_t b = 0;
  bool operator==(const ExprNode &) const = default;
};

using ExprId = uint32_t;

/// A size that is only known at run time. Its value is read from a dimension of an
/// argument or from an integer argument, which is `step` times the symbol and `offset`.
struct Symbol {
  std::string name;
  int64_t min = 0;
  int64_t max = INT64_MAX;
  uint32_t argument = 0;
  int32_t dim = -1; // -1: the value of the integer argument itself
  int64_t step = 1; // positive
  int64_t offset = 0;
  bool operator==(const Symbol &) const = default;
};

/// Where a buffer lives.
enum class StorageKind : uint8_t {
  Argument = 0, // memory of arguments[index]
  Result = 1,   // memory of results[index], the caller's or the instance's
  Constant = 2, // constants[index], read only, mapped from the file
  State = 3,    // states[index], owned by the instance
  Arena = 4,    // `offset` bytes into the instance's arena
};

struct Storage {
  StorageKind kind = StorageKind::Arena;
  uint32_t index = 0; // 0 for Arena
  ExprId offset = 0;  // Arena only: bytes, a multiple of RTORCH_ALIGNMENT
  ExprId bytes = 0;   // Arena only: size
  bool operator==(const Storage &) const = default;
};

/// Dtype, sizes and strides (in elements) of a tensor.
struct TensorSpec {
  DType dtype = DType::F32;
  std::vector<ExprId> sizes;
  std::vector<ExprId> strides;
  bool operator==(const TensorSpec &) const = default;
};

/// A constant leaf of the call: an argument that must equal it, or a result that is it.
struct ConstantValue {
  enum class Kind : uint8_t { None = 0, Bool = 1, Int = 2, Float = 3, String = 4 };
  Kind kind = Kind::None;
  int64_t integer = 0; // Bool and Int
  double real = 0;     // Float
  std::string string;  // String
  bool operator==(const ConstantValue &) const = default;
};

/// One argument of the flattened call, in order.
struct Argument {
  enum class Kind : uint8_t { Tensor = 0, Int = 1, Constant = 2 };
  Kind kind = Kind::Tensor;
  std::string name;
  TensorSpec tensor;      // Tensor
  ExprId value = 0;       // Int: what the integer must equal (usually a symbol)
  ConstantValue constant; // Constant
  uint32_t alignment = 1; // Tensor: bytes that the data pointer must be aligned to
  bool mutated = false;   // Tensor: the module writes to it
  std::string needed_by;  // op that fixes the strides, empty if none in particular
  std::string source;     // the user's source line of that op, "file.py:12", or empty
  bool operator==(const Argument &) const = default;
};

/// One result of the flattened call, in order.
struct Result {
  enum class Kind : uint8_t {
    Tensor = 0,   // written into memory of its own
    View = 1,     // aliases `storage` (an argument, state, constant or earlier result)
    Int = 2,      // the value of expression `value`
    Constant = 3, // `constant`
  };
  Kind kind = Kind::Tensor;
  std::string name;
  TensorSpec tensor;      // Tensor, View
  uint32_t storage = 0;   // View: index into storages
  ExprId byte_offset = 0; // View: from the start of that storage
  ExprId value = 0;       // Int
  ConstantValue constant; // Constant
  bool operator==(const Result &) const = default;
};

/// A matrix [k, n] of a constant that is packed into panels: see
/// runtime/core/PackMatrix.h. Strides and offset count elements.
struct Packing {
  uint64_t element_bytes = 0;
  uint64_t columns = 0; // of a panel
  uint64_t k = 0;
  uint64_t n = 0;
  uint64_t offset = 0;
  uint64_t row_stride = 0;
  uint64_t column_stride = 0;
  bool operator==(const Packing &) const = default;
};

/// Read-only bytes that all instances share.
struct Constant {
  enum class Kind : uint8_t {
    File = 0,     // in the file's constants section
    Weight = 1,   // a storage of weights that the caller brings
    Computed = 2, // written by the init schedule, when the module is loaded
    Packed = 3,   // packed from constants[source], behind the init schedule
  };
  std::string name; // the parameter's name; several for shared storage: the first
  Kind kind = Kind::File;
  uint64_t offset =
      0; // File: from the start of the constants section, a multiple of 64
  uint64_t bytes = 0;
  uint32_t source = 0; // Packed: a constant of another kind
  Packing packing;     // Packed
  bool operator==(const Constant &) const = default;
};

/// A tensor that the caller brings when the module is loaded. Its sizes and strides are
/// numbers; the strides say how it lies in the constant, not how it has to come.
struct Weight {
  std::string name; // fully qualified
  TensorSpec tensor;
  uint64_t byte_offset = 0; // of element 0 within the constant
  uint32_t constant = 0;    // of kind Weight; tied weights share one
  bool operator==(const Weight &) const = default;
};

/// A buffer that runs change; each instance starts with a copy of `initial`.
struct State {
  std::string name; // the buffer's fully qualified name
  TensorSpec tensor;
  uint64_t byte_offset = 0; // of element 0 within the storage
  uint32_t initial = 0;     // index into constants: the whole storage
  bool operator==(const State &) const = default;
};

/// A relation between sizes that the compiler could neither prove nor refute, or that
/// the exported program asserts: checked at every call with new sizes.
struct Check {
  enum class Relation : uint8_t { Eq = 0, Ne = 1, Lt = 2, Le = 3 };
  Relation relation = Relation::Eq;
  ExprId lhs = 0;
  ExprId rhs = 0;
  std::string message; // what needs it, e.g. "view of [s0, 6] as [s1, 12]"
  std::string source;
  bool operator==(const Check &) const = default;
};

/// A kernel function; `symbol` names it in the ELF image.
struct Kernel {
  std::string name;
  std::string symbol;
  bool operator==(const Kernel &) const = default;
};

struct Operand {
  uint32_t storage = 0;
  ExprId byte_offset = 0;
  bool operator==(const Operand &) const = default;
};

/// What a non-zero return of a kernel means.
struct ErrorSite {
  std::string message; // "index out of range in self"
  std::string node;    // FX node
  std::string source;  // "file.py:12"
  bool operator==(const ErrorSite &) const = default;
};

/// One run of a kernel. Each reads what earlier ones wrote.
struct Launch {
  uint32_t kernel = 0;
  std::string name;   // FX nodes that it computes, "linear+gelu"
  std::string source; // the user's source line of the last of them
  std::vector<Operand> operands;
  std::vector<ExprId> values;
  ExprId grid = 0;          // number of tiles
  ExprId scratch_bytes = 0; // per thread
  std::vector<ErrorSite> errors;
  bool operator==(const Launch &) const = default;
};

/// What a run does next. Loops and branches are followed by the steps that belong to
/// them, which may be loops and branches in turn.
struct Step {
  enum class Kind : uint8_t {
    Launch = 0, // schedule[index]
    Loop = 1,   // the next `body` steps, `trips` times
    Branch = 2, // the next `body` steps if the condition holds, else the `otherwise`
                // steps behind those
  };
  Kind kind = Kind::Launch;
  uint32_t index = 0; // Launch: into schedule; Loop: its number, see ExprOp::Round
  uint32_t body = 0;
  uint32_t otherwise = 0; // Branch only
  ExprId trips = 0;       // Loop only; a negative count is none
  /// A bool in memory: of a branch; of a loop that ends before a round in which it is
  /// false.
  std::vector<Operand> condition;
  bool operator==(const Step &) const = default;
};

/// Loops and branches nest no deeper.
inline constexpr uint32_t kMaxNesting = 32;

/// The whole of what a module file says, but for code and constant bytes.
struct Manifest {
  std::string model;                 // name of the exported program
  std::string producer;              // "rtorch 0.1.0"
  std::string triple;                // "x86_64-unknown-linux-gnu"
  std::string cpu;                   // "znver4"
  std::vector<std::string> features; // CPU features the code needs: "avx2", "fma", ...
  std::vector<Symbol> symbols;
  std::vector<ExprNode> exprs;
  std::vector<Storage> storages;
  std::vector<Argument> arguments;
  std::vector<Result> results;
  std::vector<Constant> constants;
  std::vector<Weight> weights;
  std::vector<State> states;
  std::vector<Check> checks;
  std::vector<Kernel> kernels;
  std::vector<Launch> init; // in order, when the module is loaded; on constants only
  std::vector<Launch> schedule;
  std::vector<Step> steps; // how the launches run
  uint32_t loops = 0;      // number of the schedule's loops
  ExprId arena_bytes = 0;
  bool operator==(const Manifest &) const = default;
};

} // namespace rtorch::format
