// SPDX-License-Identifier: MIT
// A table that forgets what was not used for longest.
#pragma once

#include <cstddef>
#include <list>

namespace ydistill {

/// At most `most` values by key, a handful: they are looked through one by one.
template <class Key, class Value>
class RecentlyUsed {
 public:
  explicit RecentlyUsed(size_t most) : most_(most) {}

  /// The value of `key`, from now on the one used last; one made by Value() where there is none.
  /// Before another goes to make room, before_leaving(it) is called. References to values that stay
  /// hold.
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
  std::list<Entry> entries_;  // used last first
};

}  // namespace ydistill
