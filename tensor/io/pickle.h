// SPDX-License-Identifier: MIT
// Python pickles (protocols 0 to 5) as inert data.
//
// A pickle is a small program whose instructions build objects and may call anything. Here every
// global becomes a node with its name and every call a node with callable, arguments and state;
// nothing is ever looked up, imported or called. The nodes are in one pool and refer to each other
// by index, so a list that contains itself is neither a leak nor an endless loop at this level.
// Code that traverses a document must limit its own depth and number of steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ydistill {

using PickleRef = uint32_t;  ///< index of a node in its document
inline constexpr PickleRef kNoPickle = UINT32_MAX;

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,     ///< fits int64
  kBigInt,  ///< does not fit; `number` is approximate
  kFloat,
  kString,  ///< UTF-8
  kBytes,
  kTuple,
  kList,
  kDict,
  kSet,
  kGlobal,      ///< `text` = "module.name"
  kCall,        ///< `callable` with `args`, and what was added to the result
  kPersistent,  ///< items[0] = the persistent id, a storage in PyTorch's files
};

struct PickleNode {
  PickleKind kind = PickleKind::kNone;
  uint32_t depth = 0;              ///< nesting below this node when it was last changed
  int64_t integer = 0;             ///< kInt, kBool
  double number = 0;               ///< kFloat, kBigInt
  std::string text;                ///< kString, kBytes, kGlobal
  std::vector<PickleRef> items;    ///< tuple, list, set, persistent id; kCall: what was appended
  std::vector<PickleRef> entries;  ///< dict, kCall: key, value, key, value, ...
  PickleRef callable = kNoPickle;  ///< kCall: a kGlobal, or anything else
  PickleRef args = kNoPickle;      ///< kCall: usually a tuple
  PickleRef kwargs = kNoPickle;    ///< kCall by NEWOBJ_EX: a dict
  PickleRef state = kNoPickle;     ///< kCall: the argument of BUILD
};

/// Limits on a pickle's resources. The defaults are many times what any YOLOv5 checkpoint needs.
struct PickleLimits {
  int64_t max_bytes = int64_t(64) << 20;
  int64_t max_nodes = 1'000'000;
  int64_t max_items = 8'000'000;  ///< references held by all containers together
  int64_t max_memo = 1'000'000;
  int64_t max_stack = 1'000'000;
  int64_t max_depth = 512;  ///< nesting, and open marks
  int64_t max_string = int64_t(16) << 20;
};

class PickleDocument {
 public:
  PickleRef root() const { return root_; }
  const PickleNode& operator[](PickleRef ref) const { return nodes_[ref]; }
  int64_t size() const { return int64_t(nodes_.size()); }

  bool is_none(PickleRef ref) const { return nodes_[ref].kind == PickleKind::kNone; }
  /// True for the global "module.name", and for a call of it.
  bool is_global(PickleRef ref, std::string_view dotted_name) const;
  bool is_call_of(PickleRef ref, std::string_view dotted_name) const;
  /// The callable's "module.name"; "" if the node is no call of a global.
  std::string_view called(PickleRef ref) const;
  /// Positional argument i of a call, or kNoPickle.
  PickleRef arg(PickleRef call, size_t i) const;

  /// A dict, or a call of collections.OrderedDict and similar.
  bool is_dict(PickleRef ref) const;
  /// Key and value of each entry of such a dictionary, in order, as the pickle put them (a key that
  /// is set twice appears twice, the last one counts). Empty for anything else.
  std::vector<std::pair<PickleRef, PickleRef>> dict_entries(PickleRef ref) const;
  /// Number of items that dict_entries() goes through, which may exceed that of its pairs.
  size_t dict_length(PickleRef ref) const;
  /// The value of a text key, or kNoPickle.
  PickleRef get(PickleRef dict, std::string_view key) const;
  /// Items of a list, tuple or set (also as a call of builtins.set); empty for anything else.
  std::span<const PickleRef> sequence(PickleRef ref) const;
  bool is_sequence(PickleRef ref) const;

  std::optional<std::string_view> text(PickleRef ref) const;
  /// kInt, kBool, or a numpy integer.
  std::optional<int64_t> integer(PickleRef ref) const;
  /// Any number, numpy scalars included.
  std::optional<double> number(PickleRef ref) const;

  /// For messages: "a call of 'os.system'", "a list of 3", "the text 'abc'". Never recurses.
  std::string describe(PickleRef ref) const;

 private:
  friend class PickleBuilder;
  struct NumpyScalar {
    bool is_integer = false;
    int64_t integer = 0;
    double number = 0;
  };
  std::optional<NumpyScalar> numpy_scalar(PickleRef ref) const;
  std::optional<std::string> bytes(PickleRef ref) const;

  std::deque<PickleNode> nodes_;
  PickleRef root_ = kNoPickle;
};

/// Runs the pickle's instructions. `source` names it in messages ("last.pt: data.pkl").
/// throws FileError with the source, the byte position and the fault: truncated, an unknown
/// instruction or one without operands, or a limit.
PickleDocument parse_pickle(std::span<const std::byte> bytes, std::string_view source,
                            const PickleLimits& limits = {});

}  // namespace ydistill
