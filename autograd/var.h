// SPDX-License-Identifier: MIT
// Var and the tape: reverse-mode automatic differentiation.
//
// While a Tape is open on a thread, each op with an input that needs a gradient records a node: the
// op's inputs, its output and a function that turns the gradient of the output into those of the
// inputs. backward() visits the nodes from the last to the first and drops each as soon as it is
// done, so that activations are freed while gradients are computed.
//
// Two kinds of gradient:
//  * of activations: returned by the backward function, one tensor per input; summed if a Var
//    has several users; freed when consumed.
//  * of parameters: a parameter owns a buffer (a view of the flat gradient buffer). Backward
//    functions ADD into it and return an empty Tensor for that input.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// The name of an operation. Every differentiable op defines one at namespace scope; with this
/// registry the tests require that each is covered.
class Op {
 public:
  explicit Op(std::string_view name);
  Op(const Op&) = delete;
  const std::string& name() const { return name_; }
  /// All ops linked into the program, by name.
  static std::vector<std::string> all_names();

 private:
  std::string name_;
};

class Var {
 public:
  Var() = default;
  /// A constant: gets no gradient.
  explicit Var(Tensor value);
  /// A leaf whose gradient is wanted; grad() is allocated, zero, of the value's shape.
  static Var leaf(Tensor value);
  /// A leaf whose gradient is the tensor that its user's backward function returns, without a copy;
  /// those of further users are added to the first. grad() is undefined until then.
  static Var receiver(Tensor value);
  /// A leaf with a given value and gradient buffer. throws ShapeError, DTypeError if they differ.
  static Var parameter(std::string name, Tensor value, Tensor grad);

  bool defined() const { return value_.defined(); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value().shape(); }
  DType dtype() const { return value().dtype(); }
  Device device() const { return value().device(); }
  /// The name of a parameter, else "".
  std::string name() const { return slot_ ? slot_->name : ""; }
  bool requires_grad() const { return slot_ != nullptr; }
  /// True for leaf(), receiver() and parameter().
  bool is_leaf() const { return slot_ != nullptr && slot_->is_leaf; }
  /// A leaf's gradient buffer, to add into. Undefined for anything else.
  Tensor grad() const { return is_leaf() ? slot_->grad : Tensor(); }
  /// Sets how the value can be recomputed, bit for bit, until the backward pass has processed the
  /// op that made it. Only on a tape that asks for it: Tape::recomputes().
  void set_recompute(std::function<Tensor()> recompute) {
    recompute_ = std::make_shared<const std::function<Tensor()>>(std::move(recompute));
  }

 private:
  friend class Tape;
  friend Var record(const Op&, Tensor, std::vector<Var>,
                    std::function<std::vector<Tensor>(const Tensor&)>);
  /// Where a gradient is accumulated. The tape holds slots, not values: an activation lives only as
  /// long as a backward function that reads it.
  struct Slot {
    Tensor grad;  // of a leaf: the buffer; else: the sum so far while backward runs
    Shape shape;
    DType dtype = DType::kFloat32;
    std::string name;
    bool is_leaf = false;
    bool owns_buffer = true;  // of a leaf; false: `grad` may be shared with whoever gave it
  };
  friend class SavedValue;
  Tensor value_;
  std::shared_ptr<Slot> slot_;                                // null: a constant
  std::shared_ptr<const std::function<Tensor()>> recompute_;  // null: the value must be kept
};

/// What a backward function keeps of a value that it reads: the value or a way to recompute it.
class SavedValue {
 public:
  SavedValue() = default;
  explicit SavedValue(const Var& var)
      : value_(var.recompute_ ? Tensor() : var.value_), recompute_(var.recompute_) {}
  /// Undefined if the Var was.
  Tensor get() const { return recompute_ ? (*recompute_)() : value_; }

 private:
  Tensor value_;
  std::shared_ptr<const std::function<Tensor()>> recompute_;
};

/// One gradient per input; an undefined Tensor where none is needed or where it was added into the
/// input's own grad() buffer.
using Grads = std::vector<Tensor>;
using BackwardFn = std::function<Grads(const Tensor& grad_out)>;

/// Makes the Var of an op's output. Where no tape is open or no input needs a gradient, `backward`
/// is dropped at once.
Var record(const Op& op, Tensor value, std::vector<Var> inputs, BackwardFn backward);

/// True if record() would keep the backward function; otherwise an op may skip saving things.
bool is_recording(std::initializer_list<const Var*> inputs);

/// What a tape keeps from the forward pass to the backward pass.
enum class TapeKeeps : uint8_t {
  kAll,    ///< every value that a backward function reads
  kLeast,  ///< not those that are cheap to recompute (Chen et al. 2016): less memory, more time
};

/// Open from construction to destruction, on this thread. Tapes nest; the innermost records.
class Tape {
 public:
  explicit Tape(TapeKeeps keeps = TapeKeeps::kAll);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Back-propagates from `output` with the gradient `grad_out` (ones for a scalar if undefined)
  /// and empties the tape. Leaves' gradients are added to, never zeroed.
  /// throws ShapeError or DTypeError, naming the op, for a gradient that does not fit its Var.
  void backward(const Var& output, Tensor grad_out = {});
  /// The same from several outputs at once, each with its gradient. A gradient tensor with no other
  /// owner may be overwritten by its sum with the gradients from other ops.
  void backward(std::vector<Var> outputs, std::vector<Tensor> grads_out);

  size_t num_nodes() const { return nodes_.size(); }
  /// Whether the innermost tape of this thread asks for values to be recomputed.
  static bool recomputes();

 private:
  friend class NoGrad;
  friend Var record(const Op&, Tensor, std::vector<Var>, BackwardFn);
  friend bool is_recording(std::initializer_list<const Var*>);
  static Tape*& current();
  struct Node {
    const Op* op;
    std::vector<std::shared_ptr<Var::Slot>> inputs;
    std::shared_ptr<Var::Slot> output;
    BackwardFn backward;
  };
  static void accumulate(const std::string& op, size_t input, Var::Slot* slot, Tensor grad);

  std::vector<Node> nodes_;
  TapeKeeps keeps_;
  Tape* outer_ = nullptr;
};

/// While it lives, nothing is recorded on this thread.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  Tape* outer_;
};

}  // namespace ydistill
