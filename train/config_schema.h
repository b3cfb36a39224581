// SPDX-License-Identifier: MIT
// JSON Schema and reference page, made from the table of config keys.
#pragma once

#include <string>

namespace ydistill {

/// The JSON Schema (draft 2020-12) of the config file, indented, with a final newline.
std::string config_schema_json();

/// docs/config.md: every key with its type, default and meaning.
std::string config_reference_markdown();

}  // namespace ydistill
