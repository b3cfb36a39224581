// SPDX-License-Identifier: MIT
#include <ydistill/yolo/freeze.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

constexpr std::string_view kModules = "model.";

std::optional<int> number_of(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// "model.3-5" becomes "model.3", "model.4", "model.5"; anything without a dash is unchanged.
std::vector<std::string> prefixes_of(const std::string& layer) {
  const size_t dash = layer.find('-');
  if (dash == std::string::npos) return {layer};
  const std::string_view text(layer);
  if (text.starts_with(kModules) && dash > kModules.size()) {
    const auto first = number_of(text.substr(kModules.size(), dash - kModules.size()));
    const auto last = number_of(text.substr(dash + 1));
    if (first && last && *first <= *last && *last < 10000) {
      std::vector<std::string> prefixes;
      for (int i = *first; i <= *last; ++i) prefixes.push_back(fmt::format("{}{}", kModules, i));
      return prefixes;
    }
  }
  throw ValueError("{}: not a range of layers, model.0-9 would be one", layer);
}

}  // namespace

std::function<bool(const std::string&)> layer_filter(const std::vector<std::string>& layers) {
  std::vector<std::string> prefixes;
  for (const std::string& layer : layers) {
    for (std::string& prefix : prefixes_of(layer)) prefixes.push_back(std::move(prefix));
  }
  return [prefixes](const std::string& name) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) {
      return name == prefix || (name.size() > prefix.size() && name.starts_with(prefix) &&
                                name[prefix.size()] == '.');
    });
  };
}

}  // namespace ydistill
