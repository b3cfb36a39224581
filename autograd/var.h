// SPDX-License-Identifier: MIT
// Var and the tape: reverse-mode automatic differentiation.
//
// While a Tape is open on a thread, each op that touches a Var needing a gradient leaves a node on
// it: the op's inputs, its output and a function that turns the output's gradient into those of
// the inputs. backward() walks the nodes from the last to the first and drops each as soon as it
// is done, so activations are freed as the gradients that need them are computed.
//
// Two kinds of gradient:
//  * of activations: returned by the backward function, one tensor an input; summed where a Var
//    has several users; gone when consumed.
//  * of parameters: a parameter owns a buffer (a view of the flat gradient buffer). Backward
//    functions ADD into it and return an empty Tensor in that place.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// The name of an operation. Every differentiable op defines one at namespace scope; the registry
/// lets the tests demand that each is covered.
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
  /// A leaf whose gradient is the very tensor that its user's backward function gives, without a
  /// copy; several users' are summed into the first's. grad() is undefined until then.
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
  /// Says how the value can be computed anew, bit for bit, until the backward pass has come by the
  /// op that made it. Only on a tape that asks for it: Tape::recomputes().
  void set_recompute(std::function<Tensor()> recompute) {
    recompute_ = std::make_shared<const std::function<Tensor()>>(std::move(recompute));
  }

 private:
  friend class Tape;
  friend Var record(const Op&, Tensor, std::vector<Var>,
                    std::function<std::vector<Tensor>(const Tensor&)>);
  /// Where a gradient gathers. The tape holds slots, not values: an activation lives only as long
  /// as a backward function that reads it.
  struct Slot {
    Tensor grad;  // of a leaf: the buffer; else: the sum so far while backward runs
    Shape shape;
    DType dtype = DType::kFloat32;
    std::string name;
    bool is_leaf = false;
  };
  friend class SavedValue;
  Tensor value_;
  std::shared_ptr<Slot> slot_;                                // null: a constant
  std::shared_ptr<const std::function<Tensor()>> recompute_;  // null: the value has to be kept
};

/// What a backward function keeps of a value that it reads: the value, or the way to compute it
/// anew.
class SavedValue {
 public:
  SavedValue() = default;
  explicit SavedValue(const Var& var)
      : value_(var.recompute_ ? Tensor() : var.value_), recompute_(var.recompute_) {}
  /// Undefined for a Var that was.
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

/// True where record() would keep the backward function: an op may skip saving things otherwise.
bool is_recording(std::initializer_list<const Var*> inputs);

/// What a tape keeps from the forward pass to the backward pass.
enum class TapeKeeps : uint8_t {
  kAll,    ///< every value that a backward function reads
  kLeast,  ///< not those that are cheap to compute anew (Chen et al. 2016): less memory, more time
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
  /// The same from several outputs at once, each with its gradient. A gradient that nobody else
  /// holds may become the sum with what other ops give.
  void backward(std::vector<Var> outputs, std::vector<Tensor> grads_out);

  size_t num_nodes() const { return nodes_.size(); }
  /// Whether the innermost tape of this thread wants values that can be computed anew.
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
