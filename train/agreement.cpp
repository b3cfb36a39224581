// SPDX-License-Identifier: MIT
#include <ydistill/train/agreement.h>

#include <fmt/format.h>

#include <span>
#include <string>
#include <vector>

#include <ydistill/tensor/fnv_hash.h>
#include <ydistill/tensor/io/text_file.h>

namespace ydistill {
namespace {

std::string digest_of(const Dataset& dataset) {
  FnvHash hash;
  for (const Sample& sample : dataset.samples) {
    hash.add(sample.width);
    hash.add(sample.height);
    hash.add(sample.labelled);
    hash.add(sample.labels.size());
    for (const Label& label : sample.labels) {
      hash.add(label.class_id);
      for (const double number : {label.cx, label.cy, label.w, label.h}) hash.add(number);
    }
  }
  return fmt::format("{:016x}", hash.value());
}

void add_numbers(FnvHash& hash, const Tensor& values) {
  const Tensor on_host = values.to(Device::cpu());
  hash.add({on_host.raw(), size_t(on_host.nbytes())});
}

std::string digest_of(const ParameterStore& parameters) {
  FnvHash hash;
  add_numbers(hash, parameters.values());
  add_numbers(hash, parameters.statistics());
  return fmt::format("{:016x}", hash.value());
}

std::string digest_of(const Checkpoint& checkpoint) {
  FnvHash hash;
  for (const auto& [name, values] : checkpoint.tensors) {
    hash.add(std::as_bytes(std::span(name)));
    add_numbers(hash, values);
  }
  return fmt::format("{:016x}", hash.value());
}

std::vector<Tensor> state_of(const ParameterStore& parameters, const Optimizer& optimizer) {
  std::vector<Tensor> state{parameters.values(), parameters.statistics(), optimizer.momentum(),
                            optimizer.ema_values(), optimizer.ema_statistics()};
  if (optimizer.squares().defined()) state.push_back(optimizer.squares());
  return state;
}

}  // namespace

void check_same_config(Exchange& exchange, const Config& config) {
  const std::string own = to_json(config);
  const std::string first = exchange.from_first(own);
  exchange.together([&] {
    if (own != first) throw ConfigError("the config is another than the first process's");
  });
}

void check_same_precision(Exchange& exchange, Precision precision) {
  const std::string own = name_of(precision), first = exchange.from_first(own);
  exchange.together([&] {
    if (own == first) return;
    throw ConfigError("precision: {} here, {} in the first process: name one for all", own, first);
  });
}

void check_same_file(Exchange& exchange, const std::string& key,
                     const std::filesystem::path& file) {
  if (exchange.size() == 1) return;
  std::string own;
  exchange.together([&] {
    const std::string bytes = read_text_file(file);
    FnvHash hash;
    hash.add(std::as_bytes(std::span(bytes)));
    own = fmt::format("{} {:016x}", bytes.size(), hash.value());
  });
  const std::string first = exchange.from_first(own);
  exchange.together([&] {
    if (own == first) return;
    throw ConfigError("{}: {} is not the file that the first process has", key, file.string());
  });
}

void check_same_graph(Exchange& exchange, const GraphSpec& graph) {
  const std::string first = exchange.from_first(graph.json);
  exchange.together([&] {
    if (graph.json == first) return;
    throw ConfigError("model: the graph or its anchors are not those of the first process");
  });
}

void check_same_data(Exchange& exchange, const char* key, const Dataset& dataset) {
  const std::string own = fmt::format("{} {}", dataset.samples.size(), digest_of(dataset));
  const std::string first = exchange.from_first(own);
  exchange.together([&] {
    if (own == first) return;
    const std::string pictures = first.substr(0, first.find(' '));
    throw ConfigError("{}: {} pictures here, {} in the first process{}: all need the same data",
                      key, dataset.samples.size(), pictures,
                      std::to_string(dataset.samples.size()) == pictures
                          ? ", but of other sizes or with other labels"
                          : "");
  });
}

void check_same_weights(Exchange& exchange, const char* key, const Checkpoint& checkpoint) {
  if (exchange.size() == 1) return;
  const std::string own = digest_of(checkpoint);
  const std::string first = exchange.from_first(own);
  exchange.together([&] {
    if (own != first) throw ConfigError("{}: other numbers than the first process's", key);
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
