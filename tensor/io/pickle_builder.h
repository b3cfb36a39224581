// SPDX-License-Identifier: MIT
// The machine that runs a pickle: nodes, stack, marks and memo, all limited in size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <ydistill/tensor/io/pickle.h>
#include <ydistill/tensor/io/pickle_cursor.h>

namespace ydistill {

/// Each function throws FileError if operands are missing on the stack or a limit is exceeded.
class PickleBuilder {
 protected:
  using Refs = std::vector<PickleRef>;

  PickleBuilder(std::span<const std::byte> bytes, std::string_view source,
                const PickleLimits& limits);

  /// The document, whose root is the top of the stack.
  PickleDocument finish();

  // Nodes.
  PickleRef add(PickleKind kind);
  PickleNode& node(PickleRef ref) { return document_.nodes_[ref]; }
  PickleRef collection(PickleKind kind, Refs items);
  void push_collection(PickleKind kind, Refs items) { push(collection(kind, std::move(items))); }
  void push_call(PickleRef callable, PickleRef args, PickleRef kwargs);
  /// Change the node on top of the stack.
  void append(const Refs& items);
  void set_entries(const Refs& entries);
  void build(PickleRef state);

  // The stack. Nothing below the innermost mark can be reached.
  void push(PickleRef ref);
  PickleRef top();
  PickleRef pop();
  Refs pop_last(size_t n);
  void push_mark();
  Refs pop_to_mark();
  void pop_or_unmark();

  // The memo, in which a pickle stores objects for later references.
  size_t memo_size() const { return memo_.size(); }
  void memo_put(uint64_t key);
  void memo_get(uint64_t key);

  PickleCursor in_;
  PickleLimits limits_;
  PickleDocument document_;

 private:
  void deepen(PickleRef parent, const Refs& added);
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  Refs stack_;
  std::vector<size_t> marks_;  // heights of the stack
  Refs memo_;
  int64_t held_items_ = 0;
};

}  // namespace ydistill
