// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/train/cache_plan.h>

#include "support/catch.h"

namespace ydistill::test {
namespace {

using Cache = TrainConfig::Cache;

/// Ten pictures of 64x64 and so 122880 bytes.
Dataset ten_pictures() {
  Dataset data;
  data.samples.resize(10, {"p.png", 64, 64, {}, true});
  return data;
}

CachePlan plan(Cache cache, int64_t memory, int64_t disk) {
  return plan_cache(cache, ten_pictures(), 64, {memory, disk, "/runs"});
}

}  // namespace

TEST_CASE("cache: auto takes memory, then the disk, then what memory there is") {
  const CachePlan memory = plan(Cache::kAuto, 3 * 122880, 0);
  CHECK(memory.memory_bytes == 122880);
  CHECK(memory.folder.empty());
  CHECK(memory.text == "cache: 1 MiB of decoded pictures are kept in memory");
  const CachePlan disk = plan(Cache::kAuto, 3 * 122879, 2 * 122880 + 2);
  CHECK(disk.memory_bytes == 0);
  CHECK(disk.folder == "/runs");
  CHECK(disk.text == "cache: 1 MiB of decoded pictures are kept in a file on the disk of /runs");
  const CachePlan part = plan(Cache::kAuto, 3 * 122879, 2 * 122880);
  CHECK(part.memory_bytes == 122879);
  CHECK(part.folder.empty());
  CHECK(part.text.find("the others are decoded each time") != std::string::npos);
}

TEST_CASE("cache: what is asked for is done or refused") {
  CHECK(plan(Cache::kNone, 1 << 30, 1 << 30).memory_bytes == 0);
  CHECK(plan(Cache::kNone, 1 << 30, 1 << 30).folder.empty());
  CHECK(plan(Cache::kRam, 122880, 1 << 30).memory_bytes == 122880);
  CHECK(plan(Cache::kDisk, 1 << 30, 122880).folder == "/runs");
  CHECK_THROWS_WITH_TEXT(plan(Cache::kDisk, 1 << 30, 122879), ConfigError,
                         "train.cache: disk: 1 MiB of decoded pictures wanted, the disk of /runs");
}

TEST_CASE("cache: the room is that of the nearest folder that exists") {
  const CacheRoom room = cache_room(std::filesystem::temp_directory_path() / "no/such/folder");
  CHECK(room.folder == std::filesystem::temp_directory_path());
  CHECK(room.memory_bytes > 0);
  CHECK(room.disk_bytes > 0);
}

}  // namespace ydistill::test
