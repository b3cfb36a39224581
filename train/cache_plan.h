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
  int64_t kept_bytes = 0;        ///< the part of memory_bytes that the pictures will fill
};

/// The room that a machine has.
struct CacheRoom {
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;
  std::filesystem::path folder;  ///< on that disk
};

/// Of this machine; the disk is the one on which `folder` is or will be.
CacheRoom cache_room(const std::filesystem::path& folder);

/// auto: memory if all pictures fit into a third of the free memory; else the disk if twice their
/// size is free there; else as many in memory as fit into that third. ram: as many as fit. disk:
/// all. throws ConfigError if disk is asked for and has no room.
CachePlan plan_cache(TrainConfig::Cache cache, const Dataset& dataset, int64_t image_size,
                     const CacheRoom& room);

}  // namespace ydistill
