// Recurrent networks: a product for all time steps at once, then a loop over time with
// one product and one kernel for the gates in each step.
#include "compiler/import/ops/LoopBuilder.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

enum class Kind : uint8_t { Lstm, Gru, Tanh, Relu };

/// Parameters of one layer in one direction.
struct Cell {
  Value inputWeight, hiddenWeight;
  Value inputBias, hiddenBias; // may be null
  Value projection;            // may be null
};

/// What a cell carries from step to step: hidden state, and an LSTM's cell state.
struct State {
  Value hidden, cell;
};

Value sigmoid(Emitter &e, Value x) { return e.unary<rt::SigmoidOp>(x); }
Value tanh(Emitter &e, Value x) { return e.unary<rt::TanhOp>(x); }
Value add(Emitter &e, Value a, Value b) { return e.binary<rt::AddOp>(a, b); }
Value mul(Emitter &e, Value a, Value b) { return e.binary<rt::MulOp>(a, b); }

/// Part `index` of `count` of the last dim.
Value gate(Emitter &e, Value gates, int64_t index, int64_t count) {
  if (!gates)
    return gates;
  int64_t last = rankOf(gates) - 1;
  Expr size = floordiv(sizeOf(gates, last), count);
  return e.slice(gates, last, size * Expr(index), size * Expr(index + 1));
}

State stepLstm(Emitter &e, const Cell &cell, Value input, const State &state) {
  Value gates =
      add(e, e.linear(state.hidden, cell.hiddenWeight, cell.hiddenBias), input);
  Value in = sigmoid(e, gate(e, gates, 0, 4)),
        forget = sigmoid(e, gate(e, gates, 1, 4));
  Value fresh = tanh(e, gate(e, gates, 2, 4)), out = sigmoid(e, gate(e, gates, 3, 4));
  Value next = add(e, mul(e, forget, state.cell), mul(e, in, fresh));
  Value hidden = mul(e, out, tanh(e, next));
  if (cell.projection)
    hidden = e.linear(hidden, cell.projection, {});
  return {hidden, next};
}

State stepGru(Emitter &e, const Cell &cell, Value input, const State &state) {
  Value hidden = e.linear(state.hidden, cell.hiddenWeight, cell.hiddenBias);
  Value reset = sigmoid(e, add(e, gate(e, hidden, 0, 3), gate(e, input, 0, 3)));
  Value update = sigmoid(e, add(e, gate(e, hidden, 1, 3), gate(e, input, 1, 3)));
  Value fresh =
      tanh(e, add(e, gate(e, input, 2, 3), mul(e, gate(e, hidden, 2, 3), reset)));
  Value kept = mul(e, e.binary<rt::SubOp>(state.hidden, fresh), update);
  return {add(e, kept, fresh), {}};
}

/// One step. `input` is the step's input times the input weights.
State step(Emitter &e, Kind kind, const Cell &cell, Value input, const State &state) {
  if (kind == Kind::Lstm)
    return stepLstm(e, cell, input, state);
  if (kind == Kind::Gru)
    return stepGru(e, cell, input, state);
  Value sum = add(e, e.linear(state.hidden, cell.hiddenWeight, cell.hiddenBias), input);
  return {kind == Kind::Tanh ? tanh(e, sum) : e.unary<rt::ReluOp>(sum), {}};
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

/// In half precision eager keeps float32 between the roundings of the states: here
/// everything is computed in it.
Value widened(Emitter &e, Value x) {
  return x && isHalf(dtypeOf(x)) ? e.convert(x, ScalarType::Float) : x;
}

Value operand(Call &c, std::string_view name) { return widened(c, c.tensor(name)); }

/// The states given as `hx`; null where an error was reported.
State givenState(Call &c, Kind kind) {
  if (kind != Kind::Lstm)
    return {operand(c, "hx"), {}};
  std::vector<Value> states = c.tensors("hx");
  if (states.size() == 2)
    return {widened(c, states[0]), widened(c, states[1])};
  c.error() << "expects two initial states, but got " << states.size();
  return {};
}

/// The results in the dtype of the input.
Results rounded(Call &c, std::vector<Value> results) {
  ScalarType dtype = dtypeOf(c.tensor("input"));
  for (Value &result : results) {
    result = c.convert(result, dtype);
    if (!result)
      return mlir::failure();
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Networks
//===----------------------------------------------------------------------===//

/// All time steps of one layer in one direction: the hidden states stacked, and the
/// last state. `input` is [time, batch, features].
Value runLayer(Call &c, Kind kind, const Cell &cell, Value input, bool backward,
               State &state) {
  Value products = c.linear(input, cell.inputWeight, cell.inputBias);
  if (!products)
    return {};
  bool isLstm = kind == Kind::Lstm;
  LoopSpec loop;
  loop.trips = sizeOf(input, 0);
  loop.inits = {state.hidden};
  if (isLstm)
    loop.inits.push_back(state.cell);
  loop.reversed = {backward};
  std::vector<Value> results =
      buildLoop(c, loop, [&](const Expr &round, llvm::ArrayRef<Value> carried) {
        Expr time = backward ? loop.trips - 1 - round : round;
        State before{carried[0], isLstm ? carried[1] : Value()};
        State after = step(c, kind, cell, selectRound(c, products, 0, time), before);
        std::vector<Value> given{after.hidden};
        if (isLstm)
          given.push_back(after.cell);
        given.push_back(after.hidden);
        return given;
      });
  if (results.empty())
    return {};
  state = {results[0], isLstm ? results[1] : Value()};
  return results.back();
}

/// The parameters in the order that modules keep them in: for each layer, for each
/// direction.
std::vector<Cell> cells(Call &c, bool projected) {
  std::vector<Value> parameters = c.tensors("params");
  bool biases = c.boolean("has_biases");
  size_t each = 2 + (biases ? 2 : 0) + (projected ? 1 : 0);
  size_t count = *c.integer("num_layers") *
                 static_cast<size_t>(c.boolean("bidirectional") ? 2 : 1);
  if (parameters.size() != each * count) {
    c.error() << "expects " << each * count << " parameters, but got "
              << parameters.size();
    return {};
  }
  for (Value &parameter : parameters)
    parameter = widened(c, parameter);
  std::vector<Cell> cells(count);
  auto next = parameters.begin();
  for (Cell &cell : cells) {
    cell.inputWeight = *next++, cell.hiddenWeight = *next++;
    if (biases)
      cell.inputBias = *next++, cell.hiddenBias = *next++;
    if (projected)
      cell.projection = *next++;
  }
  return cells;
}

/// The last states of all layers and directions, stacked along a new first dim.
Value stackStates(Call &c, llvm::ArrayRef<Value> states) {
  std::vector<Value> parts;
  for (Value state : states)
    parts.push_back(state ? c.unsqueeze(state, 0) : state);
  return parts.size() == 1 ? parts.front() : c.cat(parts, 0);
}

Results network(Call &c, Kind kind) {
  Value input = operand(c, "input");
  auto [hidden, cell] = givenState(c, kind);
  if (!input || !hidden || (kind == Kind::Lstm && !cell))
    return mlir::failure();
  if (rankOf(input) != 3 || rankOf(hidden) != 3 || (cell && rankOf(cell) != 3)) {
    c.error() << "expects an input and initial states of rank 3, but got "
              << rt::tensorType(input) << " and " << rt::tensorType(hidden);
    return mlir::failure();
  }
  bool batchFirst = c.boolean("batch_first"),
       bidirectional = c.boolean("bidirectional");
  bool projected = cell && sizeOf(hidden, 2) != sizeOf(cell, 2);
  std::vector<Cell> all = cells(c, projected);
  if (all.empty())
    return mlir::failure();
  if (batchFirst)
    input = c.transpose(input, 0, 1);
  std::vector<Value> lastHidden, lastCell, outputs;
  for (auto [i, parameters] : llvm::enumerate(all)) {
    bool backward = bidirectional && i % 2 == 1;
    State state{c.select(hidden, 0, static_cast<int64_t>(i)),
                cell ? c.select(cell, 0, static_cast<int64_t>(i)) : Value()};
    outputs.push_back(runLayer(c, kind, parameters, input, backward, state));
    if (!outputs.back())
      return mlir::failure();
    lastHidden.push_back(state.hidden);
    lastCell.push_back(state.cell);
    if (bidirectional && !backward)
      continue;
    input = bidirectional ? c.cat(outputs, 2) : outputs.front();
    outputs.clear();
  }
  std::vector<Value> results{input, stackStates(c, lastHidden)};
  if (cell)
    results.push_back(stackStates(c, lastCell));
  Results narrow = rounded(c, std::move(results));
  if (succeeded(narrow) && batchFirst)
    narrow->front() = c.transpose(narrow->front(), 0, 1);
  return narrow;
}

/// One step outside of a loop.
Results single(Call &c, Kind kind) {
  Value input = operand(c, "input");
  State state = givenState(c, kind);
  Cell cell{operand(c, "w_ih"),
            operand(c, "w_hh"),
            widened(c, c.optionalTensor("b_ih")),
            widened(c, c.optionalTensor("b_hh")),
            {}};
  if (!input || !state.hidden)
    return mlir::failure();
  State next =
      step(c, kind, cell, c.linear(input, cell.inputWeight, cell.inputBias), state);
  if (!next.hidden)
    return mlir::failure();
  std::vector<Value> results{next.hidden};
  if (kind == Kind::Lstm)
    results.push_back(next.cell);
  return rounded(c, std::move(results));
}

std::string refuseTraining(const importer::Graph &, const importer::Node &node) {
  auto find = [&]<typename T>(std::string_view name, T otherwise) {
    const importer::Argument *argument = node.find(name);
    auto *value = argument ? std::get_if<T>(argument) : nullptr;
    return value ? *value : otherwise;
  };
  if (find("train", false) && find("dropout", 0.0) != 0 &&
      find("num_layers", int64_t(1)) > 1)
    return "dropout between layers is not supported; call eval() before exporting";
  return {};
}

std::string refusePacked(const importer::Graph &, const importer::Node &) {
  return "packed sequences are not supported; pass padded tensors";
}

} // namespace

void addRecurrentRules(RuleTable &table) {
  for (auto [name, kind] :
       {std::pair{"aten.lstm", Kind::Lstm}, std::pair{"aten.gru", Kind::Gru},
        std::pair{"aten.rnn_tanh", Kind::Tanh},
        std::pair{"aten.rnn_relu", Kind::Relu}}) {
    auto rule = [kind = kind](Call &c) { return network(c, kind); };
    std::string padded = std::string(name) + ".input",
                packed = std::string(name) + ".data";
    addMultiRule(table, {padded, packed}, rule);
    table[padded].refuse = refuseTraining;
    table[packed].refuse = refusePacked;
    auto cell = [kind = kind](Call &c) { return single(c, kind); };
    addMultiRule(table, {std::string(name) + "_cell.default"}, cell);
  }
}

} // namespace rtorch::translate
