// SPDX-License-Identifier: MIT
#include <ydistill/train/agreement.h>

#include <fmt/format.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ydistill/tensor/fnv_hash.h>
#include <ydistill/train/digest.h>

namespace ydistill {
namespace {

std::string digest_of(const ParameterStore& parameters) {
  FnvHash hash;
  for (const Tensor& values : {parameters.values(), parameters.statistics()}) {
    const Tensor on_host = values.to(Device::cpu());
    hash.add({on_host.raw(), size_t(on_host.nbytes())});
  }
  return fmt::format("{:016x}", hash.value());
}

/// Refuses processes whose text differs from the first one's. text_for: makes the message from the
/// first one's text. throws ConfigError, EndedTogether.
void refuse_others(Exchange& exchange, const std::string& own,
                   const std::function<std::string(const std::string& first)>& text_for) {
  const std::string first = exchange.from_first(own);
  exchange.together([&] {
    if (own != first) throw ConfigError("{}", text_for(first));
  });
}

std::vector<Tensor> state_of(const ParameterStore& parameters, const Optimizer& optimizer) {
  std::vector<Tensor> state{parameters.values(), parameters.statistics(), optimizer.momentum(),
                            optimizer.ema_values(), optimizer.ema_statistics()};
  if (optimizer.squares().defined()) state.push_back(optimizer.squares());
  return state;
}

}  // namespace

void check_same_config(Exchange& exchange, const Config& config) {
  refuse_others(exchange, to_json(config),
                [](const std::string&) { return "the config differs from the first process's"; });
}

void check_same_precision(Exchange& exchange, Precision precision) {
  const std::string own = name_of(precision);
  refuse_others(exchange, own, [&own](const std::string& first) {
    return fmt::format("precision: {} here, {} in the first process; set the same for all", own,
                       first);
  });
}

void check_same_file(Exchange& exchange, const std::string& key,
                     const std::filesystem::path& file) {
  if (exchange.size() == 1) return;
  std::string own;
  exchange.together([&] { own = digest_of(file); });
  refuse_others(exchange, own, [&](const std::string&) {
    return fmt::format("{}: {} is not the file that the first process has", key, file.string());
  });
}

void check_same_graph(Exchange& exchange, const GraphSpec& graph) {
  refuse_others(exchange, graph.json, [](const std::string&) {
    return "model: the graph or its anchors are not those of the first process";
  });
}

void check_same_data(Exchange& exchange, const char* key, const Dataset& dataset) {
  if (exchange.size() == 1) return;
  const std::string number = std::to_string(dataset.samples.size());
  refuse_others(exchange, digest_of(dataset), [&](const std::string& first) {
    const std::string number_of_first = first.substr(0, first.find(' '));
    return fmt::format(
        "{}: {} pictures here, {} in the first process{}: all need the same data", key, number,
        number_of_first,
        number == number_of_first ? ", but of other sizes or with other labels" : "");
  });
}

bool take_state_of_first(Exchange& exchange, ParameterStore& parameters, Optimizer& optimizer) {
  if (exchange.size() == 1) return false;
  const std::string own = digest_of(parameters);
  if (!exchange.any(own != exchange.from_first(own))) return false;
  for (const Tensor& values : state_of(parameters, optimizer)) exchange.broadcast(values);
  parameters.mark_changed();
  return true;
}

}  // namespace ydistill
