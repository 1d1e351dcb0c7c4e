// An exported program as plain C++: what PyTorch's export schema says, resolved and
// checked, without JSON and without MLIR.
#pragma once

#include "runtime/layout/Expr.h"
#include "runtime/layout/Guards.h"

#include <complex>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace rtorch::importer {

// --- Enumerations: numbers of the export schema, not c10's
// ------------------------------

enum class ScalarType : uint8_t {
  Unknown = 0,
  Byte = 1,
  Char = 2,
  Short = 3,
  Int = 4,
  Long = 5,
  Half = 6,
  Float = 7,
  Double = 8,
  ComplexHalf = 9,
  ComplexFloat = 10,
  ComplexDouble = 11,
  Bool = 12,
  BFloat16 = 13,
  UInt16 = 28,
  Float8E4M3FN = 29,
  Float8E5M2 = 30,
  Float8E4M3FNUZ = 31,
  Float8E5M2FNUZ = 32,
  Float8E8M0FNU = 33,
  UInt32 = 34,
  UInt64 = 35,
};
/// Bytes of one element; 0 for Unknown.
unsigned itemSize(ScalarType type);
/// PyTorch's name without "torch.": "float32", "int64", "bool", ...
std::string_view scalarTypeName(ScalarType type);

enum class LayoutKind : uint8_t {
  Unknown = 0,
  SparseCoo = 1,
  SparseCsr = 2,
  SparseCsc = 3,
  SparseBsr = 4,
  SparseBsc = 5,
  Mkldnn = 6,
  Strided = 7,
};

enum class MemoryFormat : uint8_t {
  Unknown = 0,
  Contiguous = 1,
  ChannelsLast = 2,
  ChannelsLast3d = 3,
  Preserve = 4,
};

struct Device {
  std::string type; // "cpu"
  std::optional<int64_t> index;
  bool operator==(const Device &) const = default;
};

// --- Symbolic scalars
// -------------------------------------------------------------------

/// A boolean over integer expressions. The vector `operands` is used by And, Or and
/// Not; `lhs` and `rhs` by the comparisons; `value` by Constant.
struct BoolExpr {
  enum class Kind : uint8_t { Constant, Eq, Ne, Lt, Le, And, Or, Not };
  Kind kind = Kind::Constant;
  bool value = false;
  layout::Expr lhs, rhs;
  std::vector<BoolExpr> operands;

  /// "s0 <= 4 and not(s1 == 2)"
  std::string str() const;
  /// The value for given symbols; nullopt if one is missing, on overflow, and on
  /// division by zero.
  std::optional<bool> evaluate(const std::map<std::string, int64_t> &symbols) const;
};

/// A float64 over integer expressions: `value` is used by Constant, `integer` by
/// Integer (converted to float64), `operands` by the rest: two or more by Add, Mul, Min
/// and Max, two by Div and Pow, one by the functions.
struct RealExpr {
  enum class Kind : uint8_t {
    Constant,
    Integer,
    Add,
    Mul,
    Min,
    Max,
    Div,
    Pow,
    Sqrt,
    Exp,
    Log,
    Log2,
    Sin,
    Cos,
    Tanh
  };
  Kind kind = Kind::Constant;
  double value = 0;
  layout::Expr integer;
  std::vector<RealExpr> operands;
};

/// A symbolic scalar of the graph. `expr` is empty where the exporter used a function
/// that expressions over symbols do not have: the value is then known only by computing
/// its node, and `text` (sympy's srepr) and `unsupported` say why.
template <typename T, typename Hint> struct Symbolic {
  std::optional<T> expr;
  std::string text; // empty for a constant
  std::string unsupported;
  std::optional<Hint> hint;
};
using SymInt = Symbolic<layout::Expr, int64_t>;
using SymBool = Symbolic<BoolExpr, bool>;

using SymFloat = Symbolic<RealExpr, double>;

// --- Values
// -----------------------------------------------------------------------------

/// Sizes, strides (elements) and storage offset (elements) as eager gave them at export
/// time. The ranks of sizes and strides are equal.
struct TensorMeta {
  ScalarType dtype = ScalarType::Unknown;
  std::vector<layout::Expr> sizes;
  std::vector<layout::Expr> strides;
  layout::Expr offset;
  Device device;
  LayoutKind layout = LayoutKind::Strided;
  bool requiresGrad = false;

  /// "float32[s0, 384] strides [384, 1] offset 2"; the offset only where it is not 0.
  std::string str() const;
};

struct CustomObject {
  std::string classFqn;
};

/// Index into Graph::values.
using ValueId = uint32_t;

struct Value {
  std::string name;
  std::variant<TensorMeta, SymInt, SymFloat, SymBool, CustomObject> type;
  /// Index into Graph::nodes, or nullopt for a graph input.
  std::optional<uint32_t> producer;

  const TensorMeta *tensor() const { return std::get_if<TensorMeta>(&type); }
  const SymInt *symInt() const { return std::get_if<SymInt>(&type); }
  const SymFloat *symFloat() const { return std::get_if<SymFloat>(&type); }
  const SymBool *symBool() const { return std::get_if<SymBool>(&type); }
};

// --- Arguments
// --------------------------------------------------------------------------

struct Graph;
struct ArgumentMap;

struct None {
  bool operator==(const None &) const = default;
};
/// A tensor operand or result.
struct TensorRef {
  ValueId id;
  bool operator==(const TensorRef &) const = default;
};
using TensorList = std::vector<TensorRef>;
/// Tensor?[]: index.Tensor, index_put.
using OptionalTensorList = std::vector<std::optional<TensorRef>>;
using NestedTensorList = std::vector<TensorList>;

/// An int, float or bool argument that is a value of the graph or a constant.
template <typename T> struct ScalarOperand {
  std::optional<ValueId> id; // set: the value; not set: `constant`
  T constant{};
  bool operator==(const ScalarOperand &) const = default;
};
using SymIntRef = ScalarOperand<int64_t>;
using SymFloatRef = ScalarOperand<double>;
using SymBoolRef = ScalarOperand<bool>;
struct SymIntList {
  std::vector<SymIntRef> items;
};
struct SymFloatList {
  std::vector<SymFloatRef> items;
};
struct SymBoolList {
  std::vector<SymBoolRef> items;
};

struct CustomObjectRef {
  ValueId id;
  std::string classFqn;
};
/// An op passed to a higher-order op.
struct OperatorRef {
  std::string target;
};
/// The body of cond, while_loop, map, scan or of a wrapper; its inputs are the
/// operands.
struct GraphRef {
  std::string name;
  std::shared_ptr<Graph> graph; // never null
};

/// One argument: all members of the schema's union. Symbolic arguments that are
/// constants (`as_sym_int: {as_int: 3}`) arrive as int64_t, double or bool, and an
/// optional tensor as TensorRef or None; SymIntRef therefore always names a value.
using Argument =
    std::variant<None, TensorRef, TensorList, OptionalTensorList, NestedTensorList,
                 bool, std::vector<bool>, int64_t, std::vector<int64_t>, double,
                 std::vector<double>, std::complex<double>, std::string,
                 std::vector<std::string>, SymIntRef, SymIntList, SymFloatRef,
                 SymFloatList, SymBoolRef, SymBoolList, ScalarType, MemoryFormat,
                 LayoutKind, Device, GraphRef, CustomObjectRef, OperatorRef,
                 std::vector<std::vector<int64_t>>, std::vector<std::vector<double>>,
                 std::shared_ptr<ArgumentMap>>;

struct ArgumentMap {
  std::vector<std::pair<std::string, Argument>> entries;
};

/// "tensor", "int", "int list", ...: for messages.
std::string_view argumentKindName(const Argument &argument);

// --- Nodes
// ------------------------------------------------------------------------------

/// Where the model's source calls an op.
struct SourceLocation {
  /// Relative to Program::modelFolder, or to site-packages for a library's file.
  std::string file;
  int64_t line = 0;
  std::string function;
  std::string code;
  /// "model.py:12"
  std::string str() const;
};

struct NamedArgument {
  std::string name; // of the op's schema; empty for positional ones of higher-order ops
  Argument value;
  bool keyword = false;
  /// Filled in from the op's schema because the exporter left it out.
  bool isDefault = false;
};

struct Node {
  std::string name;
  /// As exported: "torch.ops.aten.add.Tensor", "_operator.mul", "torch.sym_max".
  std::string target;
  /// `target` without "torch.ops.": "aten.add.Tensor", "higher_order.cond",
  /// "_operator.mul", "torch.sym_max".
  std::string op;
  std::vector<NamedArgument> arguments;
  /// One entry per result of the schema: TensorRef, TensorList, SymIntRef, SymFloatRef,
  /// SymBoolRef, CustomObjectRef, or None for an undefined tensor.
  std::vector<Argument> outputs;
  std::optional<SourceLocation> source;
  /// The innermost nn.Module that called the op: "encoder.layer.0"; may be empty.
  std::string modulePath;

  /// The argument of that name, or nullptr.
  const Argument *find(std::string_view argument) const;
  bool isHigherOrder() const { return op.starts_with("higher_order."); }
  /// "'add_3' (aten.add.Tensor) at model.py:12"
  std::string describe() const;
};

/// A graph: inputs define values, nodes use earlier values and define new ones
/// (checked: every id is valid, every value has one definition that precedes its uses).
struct Graph {
  std::vector<Value> values;
  /// References to values, or constants (constant inputs).
  std::vector<Argument> inputs;
  std::vector<Node> nodes;
  std::vector<Argument> outputs;
  /// Sub-graphs only: the higher-order op returns a tensor, not a list.
  bool isSingleTensorReturn = false;

  const Value &value(ValueId id) const { return values[id]; }
  const TensorMeta &tensor(TensorRef ref) const { return *values[ref.id].tensor(); }
  /// Linear search by name; nullopt if there is none.
  std::optional<ValueId> findValue(std::string_view name) const;

  /// The expression of an integer argument: int64_t or SymIntRef. nullopt for another
  /// kind, and for a value whose expression is unsupported.
  std::optional<layout::Expr> intExpr(const Argument &argument) const;
  /// The same for a list: vector<int64_t> or SymIntList. A single integer counts as a
  /// list of one (int[1] arguments).
  std::optional<std::vector<layout::Expr>> intExprs(const Argument &argument) const;
};

// --- Program
// ----------------------------------------------------------------------------

struct InputSpec {
  enum class Kind : uint8_t {
    Parameter,
    Buffer,
    TensorConstant,
    UserInput,
    ConstantInput,
    CustomObject,
    Token,
  };
  Kind kind = Kind::UserInput;
  /// Equals Graph::inputs[i]. For a constant input the value that the call must pass.
  Argument argument;
  /// Name of the placeholder: "p_fc_weight", "x".
  std::string name;
  /// FQN of the parameter, buffer, constant or custom object; empty for inputs.
  std::string target;
  bool persistent = true; // buffers
};

struct OutputSpec {
  enum class Kind : uint8_t {
    UserOutput,
    LossOutput,
    BufferMutation,
    ParameterMutation,
    UserInputMutation,
    GradientToParameter,
    GradientToUserInput,
    Token,
  };
  Kind kind = Kind::UserOutput;
  /// Equals Graph::outputs[i].
  Argument argument;
  /// FQN of the buffer or parameter, or the name of the user input; else empty.
  std::string target;
};

/// A parameter, buffer or constant. Tensors that share a storage have equal `storage`
/// and equal `bytes`, and each its own meta.
struct Payload {
  TensorMeta meta; // constant sizes, strides and offset; within `bytes` (checked)
  /// The whole storage, little endian, in place in the mapped archive. 64-byte aligned
  /// in archives that PyTorch writes (see `aligned`).
  std::span<const std::byte> bytes;
  uint32_t storage = 0;
  bool isParameter = false;
  /// Whether `bytes` begins at a multiple of 64 in memory.
  bool aligned = false;
};

struct Program {
  std::string name; // "model"
  std::string torchVersion;
  int64_t schemaMinor = 0;
  /// "TRAINING" as exported, "ATEN" after run_decompositions().
  std::vector<std::string> verifiers;
  std::map<std::string, int64_t> opsets;

  Graph graph;
  std::vector<InputSpec> inputs;   // one per graph.inputs
  std::vector<OutputSpec> outputs; // one per graph.outputs
  /// Every symbol that occurs in sizes, strides, offsets or scalars has an entry.
  std::map<std::string, layout::Range> ranges;
  /// The exported example's value of each symbol that has one.
  std::map<std::string, int64_t> hints;
  /// Python expressions that inputs must satisfy, e.g. "L['x'].size()[0] % 2 == 0".
  std::vector<std::string> guardsCode;
  /// Names of forward()'s arguments; may be empty.
  std::vector<std::string> forwardArgNames;
  /// Pytree specs of inputs and outputs as JSON; may be empty.
  std::string inSpec, outSpec;

  /// The longest common folder of all source files of the user; SourceLocation::file is
  /// relative to it. Empty if there is none.
  std::string modelFolder;

  /// By FQN: parameters and persistent buffers; tensor constants and other buffers.
  std::map<std::string, Payload> weights;
  std::map<std::string, Payload> constants;
  /// Keeps the mapped archive alive.
  std::shared_ptr<const void> archive;

  bool isTrainingIr() const;
  /// The payload that an input is bound to; nullptr for user inputs, and in a program
  /// read from JSON alone.
  const Payload *payload(const InputSpec &input) const;
};

} // namespace rtorch::importer
