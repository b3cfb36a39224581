// SPDX-License-Identifier: MIT
// Limits how long OpenMP's threads spin before they sleep.
//
// GCC's OpenMP lets a waiting thread spin for milliseconds. If the thread that it waits for is not
// running, because another program uses the cores, the spinning keeps a core busy that this thread
// could use: a step of many short loops then takes ten times as long or more. Spinning for 0.1 ms
// is as fast on an idle machine (docs/performance.md). The setting, GOMP_SPINCOUNT, is read only
// from the environment, and only when the program is loaded.
#pragma once

namespace ydistill {

/// Call first in main(): restarts the program, once, with that setting. Does nothing if
/// GOMP_SPINCOUNT or OMP_WAIT_POLICY is set, with only one thread or another OpenMP, or if the
/// program cannot be restarted.
void restart_with_short_waits(char** argv);

}  // namespace ydistill
