// torch.einsum: operands are brought to one order of labels and contracted from left to
// right, each pair as one batched product. The order of dims in between is PyTorch's,
// because the result is a view whose strides follow from it.
#include "compiler/import/ops/Rules.h"

#include <map>

namespace rtorch::translate {
namespace {

/// Labels are letters; the dims of an ellipsis are numbered from here on.
constexpr int kEllipsis = 256;

/// The labels of one operand, one a dim.
using Labels = std::vector<int>;

struct Equation {
  std::vector<Labels> operands;
  Labels result;
};

/// An Einstein summation over operands of the same rank.
class Einsum {
public:
  Einsum(Call &call, std::vector<Value> operands)
      : c(call), operands_(std::move(operands)) {}

  Value run(std::string_view equation);

private:
  std::optional<Equation> parse(std::string_view text);
  std::optional<Labels> parseOperand(std::string_view text, int64_t rank);
  Labels parseResult(std::string_view text);
  Labels impliedResult(const Equation &equation) const;
  bool orderLabels(const Equation &equation);
  Value arrange(Value operand, const Labels &labels);
  Value multiply(Value left, Value right, const std::vector<bool> &summed);
  Value sumOver(Value x, int64_t dim) { return c.reduce<rt::SumOp>(x, {dim}, true); }

  Call &c;
  std::vector<Value> operands_;
  int ellipsisDims_ = 0;
  std::map<int, int64_t> place_; // of each label: results first, then what is summed
  int64_t resultRank_ = 0;
};

bool isOne(Value x, int64_t dim) { return sizeOf(x, dim).isConstant(1); }

std::optional<Labels> Einsum::parseOperand(std::string_view text, int64_t rank) {
  Labels labels;
  std::optional<size_t> ellipsis;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ')
      continue;
    if (text.substr(i).starts_with("...") && !ellipsis) {
      ellipsis = labels.size();
      i += 2;
      continue;
    }
    if (!std::isalpha(static_cast<unsigned char>(text[i]))) {
      c.error() << "einsum: expects letters and one '...' for an operand, but got '"
                << text << "'";
      return std::nullopt;
    }
    labels.push_back(text[i]);
  }
  int64_t rest = rank - static_cast<int64_t>(labels.size());
  if (rest < 0 || (rest > 0 && !ellipsis)) {
    c.error() << "einsum: '" << text << "' has " << labels.size()
              << " labels for an operand of rank " << rank;
    return std::nullopt;
  }
  if (ellipsis)
    for (int64_t i = 0; i < rest; ++i) // right-aligned among operands
      labels.insert(labels.begin() + *ellipsis + i, kEllipsis + i - rest);
  ellipsisDims_ = std::max<int>(ellipsisDims_, ellipsis ? rest : 0);
  return labels;
}

Labels Einsum::parseResult(std::string_view text) {
  Labels labels;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("...")) {
      for (int dim = 0; dim < ellipsisDims_; ++dim)
        labels.push_back(kEllipsis + dim - ellipsisDims_);
      i += 2;
    } else if (text[i] != ' ') {
      labels.push_back(text[i]);
    }
  }
  return labels;
}

/// Labels that occur once, in alphabetical order, after those of ellipses.
Labels Einsum::impliedResult(const Equation &equation) const {
  Labels labels;
  for (int dim = 0; dim < ellipsisDims_; ++dim)
    labels.push_back(kEllipsis + dim - ellipsisDims_);
  std::map<int, int> counts;
  for (const Labels &operand : equation.operands)
    for (int label : operand)
      ++counts[label];
  for (auto [label, count] : counts)
    if (count == 1 && label < kEllipsis - ellipsisDims_)
      labels.push_back(label);
  return labels;
}

std::optional<Equation> Einsum::parse(std::string_view text) {
  Equation equation;
  size_t arrow = text.find("->");
  std::string_view left = text.substr(0, arrow);
  for (Value operand : operands_) {
    size_t comma = left.find(',');
    auto labels = parseOperand(left.substr(0, comma), rankOf(operand));
    if (!labels)
      return std::nullopt;
    equation.operands.push_back(*labels);
    bool last = equation.operands.size() == operands_.size();
    if (last != (comma == std::string_view::npos)) {
      c.error() << "einsum: '" << text << "' is not for " << operands_.size()
                << " operands";
      return std::nullopt;
    }
    left.remove_prefix(last ? left.size() : comma + 1);
  }
  equation.result = arrow == std::string_view::npos
                        ? impliedResult(equation)
                        : parseResult(text.substr(arrow + 2));
  return equation;
}

bool Einsum::orderLabels(const Equation &equation) {
  std::map<int, bool> known;
  for (const Labels &operand : equation.operands)
    for (int label : operand)
      known[label] = true;
  for (int label : equation.result) {
    if (!known.contains(label) ||
        !place_.emplace(label, static_cast<int64_t>(place_.size())).second) {
      c.error() << "einsum: the result has a label twice, or one that no operand has";
      return false;
    }
  }
  resultRank_ = place_.size();
  // Dims of ellipses that the result leaves out are summed before letters.
  for (bool letters : {false, true})
    for (auto [label, unused] : known)
      if ((label < kEllipsis - ellipsisDims_) == letters)
        place_.emplace(label, static_cast<int64_t>(place_.size()));
  return true;
}

/// The operand with a dim for each label, in order; those that it lacks have size 1.
Value Einsum::arrange(Value operand, const Labels &labels) {
  std::vector<int64_t> dimOf(place_.size(), -1);
  for (size_t i = 0, dim = 0; i < labels.size() && operand; ++i) {
    int64_t &known = dimOf[place_[labels[i]]];
    if (known < 0) {
      known = dim++;
      continue;
    }
    // A label that is repeated takes the diagonal, which moves to the first place.
    operand = c.diagonal(operand, 0, known, dim);
    if (operand) {
      std::vector<int64_t> back = allDims(rankOf(operand));
      back.pop_back();
      back.insert(back.begin() + known, rankOf(operand) - 1);
      operand = c.permute(operand, back);
    }
  }
  std::vector<int64_t> order;
  int64_t rank = operand ? rankOf(operand) : 0;
  for (int64_t &dim : dimOf) {
    if (dim < 0 && operand) {
      operand = c.unsqueeze(operand, rankOf(operand));
      dim = rank++;
    }
    order.push_back(dim);
  }
  return operand ? c.permute(operand, order) : operand;
}

/// The product of two operands, summed over the dims that are told, as one batched
/// product: dims of both are batches, dims of one are rows or columns.
Value Einsum::multiply(Value left, Value right, const std::vector<bool> &summed) {
  if (llvm::none_of(summed, [](bool sum) { return sum; }))
    return c.binary<rt::MulOp>(left, right);
  std::vector<int64_t> batch, rows, columns, sums;
  Expr batchSize = 1, rowSize = 1, columnSize = 1, sumSize = 1;
  for (int64_t dim = 0; dim < rankOf(left); ++dim) {
    bool inLeft = !isOne(left, dim), inRight = !isOne(right, dim);
    if (summed[dim]) {
      if (inLeft && inRight)
        sumSize *= sizeOf(left, dim);
      else if (inLeft)
        left = sumOver(left, dim);
      else if (inRight)
        right = sumOver(right, dim);
      sums.push_back(dim);
    } else if (inLeft && inRight) {
      batch.push_back(dim), batchSize *= sizeOf(left, dim);
    } else if (inLeft) {
      rows.push_back(dim), rowSize *= sizeOf(left, dim);
    } else {
      columns.push_back(dim), columnSize *= sizeOf(right, dim);
    }
    if (!left || !right)
      return {};
  }
  auto join = [](std::initializer_list<std::vector<int64_t>> parts) {
    std::vector<int64_t> all;
    for (const auto &part : parts)
      all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  std::vector<int64_t> order = join({batch, rows, sums, columns});
  Dims sizes;
  for (int64_t dim : order)
    sizes.push_back(summed[dim]        ? Expr(1)
                    : isOne(left, dim) ? sizeOf(right, dim)
                                       : sizeOf(left, dim));
  std::vector<int64_t> back(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    back[order[i]] = i;
  Value a = c.reshape(c.permute(left, order), {batchSize, rowSize, sumSize});
  Value b = c.reshape(c.permute(right, join({batch, sums, columns, rows})),
                      {batchSize, sumSize, columnSize});
  Value product;
  if (a && b && isFloat(dtypeOf(a)))
    product = c.matmul(a, b);
  else if (a && b) // integers: [batch, rows, sums, 1] * [batch, 1, sums, columns]
    product = c.reduce<rt::SumOp>(
        c.binary<rt::MulOp>(c.unsqueeze(a, 3), c.unsqueeze(b, 1)), {2}, false);
  return product ? c.permute(c.view(product, sizes), back) : product;
}

Value Einsum::run(std::string_view text) {
  std::optional<Equation> equation = parse(text);
  if (!equation || !orderLabels(*equation))
    return {};
  for (size_t i = 0; i < operands_.size(); ++i)
    if (!(operands_[i] = arrange(operands_[i], equation->operands[i])))
      return {};
  int64_t rank = place_.size();
  // So many operands still have a dim: the last product that has it sums over it.
  auto isNeededAfter = [&](size_t next, int64_t dim) {
    for (size_t i = next; i < operands_.size(); ++i)
      if (!isOne(operands_[i], dim))
        return true;
    return false;
  };
  Value result = operands_[0];
  for (size_t next = 1; next < operands_.size() && result; ++next) {
    Value right = operands_[next];
    std::vector<bool> summed(rank, false);
    for (int64_t dim = resultRank_; dim < rank && result && right; ++dim) {
      bool inLeft = !isOne(result, dim), inRight = !isOne(right, dim);
      if (isNeededAfter(next + 1, dim))
        continue;
      if (inLeft && inRight)
        summed[dim] = true;
      else if (inLeft)
        result = sumOver(result, dim);
      else if (inRight)
        right = sumOver(right, dim);
    }
    result = result && right ? multiply(result, right, summed) : Value();
  }
  std::vector<int64_t> rest;
  bool anySum = false;
  for (int64_t dim = resultRank_; dim < rank && result; ++dim) {
    rest.push_back(dim);
    anySum |= !isOne(result, dim);
  }
  if (rest.empty() || !result)
    return result;
  if (anySum || operands_.size() == 1) // a sum is a new tensor, also one of one number
    return c.reduce<rt::SumOp>(result, rest, false);
  return c.squeeze(result, rest);
}

Value einsum(Call &c) {
  std::vector<Value> operands = c.tensors("tensors");
  if (operands.empty() || !llvm::all_of(operands, [](Value v) { return bool(v); }))
    return {};
  return Einsum(c, operands).run(c.string("equation"));
}

} // namespace

void addEinsumRule(RuleTable &table) {
  addRule(table, {"aten.einsum.default"}, einsum);
}

} // namespace rtorch::translate
