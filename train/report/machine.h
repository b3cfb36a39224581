// SPDX-License-Identifier: MIT
// The machine and the software that a run uses.
#pragma once

#include <vector>

#include <ydistill/tensor/compute.h>
#include <ydistill/train/report/record.h>

namespace ydistill {

/// Processor, cores, threads, memory, device and precision, convolutions, versions, system.
std::vector<Fact> machine_facts(const Compute& compute);

}  // namespace ydistill
