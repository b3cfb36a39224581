// SPDX-License-Identifier: MIT
// A key's value as JSON. Private to the readers and writers of configs.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include <ydistill/train/config_table.h>

namespace ydistill {

/// Whole numbers as people write them: 10, not 10.0.
inline nlohmann::ordered_json json_of(double number) {
  if (std::abs(number) < 9e15 && number == std::floor(number)) return int64_t(number);
  return number;
}

inline nlohmann::ordered_json json_of(const ClassMerges& merges) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const ClassMerge& merge : merges) object[merge.name] = merge.of;
  return object;
}

inline nlohmann::ordered_json json_of(const ConfigValue& value) {
  return std::visit(
      [](const auto& v) -> nlohmann::ordered_json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, double> || std::is_same_v<T, ClassMerges>) {
          return json_of(v);
        } else {
          return v;
        }
      },
      value);
}

}  // namespace ydistill
