// SPDX-License-Identifier: MIT
// How long OpenMP's threads wait for each other before they sleep.
//
// GCC's OpenMP lets a thread spin for milliseconds. While it spins for a partner that is not
// running, because some other program has that core, it keeps the core for which they wait: a step
// of many short loops then takes ten times as long and more. A tenth of a millisecond is as fast on
// a quiet machine (docs/performance.md). But it takes its setting, GOMP_SPINCOUNT, from the
// environment only, and only while the program is being loaded.
#pragma once

namespace ydistill {

/// To be called first in main(): restarts the program, once, with that setting. Does nothing where
/// GOMP_SPINCOUNT or OMP_WAIT_POLICY is set, where there is one thread or another OpenMP, and where
/// the program cannot be restarted.
void restart_with_short_waits(char** argv);

}  // namespace ydistill
