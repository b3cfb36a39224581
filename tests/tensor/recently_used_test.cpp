// SPDX-License-Identifier: MIT
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/recently_used.h>
#include <ydistill/tensor/storage_room.h>

#include <string>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("recently used: what was not used for longest leaves, and says so first") {
  std::string left;
  RecentlyUsed<int, std::string> table(2);
  const auto use = [&](int key) -> std::string& {
    return table.at(key, [&](std::string& value) { left += value; });
  };
  use(1) = "one";
  std::string& two = use(2);
  two = "two";
  CHECK(use(1) == "one");
  use(3) = "three";  // 2 was used before 1
  CHECK(left == "two");
  CHECK(table.size() == 2);
  CHECK(use(1) == "one");
  CHECK(use(2).empty());
  CHECK(left == "twothree");
}

TEST_CASE("recently used: a reference holds while others come and go") {
  RecentlyUsed<int, int> table(3);
  int& kept = table.at(0, [](int&) {});
  for (int key = 1; key < 50; ++key) {
    table.at(key, [](int&) {}) = key;
    CHECK(&table.at(0, [](int&) {}) == &kept);
  }
}

TEST_CASE("storage room: smaller tensors share the memory of the largest, older ones keep theirs") {
  StorageRoom room;
  int allocated = 0;
  const auto allocate = [&](int64_t nbytes) {
    ++allocated;
    return allocate_storage(nbytes);
  };
  const Tensor first = room.tensor({2, 3}, DType::kFloat32, allocate);
  first.fill(7);
  const Tensor larger = room.tensor({4, 4}, DType::kFloat32, allocate);
  larger.fill(1);
  CHECK(allocated == 2);
  CHECK(first.at(5) == 7);
  const Tensor bytes = room.tensor({64}, DType::kUInt8, allocate);
  CHECK(allocated == 2);
  CHECK(bytes.raw() == larger.raw());
}

}  // namespace
}  // namespace ydistill
