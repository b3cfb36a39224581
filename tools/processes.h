// SPDX-License-Identifier: MIT
// Commands that run in several processes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ydistill/train/config.h>
#include <ydistill/train/exchange.h>

namespace ydistill::tools {

/// The same work in all processes; returns its exit code. Where it fails in one and the others do
/// not know, that one says so, and all end at once.
int run_in_all(Exchange& processes, const std::function<int()>& work);

/// The first process's config: the others need no such file. throws as load_config, in all
/// processes as Exchange::together does.
Config load_config(Exchange& processes, const std::string& file,
                   const std::vector<std::string>& overrides);

}  // namespace ydistill::tools
