#include "tests/unit/import/DumpProgram.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <zlib.h>

using namespace rtorch::importer;
using rtorch::layout::Expr;

namespace {

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return std::string("f") + text;
}

/// Prints a graph; expressions are shown by their values at two points, so that the
/// text does not depend on how they are written.
class Dump {
public:
  explicit Dump(const Program &program) : program_(program) {
    for (const auto &[symbol, range] : program.ranges) {
      auto hint = program.hints.find(symbol);
      at_[0][symbol] = hint == program.hints.end() ? 5 : hint->second;
      at_[1][symbol] = at_[0][symbol] * 3 + 1;
    }
  }
  std::string print();

private:
  struct Show;
  std::string expr(const Expr &e) const {
    if (std::optional<int64_t> constant = e.constant())
      return std::to_string(*constant);
    std::string text = "<";
    for (const auto &point : at_) {
      std::optional<int64_t> value = e.evaluate(point);
      text += value ? std::to_string(*value) + "," : "?,";
    }
    return text + ">";
  }
  template <typename T, typename F>
  std::string list(const std::vector<T> &items, F &&show) const {
    std::string text = "[";
    for (const T &item : items)
      text += (text.size() > 1 ? ", " : "") + show(item);
    return text + "]";
  }
  std::string exprs(const std::vector<Expr> &items) const {
    return list(items, [&](const Expr &e) { return expr(e); });
  }
  std::string meta(const TensorMeta &m) const {
    return std::string(scalarTypeName(m.dtype)) + " " + exprs(m.sizes) + " " +
           exprs(m.strides) + " " + expr(m.offset);
  }
  std::string value(const Graph &graph, ValueId id) const;
  std::string argument(const Graph &graph, const Argument &argument) const;
  void printGraph(const Graph &graph, const std::string &indent);
  void printInputs();
  void printOutputs();
  [[gnu::format(printf, 2, 3)]] void put(const char *format, ...);

  const Program &program_;
  std::map<std::string, int64_t> at_[2];
  std::string text_;
};

void Dump::put(const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  std::vector<char> line(std::vsnprintf(nullptr, 0, format, arguments) + 1);
  std::vsnprintf(line.data(), line.size(), format, again);
  va_end(again);
  va_end(arguments);
  text_ += line.data();
}

std::string Dump::value(const Graph &graph, ValueId id) const {
  const Value &v = graph.value(id);
  if (const TensorMeta *tensor = v.tensor())
    return "%" + v.name + ": " + meta(*tensor);
  if (const SymInt *symbol = v.symInt())
    return "%" + v.name + ": int " + (symbol->expr ? expr(*symbol->expr) : "?");
  if (v.symFloat())
    return "%" + v.name + ": float";
  return "%" + v.name + ": bool";
}

/// What an argument looks like; values by name.
struct Dump::Show {
  const Dump &dump;
  const Graph &graph;

  std::string name(ValueId id) const { return "%" + graph.value(id).name; }
  template <typename T> std::string operand(const ScalarOperand<T> &item) const {
    return item.id ? name(*item.id) : (*this)(item.constant);
  }
  template <typename T> std::string items(const std::vector<T> &list) const {
    return dump.list(list, [&](const T &item) { return (*this)(item); });
  }

  std::string operator()(const None &) const { return "None"; }
  std::string operator()(const TensorRef &v) const { return name(v.id); }
  std::string operator()(const std::optional<TensorRef> &v) const {
    return v ? name(v->id) : "None";
  }
  std::string operator()(bool v) const { return v ? "True" : "False"; }
  std::string operator()(int64_t v) const { return std::to_string(v); }
  std::string operator()(double v) const { return number(v); }
  std::string operator()(const std::string &v) const { return "'" + v + "'"; }
  std::string operator()(const TensorList &v) const { return items(v); }
  std::string operator()(const OptionalTensorList &v) const { return items(v); }
  std::string operator()(const std::vector<int64_t> &v) const { return items(v); }
  std::string operator()(const std::vector<double> &v) const { return items(v); }
  std::string operator()(const std::vector<bool> &v) const {
    return dump.list(v, [&](bool item) { return (*this)(item); });
  }
  std::string operator()(const SymIntRef &v) const { return operand(v); }
  std::string operator()(const SymFloatRef &v) const { return operand(v); }
  std::string operator()(const SymBoolRef &v) const { return operand(v); }
  std::string operator()(const SymIntList &v) const { return items(v.items); }
  std::string operator()(ScalarType v) const { return std::string(scalarTypeName(v)); }
  std::string operator()(MemoryFormat v) const {
    const char *names[] = {"?", "contiguous_format", "channels_last",
                           "channels_last_3d", "preserve_format"};
    return names[static_cast<int>(v)];
  }
  std::string operator()(LayoutKind v) const {
    return v == LayoutKind::Strided ? "strided" : "?";
  }
  std::string operator()(const Device &v) const { return v.type; }
  std::string operator()(const GraphRef &v) const { return "graph " + v.name; }
  template <typename T> std::string operator()(const T &) const { return "?"; }
};

std::string Dump::argument(const Graph &graph, const Argument &argument) const {
  return std::visit(Show{*this, graph}, argument);
}

/// CRC-32 of the elements in row-major order, gathered through the strides.
uint32_t elementsCrc(const Payload &payload) {
  const TensorMeta &meta = payload.meta;
  size_t width = itemSize(meta.dtype);
  std::vector<int64_t> index(meta.sizes.size());
  uLong crc = crc32(0, nullptr, 0);
  for (const Expr &size : meta.sizes)
    if (size.isConstant(0))
      return static_cast<uint32_t>(crc);
  while (true) {
    int64_t at = *meta.offset.constant();
    for (size_t d = 0; d < index.size(); ++d)
      at += index[d] * *meta.strides[d].constant();
    const auto *element = payload.bytes.data() + static_cast<size_t>(at) * width;
    crc = crc32(crc, reinterpret_cast<const Bytef *>(element), width);
    size_t d = index.size();
    while (d > 0 && ++index[d - 1] == *meta.sizes[d - 1].constant())
      index[--d] = 0;
    if (d == 0)
      return static_cast<uint32_t>(crc);
  }
}

void Dump::printInputs() {
  const char *kinds[] = {"PARAMETER",  "BUFFER",         "CONSTANT_TENSOR",
                         "USER_INPUT", "CONSTANT_INPUT", "CUSTOM_OBJ",
                         "TOKEN"};
  std::map<uint32_t, std::string> groups; // storage -> first input that uses it
  for (const InputSpec &input : program_.inputs) {
    put("input %s %s %s", kinds[static_cast<int>(input.kind)], input.name.c_str(),
        input.target.c_str());
    if (input.kind == InputSpec::Kind::ConstantInput)
      put(" = %s", argument(program_.graph, input.argument).c_str());
    else if (const auto *tensor = std::get_if<TensorRef>(&input.argument))
      put(" %s", value(program_.graph, tensor->id).c_str());
    else if (const auto *symbol = std::get_if<SymIntRef>(&input.argument))
      put(" %s", value(program_.graph, *symbol->id).c_str());
    if (const Payload *payload = program_.payload(input)) {
      groups.emplace(payload->storage, input.target);
      put(" | %s crc %08x storage %s", meta(payload->meta).c_str(),
          elementsCrc(*payload), groups[payload->storage].c_str());
    }
    put("\n");
  }
}

void Dump::printOutputs() {
  const char *kinds[] = {"USER_OUTPUT",
                         "LOSS_OUTPUT",
                         "BUFFER_MUTATION",
                         "PARAMETER_MUTATION",
                         "USER_INPUT_MUTATION",
                         "GRADIENT_TO_PARAMETER",
                         "GRADIENT_TO_USER_INPUT",
                         "TOKEN"};
  for (const OutputSpec &output : program_.outputs)
    put("output %s %s %s\n", kinds[static_cast<int>(output.kind)],
        argument(program_.graph, output.argument).c_str(), output.target.c_str());
}

void Dump::printGraph(const Graph &graph, const std::string &indent) {
  for (const Node &node : graph.nodes) {
    put("%snode %s %s", indent.c_str(), node.name.c_str(), node.op.c_str());
    for (const NamedArgument &a : node.arguments)
      put(" %s=%s", a.name.c_str(), argument(graph, a.value).c_str());
    put("\n");
    for (const Argument &result : node.outputs) {
      if (const auto *tensors = std::get_if<TensorList>(&result))
        for (TensorRef tensor : *tensors)
          put("%s  -> %s\n", indent.c_str(), value(graph, tensor.id).c_str());
      if (const auto *tensor = std::get_if<TensorRef>(&result))
        put("%s  -> %s\n", indent.c_str(), value(graph, tensor->id).c_str());
      if (const auto *symbol = std::get_if<SymIntRef>(&result))
        put("%s  -> %s\n", indent.c_str(), value(graph, *symbol->id).c_str());
      if (const auto *symbol = std::get_if<SymFloatRef>(&result))
        put("%s  -> %s\n", indent.c_str(), value(graph, *symbol->id).c_str());
      if (const auto *symbol = std::get_if<SymBoolRef>(&result))
        put("%s  -> %s\n", indent.c_str(), value(graph, *symbol->id).c_str());
    }
    for (const NamedArgument &a : node.arguments)
      if (const auto *nested = std::get_if<GraphRef>(&a.value))
        printGraph(*nested->graph, indent + "    ");
  }
}

std::string Dump::print() {
  put("program %s\n", program_.isTrainingIr() ? "TRAINING" : "ATEN");
  for (const auto &[symbol, range] : program_.ranges)
    put("symbol %" PRId64 "..%" PRId64 " hint %" PRId64 "\n", range.min, range.max,
        at_[0].at(symbol));
  printInputs();
  printGraph(program_.graph, "");
  printOutputs();
  return std::move(text_);
}

} // namespace

std::string dumpProgram(const Program &program) { return Dump(program).print(); }
