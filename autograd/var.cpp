// SPDX-License-Identifier: MIT
#include <ydistill/autograd/var.h>

#include <algorithm>
#include <set>
#include <utility>

#include <ydistill/tensor/add.h>

namespace ydistill {
namespace {

std::set<std::string>& op_names() {
  static std::set<std::string> names;
  return names;
}

}  // namespace

Op::Op(std::string_view name) : name_(name) {
  op_names().insert(name_);
}

std::vector<std::string> Op::all_names() {
  return {op_names().begin(), op_names().end()};
}

Var::Var(Tensor value) : value_(std::move(value)) {}

Var Var::leaf(Tensor value) {
  Tensor grad = Tensor::zeros(value.shape(), value.dtype(), value.device());
  return parameter("", std::move(value), std::move(grad));
}

Var Var::receiver(Tensor value) {
  Var var(std::move(value));
  var.slot_ = std::make_shared<Slot>(Slot{{}, var.shape(), var.dtype(), "", /*is_leaf=*/true});
  var.slot_->owns_buffer = false;
  return var;
}

Var Var::parameter(std::string name, Tensor value, Tensor grad) {
  if (grad.shape() != value.shape()) {
    throw ShapeError("parameter {}: value is {}, its gradient buffer {}", name, value.str(),
                     grad.str());
  }
  if (grad.dtype() != value.dtype()) {
    throw DTypeError("parameter {}: value is {}, its gradient buffer {}", name, value.str(),
                     grad.str());
  }
  Var var(std::move(value));
  var.slot_ = std::make_shared<Slot>(
      Slot{std::move(grad), var.shape(), var.dtype(), std::move(name), /*is_leaf=*/true});
  return var;
}

Tape*& Tape::current() {
  thread_local Tape* tape = nullptr;
  return tape;
}

Tape::Tape(TapeKeeps keeps) : keeps_(keeps), outer_(current()) {
  current() = this;
}

bool Tape::recomputes() {
  return current() != nullptr && current()->keeps_ == TapeKeeps::kLeast;
}

Tape::~Tape() {
  current() = outer_;
}

NoGrad::NoGrad() : outer_(std::exchange(Tape::current(), nullptr)) {}

NoGrad::~NoGrad() {
  Tape::current() = outer_;
}

bool is_recording(std::initializer_list<const Var*> inputs) {
  return Tape::current() != nullptr &&
         std::any_of(inputs.begin(), inputs.end(), [](const Var* v) { return v->requires_grad(); });
}

Var record(const Op& op, Tensor value, std::vector<Var> inputs, BackwardFn backward) {
  Var out(std::move(value));
  Tape* tape = Tape::current();
  const bool wanted =
      tape != nullptr &&
      std::any_of(inputs.begin(), inputs.end(), [](const Var& v) { return v.requires_grad(); });
  if (!wanted) return out;
  out.slot_ = std::make_shared<Var::Slot>(Var::Slot{{}, out.shape(), out.dtype(), "", false});
  std::vector<std::shared_ptr<Var::Slot>> slots;
  for (const Var& input : inputs) slots.push_back(input.slot_);
  tape->nodes_.push_back({&op, std::move(slots), out.slot_, std::move(backward)});
  return out;
}

void Tape::accumulate(const std::string& op, size_t input, Var::Slot* slot, Tensor grad) {
  if (!grad.defined() || slot == nullptr) return;
  if (grad.shape() != slot->shape) {
    throw ShapeError("{}: the gradient of input {} is {}, the input is {} {}", op, input,
                     grad.str(), name_of(slot->dtype), slot->shape.str());
  }
  if (grad.dtype() != slot->dtype) {
    throw DTypeError("{}: the gradient of input {} is {}, the input is {} {}", op, input,
                     grad.str(), name_of(slot->dtype), slot->shape.str());
  }
  Tensor& sum = slot->grad;
  if (!sum.defined()) {
    sum = std::move(grad);
  } else {
    // Not in place if it is shared: an op may have returned the same tensor for two inputs.
    const bool is_buffer = slot->is_leaf && slot->owns_buffer;
    if (!is_buffer && !sum.is_unique()) sum = sum.clone();
    add_into(sum, grad);
  }
}

void Tape::backward(const Var& output, Tensor grad_out) {
  if (!grad_out.defined()) {
    if (output.value().numel() != 1) {
      throw ShapeError("backward: an output of {} needs a gradient to start from",
                       output.value().str());
    }
    grad_out = Tensor::full(output.shape(), 1, output.dtype(), output.device());
  }
  std::vector<Tensor> grads;
  grads.push_back(std::move(grad_out));
  backward(std::vector{output}, std::move(grads));
}

void Tape::backward(std::vector<Var> outputs, std::vector<Tensor> grads_out) {
  if (outputs.size() != grads_out.size()) {
    throw ShapeError("backward: {} outputs, {} gradients", outputs.size(), grads_out.size());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    accumulate("backward", i, outputs[i].slot_.get(), std::move(grads_out[i]));
  }
  outputs.clear();  // their values are no longer needed here
  // What backward functions compute must not be recorded.
  const NoGrad no_grad;
  while (!nodes_.empty()) {
    Node node = std::move(nodes_.back());
    nodes_.pop_back();
    if (!node.output->grad.defined()) continue;  // nothing downstream depends on it
    Grads grads = node.backward(std::exchange(node.output->grad, {}));
    node.backward = nullptr;  // frees what it saved before the next allocation
    if (grads.size() != node.inputs.size()) {
      throw ShapeError("{}: backward gave {} gradients for {} inputs", node.op->name(),
                       grads.size(), node.inputs.size());
    }
    for (size_t i = 0; i < grads.size(); ++i) {
      accumulate(node.op->name(), i, node.inputs[i].get(), std::move(grads[i]));
    }
  }
}

}  // namespace ydistill
