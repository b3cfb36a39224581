// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/pickle_builder.h>

#include <utility>

#include <ydistill/tensor/error.h>

namespace ydistill {

PickleBuilder::PickleBuilder(std::span<const std::byte> bytes, std::string_view source,
                             const PickleLimits& limits)
    : in_(bytes, source), limits_(limits) {
  if (int64_t(bytes.size()) > limits.max_bytes) {
    in_.fail(fmt::format("has {} bytes, {} are allowed", bytes.size(), limits.max_bytes));
  }
}

PickleDocument PickleBuilder::finish() {
  document_.root_ = pop();
  return std::move(document_);
}

PickleRef PickleBuilder::add(PickleKind kind) {
  if (document_.size() >= limits_.max_nodes) {
    in_.fail(fmt::format("has more than {} objects", limits_.max_nodes));
  }
  document_.nodes_.emplace_back().kind = kind;
  return PickleRef(document_.size() - 1);
}

/// Counts `added` as items below `parent`, checks the limits and updates the parent's depth.
void PickleBuilder::deepen(PickleRef parent, const Refs& added) {
  held_items_ += int64_t(added.size());
  if (held_items_ > limits_.max_items) {
    in_.fail(fmt::format("has more than {} items", limits_.max_items));
  }
  for (const PickleRef child : added) {
    const uint32_t depth = node(child).depth + 1;
    if (int64_t(depth) > limits_.max_depth) {
      in_.fail(fmt::format("is nested more than {} deep", limits_.max_depth));
    }
    if (depth > node(parent).depth) node(parent).depth = depth;
  }
}

PickleRef PickleBuilder::collection(PickleKind kind, Refs items) {
  const PickleRef ref = add(kind);
  deepen(ref, items);
  node(ref).items = std::move(items);
  return ref;
}

void PickleBuilder::append(const Refs& items) {
  PickleNode& target = node(top());
  if (target.kind != PickleKind::kList && target.kind != PickleKind::kSet &&
      target.kind != PickleKind::kCall) {
    in_.fail("items are added to " + document_.describe(top()));
  }
  deepen(top(), items);
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void PickleBuilder::set_entries(const Refs& entries) {
  PickleNode& target = node(top());
  if (target.kind != PickleKind::kDict && target.kind != PickleKind::kCall) {
    in_.fail("entries are put into " + document_.describe(top()));
  }
  if (entries.size() % 2 != 0) in_.fail("a key has no value");
  deepen(top(), entries);
  target.entries.insert(target.entries.end(), entries.begin(), entries.end());
}

void PickleBuilder::push_call(PickleRef callable, PickleRef args, PickleRef kwargs) {
  const PickleRef ref = add(PickleKind::kCall);
  Refs below{callable, args};
  if (kwargs != kNoPickle) below.push_back(kwargs);
  deepen(ref, below);
  node(ref).callable = callable;
  node(ref).args = args;
  node(ref).kwargs = kwargs;
  push(ref);
}

void PickleBuilder::build(PickleRef state) {
  if (node(top()).kind != PickleKind::kCall) {
    in_.fail("a state is given to " + document_.describe(top()));
  }
  deepen(top(), {state});
  node(top()).state = state;
}

void PickleBuilder::push(PickleRef ref) {
  if (int64_t(stack_.size()) >= limits_.max_stack) {
    in_.fail(fmt::format("piles up more than {} objects", limits_.max_stack));
  }
  stack_.push_back(ref);
}

PickleRef PickleBuilder::top() {
  if (stack_.size() <= floor()) in_.fail("an instruction finds the stack empty");
  return stack_.back();
}

PickleRef PickleBuilder::pop() {
  const PickleRef ref = top();
  stack_.pop_back();
  return ref;
}

PickleBuilder::Refs PickleBuilder::pop_last(size_t n) {
  if (stack_.size() < floor() + n) in_.fail("an instruction finds the stack empty");
  const Refs last(stack_.end() - int64_t(n), stack_.end());
  stack_.resize(stack_.size() - n);
  return last;
}

void PickleBuilder::push_mark() {
  if (int64_t(marks_.size()) >= limits_.max_depth) {
    in_.fail(fmt::format("has more than {} open marks", limits_.max_depth));
  }
  marks_.push_back(stack_.size());
}

PickleBuilder::Refs PickleBuilder::pop_to_mark() {
  if (marks_.empty()) in_.fail("an instruction finds no mark");
  const Refs above(stack_.begin() + int64_t(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return above;
}

void PickleBuilder::pop_or_unmark() {
  if (!marks_.empty() && stack_.size() == marks_.back()) {
    marks_.pop_back();
  } else {
    pop();
  }
}

void PickleBuilder::memo_put(uint64_t key) {
  if (key >= uint64_t(limits_.max_memo)) {
    in_.fail(fmt::format("memo number {} is beyond {}", key, limits_.max_memo));
  }
  if (key >= memo_.size()) memo_.resize(size_t(key) + 1, kNoPickle);
  memo_[size_t(key)] = top();
}

void PickleBuilder::memo_get(uint64_t key) {
  if (key >= memo_.size() || memo_[size_t(key)] == kNoPickle) {
    in_.fail(fmt::format("memo number {} was never set", key));
  }
  push(memo_[size_t(key)]);
}

}  // namespace ydistill
