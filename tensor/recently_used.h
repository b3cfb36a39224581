// SPDX-License-Identifier: MIT
// A table that drops the least recently used entry (LRU).
#pragma once

#include <cstddef>
#include <list>

namespace ydistill {

/// At most `most` values by key. Search is linear, for small tables.
template <class Key, class Value>
class RecentlyUsed {
 public:
  explicit RecentlyUsed(size_t most) : most_(most) {}

  /// The value of `key`, which becomes the most recently used; a new Value() if there is none.
  /// Before another is dropped to make room, before_leaving(it) is called. References to the
  /// remaining values stay valid.
  template <class BeforeLeaving>
  Value& at(const Key& key, BeforeLeaving&& before_leaving) {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->key != key) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->value;
    }
    if (entries_.size() >= most_) {
      before_leaving(entries_.back().value);
      entries_.pop_back();
    }
    entries_.emplace_front(key);
    return entries_.front().value;
  }

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    explicit Entry(const Key& its) : key(its) {}
    Key key;
    Value value{};
  };

  size_t most_;
  std::list<Entry> entries_;  // most recently used first
};

}  // namespace ydistill
