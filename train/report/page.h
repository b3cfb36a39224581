// SPDX-License-Identifier: MIT
// Self-contained pages: one file each, no network access, readable on a phone, light and dark.
//
// A page consists of the style sheet, a JSON block and the scripts of train/report/page/, which
// build everything in the browser.
#pragma once

#include <string>

#include <ydistill/train/report/compare.h>
#include <ydistill/train/report/record.h>

namespace ydistill {

/// report.html of one run, finished or not.
std::string report_page(const RunRecord& record);

/// compare.html over several runs.
std::string compare_page(const Comparison& comparison);

}  // namespace ydistill
