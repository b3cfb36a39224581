// SPDX-License-Identifier: MIT
// The losses that a config asks for.
#pragma once

#include <ydistill/distill/class_match.h>
#include <ydistill/train/config.h>
#include <ydistill/train/step.h>

namespace ydistill {

/// The losses with their gains scaled by classes, scales and picture size; no feature loss if no
/// layer before the head is trained. teacher: null for none. classes: how the student's match the
/// teacher's.
StepLosses losses_of(const Config& config, const Model& student, const GraphSpec* teacher,
                     const ClassMatch& classes = {});

}  // namespace ydistill
