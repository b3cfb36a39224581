// SPDX-License-Identifier: MIT
// Where the decoded training pictures are kept: memory, disk or nowhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <ydistill/data/dataset.h>
#include <ydistill/train/config.h>

namespace ydistill {

struct CachePlan {
  int64_t memory_bytes = 0;      ///< TrainLoaderOptions::cache_bytes
  std::filesystem::path folder;  ///< TrainLoaderOptions::cache_folder
  std::string text;              ///< the choice and its reason, one line
  int64_t kept_bytes = 0;        ///< how much of memory_bytes the pictures will fill
};

/// What a machine has to give.
struct CacheRoom {
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;
  std::filesystem::path folder;  ///< on that disk
};

/// Of this machine, with the disk that `folder` is or will be on.
CacheRoom cache_room(const std::filesystem::path& folder);

/// auto: memory where all pictures fit into a third of what is free; else the disk where twice
/// their size is free; else as many as fit into that third. ram: as many as fit. disk: all. throws
/// ConfigError where disk is asked for and has no room.
CachePlan plan_cache(TrainConfig::Cache cache, const Dataset& dataset, int64_t image_size,
                     const CacheRoom& room);

}  // namespace ydistill
