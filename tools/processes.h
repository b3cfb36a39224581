// SPDX-License-Identifier: MIT
// Commands that run in several processes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ydistill/train/config.h>
#include <ydistill/train/exchange.h>

namespace ydistill::tools {

/// Runs the same work in all processes; returns its exit code. If it fails in one process without
/// the others knowing, that process reports it, and all end at once.
int run_in_all(Exchange& processes, const std::function<int()>& work);

/// The config as the first process reads it; the others need no such file. throws like load_config,
/// in all processes, as Exchange::together does.
Config load_config(Exchange& processes, const std::string& file,
                   const std::vector<std::string>& overrides);

}  // namespace ydistill::tools
