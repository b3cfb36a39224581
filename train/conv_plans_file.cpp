// SPDX-License-Identifier: MIT
#include <ydistill/train/conv_plans_file.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/json_nesting.h>
#include <ydistill/tensor/io/text_file.h>

namespace ydistill {

void write_conv_plans(const std::filesystem::path& path, const std::vector<SavedConvPlan>& plans) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const SavedConvPlan& plan : plans) {
    list.push_back({{"device", plan.device},
                    {"convolution", plan.convolution},
                    {"library", plan.library},
                    {"timed", plan.is_timed},
                    {"plan", plan.plan}});
  }
  // Text of a library that is not UTF-8 is written changed, and refused when it is read.
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  write_file_atomically(path, list.dump(1, ' ', false, kReplace) + "\n");
}

std::vector<SavedConvPlan> read_conv_plans(const std::filesystem::path& path, const Say& say) {
  std::vector<SavedConvPlan> plans;
  if (!std::filesystem::exists(path)) return plans;
  try {
    const std::string text = read_text_file(path);
    if (json_nests_beyond(text)) throw FileError("{} nests too deeply", path.string());
    const nlohmann::json list = nlohmann::json::parse(text);
    for (const nlohmann::json& entry : list) {
      plans.push_back({entry.at("device"), entry.at("convolution"), entry.at("library"),
                       entry.at("plan"), entry.at("timed")});
    }
  } catch (const std::exception&) {
    say(fmt::format("convolutions: {} is damaged; plans are chosen anew", path.string()));
    return {};
  }
  return plans;
}

}  // namespace ydistill
