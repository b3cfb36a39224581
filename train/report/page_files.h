// SPDX-License-Identifier: MIT
// The files of train/report/page/ as strings; CMake generates page_files.cpp from them.
#pragma once

namespace ydistill {

extern const char* const kPageCss;
extern const char* const kChartsJs;
extern const char* const kReportJs;
extern const char* const kCompareJs;

}  // namespace ydistill
