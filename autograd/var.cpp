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

Var::Var(Tensor value) : impl_(std::make_shared<Impl>()) {
  impl_->value = std::move(value);
}

Var Var::leaf(Tensor value) {
  Tensor grad = Tensor::zeros(value.shape(), value.dtype());
  return parameter("", std::move(value), std::move(grad));
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
  var.impl_->grad = std::move(grad);
  var.impl_->name = std::move(name);
  var.impl_->requires_grad = true;
  var.impl_->is_leaf = true;
  return var;
}

Tape*& Tape::current() {
  thread_local Tape* tape = nullptr;
  return tape;
}

Tape::Tape() : outer_(current()) {
  current() = this;
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
  const bool wanted = tape != nullptr && std::any_of(inputs.begin(), inputs.end(),
                                                     [](const Var& v) { return v.requires_grad(); });
  if (!wanted) return out;
  out.impl_->requires_grad = true;
  tape->nodes_.push_back({&op, std::move(inputs), out.impl_, std::move(backward)});
  return out;
}

void Tape::accumulate(const std::string& op, size_t input, const Var& var, Tensor grad) {
  if (!grad.defined() || !var.requires_grad()) return;
  if (grad.shape() != var.shape()) {
    throw ShapeError("{}: the gradient of input {} is {}, the input is {}", op, input,
                     grad.str(), var.value().str());
  }
  if (grad.dtype() != var.dtype()) {
    throw DTypeError("{}: the gradient of input {} is {}, the input is {}", op, input,
                     grad.str(), var.value().str());
  }
  Tensor& sum = var.impl_->grad;
  if (!sum.defined()) {
    sum = std::move(grad);
  } else {
    if (!var.is_leaf() && !sum.is_unique()) sum = sum.clone();  // shared by an op's outputs
    add_into(sum, grad);
  }
}

void Tape::backward(const Var& output, Tensor grad_out) {
  if (!grad_out.defined()) {
    if (output.value().numel() != 1) {
      throw ShapeError("backward: an output of {} needs a gradient to start from",
                       output.value().str());
    }
    grad_out = Tensor::full(output.shape(), 1, output.dtype());
  }
  backward(std::vector{output}, {std::move(grad_out)});
}

void Tape::backward(const std::vector<Var>& outputs, const std::vector<Tensor>& grads_out) {
  if (outputs.size() != grads_out.size()) {
    throw ShapeError("backward: {} outputs, {} gradients", outputs.size(), grads_out.size());
  }
  for (size_t i = 0; i < outputs.size(); ++i) accumulate("backward", i, outputs[i], grads_out[i]);
  // What backward functions compute must not be recorded.
  const NoGrad no_grad;
  while (!nodes_.empty()) {
    Node node = std::move(nodes_.back());
    nodes_.pop_back();
    const std::shared_ptr<Var::Impl> output = node.output.lock();
    if (!output || !output->grad.defined()) continue;  // nothing downstream depends on it
    Grads grads = node.backward(std::exchange(output->grad, {}));
    node.backward = nullptr;  // frees what it saved before the next allocation
    if (grads.size() != node.inputs.size()) {
      throw ShapeError("{}: backward gave {} gradients for {} inputs", node.op->name(),
                       grads.size(), node.inputs.size());
    }
    for (size_t i = 0; i < grads.size(); ++i) {
      accumulate(node.op->name(), i, node.inputs[i], std::move(grads[i]));
    }
  }
}

}  // namespace ydistill
