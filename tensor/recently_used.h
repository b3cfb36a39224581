// SPDX-License-Identifier: MIT
// A table that forgets what was not used for longest.
#pragma once

#include <cstddef>
#include <list>
#include <utility>

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
      if (entry->first != key) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->second;
    }
    if (entries_.size() >= most_) {
      before_leaving(entries_.back().second);
      entries_.pop_back();
    }
    entries_.emplace_front(key, Value());
    return entries_.front().second;
  }

  size_t size() const { return entries_.size(); }

 private:
  size_t most_;
  std::list<std::pair<Key, Value>> entries_;  // used last first
};

}  // namespace ydistill
