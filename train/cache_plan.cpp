// SPDX-License-Identifier: MIT
#include <ydistill/train/cache_plan.h>

#include <algorithm>

#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

int64_t mib(int64_t bytes) {
  return (bytes + (1 << 20) - 1) >> 20;
}

int64_t bytes_of(const Dataset& dataset, int64_t image_size) {
  int64_t bytes = 0;
  for (const Sample& sample : dataset.samples) {
    const PictureSize size = load_size(sample.width, sample.height, image_size);
    bytes += size.width * size.height * 3;
  }
  return bytes;
}

}  // namespace

CacheRoom cache_room(const fs::path& folder) {
  CacheRoom room;
  room.memory_bytes = available_memory();
  std::error_code error;
  room.folder = fs::absolute(folder, error);
  while (!fs::is_directory(room.folder, error) && room.folder.has_relative_path()) {
    room.folder = room.folder.parent_path();
  }
  const fs::space_info space = fs::space(room.folder, error);
  room.disk_bytes = error ? 0 : int64_t(std::min<uintmax_t>(space.available, INT64_MAX));
  return room;
}

CachePlan plan_cache(TrainConfig::Cache cache, const Dataset& dataset, int64_t image_size,
                     const CacheRoom& room) {
  using Cache = TrainConfig::Cache;
  const int64_t needed = bytes_of(dataset, image_size), third = room.memory_bytes / 3;
  const std::string all = fmt::format("{} MiB of decoded pictures", mib(needed));
  const auto in_memory = [&](int64_t budget) {
    return CachePlan{budget,
                     {},
                     needed <= budget
                         ? fmt::format("cache: {} are kept in memory", all)
                         : fmt::format("cache: of {} {} MiB are kept in memory, the others are "
                                       "decoded each time",
                                       all, mib(budget)),
                     std::min(needed, budget)};
  };
  const CachePlan on_disk{
      0, room.folder,
      fmt::format("cache: {} are kept in a file on the disk of {}", all, room.folder.string())};
  switch (cache) {
    case Cache::kNone:
      return {0, {}, "cache: none, pictures are decoded each time"};
    case Cache::kRam:
      return in_memory(room.memory_bytes);
    case Cache::kDisk:
      if (room.disk_bytes < needed) {
        throw ConfigError("train.cache: disk: {} wanted, the disk of {} has {} MiB left", all,
                          room.folder.string(), mib(room.disk_bytes));
      }
      return on_disk;
    case Cache::kAuto:
      return needed > third && room.disk_bytes / 2 > needed ? on_disk : in_memory(third);
  }
  return {};
}

}  // namespace ydistill
