// SPDX-License-Identifier: MIT
// Pictures that could not be read, from all processes of a training.
#pragma once

#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/train/exchange.h>

namespace ydistill {

/// The findings of all processes, by rank, without duplicates.
std::vector<Finding> gather_findings(Exchange& exchange, const std::vector<Finding>& own);

}  // namespace ydistill
