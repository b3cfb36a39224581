// SPDX-License-Identifier: MIT
#include <ydistill/yolo/calibration_json.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

constexpr const char* kRange = "range";
constexpr const char* kMeans = "input_means";

bool is_list_of_numbers(const nlohmann::json& json) {
  return json.is_array() && std::all_of(json.begin(), json.end(), [](const auto& number) {
           return number.is_number() && std::isfinite(number.template get<float>());
         });
}

ConvCalibration conv_from_json(const std::string& name, const nlohmann::json& json) {
  ConvCalibration conv;
  if (!json.is_object() || !json.contains(kMeans) || !is_list_of_numbers(json[kMeans])) {
    throw ValueError("{}: an object with a list of numbers \"{}\" wanted", name, kMeans);
  }
  conv.input_means = json[kMeans].get<std::vector<float>>();
  if (!json.contains(kRange)) return conv;
  const auto& range = json[kRange];
  if (!is_list_of_numbers(range) || range.size() != 2 ||
      !(range[0].get<double>() < range[1].get<double>())) {
    throw ValueError("{}: \"{}\": two numbers wanted, the smaller one first", name, kRange);
  }
  conv.low = range[0].get<double>();
  conv.high = range[1].get<double>();
  return conv;
}

}  // namespace

std::string calibration_to_json(const NetworkCalibration& calibration) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, conv] : calibration) {
    auto& one = json[name];
    if (conv.low < conv.high) one[kRange] = {conv.low, conv.high};
    one[kMeans] = conv.input_means;
  }
  return json.dump();
}

NetworkCalibration calibration_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) throw ValueError("no JSON object");
  NetworkCalibration calibration;
  for (const auto& [name, conv] : json.items()) {
    calibration[name] = conv_from_json(printable(name, 120), conv);
  }
  return calibration;
}

}  // namespace ydistill
