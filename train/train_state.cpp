// SPDX-License-Identifier: MIT
#include <ydistill/train/train_state.h>

#include <nlohmann/json.hpp>

#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/tensor/io/safetensors.h>

namespace ydistill {
namespace {

using nlohmann::json;

constexpr const char* kRaw = "raw.";
constexpr const char* kMomentum = "momentum.";
constexpr const char* kSquares = "squares.";
constexpr const char* kGrad = "grad.";
constexpr const char* kAverage = "average.";  // for tensors that plain names must not hold

json json_of(const EpochResult& result) {
  json columns{{"epoch", result.epoch}};
  for (const EpochColumn& column : epoch_columns()) columns[column.name] = result.*column.value;
  return columns;
}

/// A column that an earlier release did not write stays 0.
EpochResult result_of(const json& columns) {
  EpochResult result;
  result.epoch = columns.at("epoch").get<int64_t>();
  for (const EpochColumn& column : epoch_columns()) {
    result.*column.value = columns.value(column.name, 0.0);
  }
  return result;
}

void append(NamedTensors& to, const std::string& prefix, NamedTensors from) {
  for (auto& [name, tensor] : from) to.emplace_back(prefix + name, std::move(tensor));
}

/// The tensors whose names begin with prefix, without it.
NamedTensors with_prefix(const NamedTensors& tensors, const std::string& prefix) {
  NamedTensors found;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) found.emplace_back(name.substr(prefix.size()), tensor);
  }
  return found;
}

/// Network and auxiliary parameters, from a flat buffer.
NamedTensors export_all(const Model& model, const Tensor& flat) {
  NamedTensors all = export_parameters(model, flat);
  append(all, "", export_auxiliary(model, flat));
  return all;
}

void import_all(const Model& model, const NamedTensors& tensors, const Tensor& flat) {
  import_parameters(model, tensors, flat);
  import_auxiliary(model, tensors, flat);
}

const std::string& metadata_of(const TensorFile& file, const std::filesystem::path& path,
                               const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) {
    throw FileError("{}: not the checkpoint of a run, its metadata has no `{}`", path.string(),
                    key);
  }
  return found->second;
}

}  // namespace

Checkpoint ema_checkpoint(const Model& model, const Optimizer& optimizer,
                          const std::vector<std::string>& class_names) {
  Checkpoint checkpoint;
  checkpoint.spec = model.spec();
  checkpoint.class_names = class_names;
  append(checkpoint.tensors, "", export_parameters(model, optimizer.ema_values()));
  append(checkpoint.tensors, "", export_statistics(model, optimizer.ema_statistics()));
  // The anchors are constants of the model.
  checkpoint.tensors.push_back(export_weights(model).back());
  return checkpoint;
}

void save_train_state(const std::filesystem::path& path, const TrainState& state,
                      const Config& config, const Model& model, const Optimizer& optimizer,
                      const std::vector<std::string>& class_names) {
  const ParameterStore& store = model.parameters();
  Checkpoint checkpoint = ema_checkpoint(model, optimizer, class_names);
  append(checkpoint.tensors, kAverage, export_auxiliary(model, optimizer.ema_values()));
  append(checkpoint.tensors, kRaw, export_all(model, store.values()));
  append(checkpoint.tensors, kRaw, export_statistics(model, store.statistics()));
  append(checkpoint.tensors, kMomentum, export_all(model, optimizer.momentum()));
  if (optimizer.squares().defined()) {
    append(checkpoint.tensors, kSquares, export_all(model, optimizer.squares()));
  }
  if (optimizer.grad_norm() != 0)
    append(checkpoint.tensors, kGrad, export_all(model, store.grads()));

  json results = json::array();
  for (const EpochResult& result : state.results) results.push_back(json_of(result));
  json sums;
  for (const StepSum& sum : step_sums()) sums[sum.name] = state.sums.*sum.value;
  checkpoint.metadata["train_state"] = json{
      {"epoch", state.epoch},
      {"next_batch", state.next_batch},
      {"last_step", state.last_step},
      {"batches", state.batches},
      {"ema_updates", optimizer.ema_updates()},
      {"sums", sums},
      {"best_fitness", state.best_fitness},
      {"best_epoch", state.best_epoch},
      {"finished", state.finished},
      {"train_data", state.train_data},
      {"val_data", state.val_data},
      {"teacher", state.teacher},
      {"class_map", state.class_map},
      {"results", results}}.dump();
  checkpoint.metadata["config"] = to_json(config);
  save_checkpoint(path, checkpoint);
}

Config parse_run_config(const std::string& text, const std::string& source_name) {
  // Paths were made absolute when the run began.
  Config config = parse_config(text, std::filesystem::current_path(), {}, source_name);
  // Before distill.mean existed, its value was boxes.
  if (config.teacher && text.find("\"mean\":") == std::string::npos) {
    config.distill.mean = DistillConfig::Mean::kBoxes;
  }
  return config;
}

Config read_train_config(const std::filesystem::path& path) {
  const TensorFile file = read_safetensors(path);
  const std::string text = metadata_of(file, path, "config");
  return parse_run_config(text, path.string());
}

TrainState load_train_state(const std::filesystem::path& path, Model& model, Optimizer& optimizer) {
  const TensorFile file = read_safetensors(path);
  const std::string text = metadata_of(file, path, "train_state");
  ParameterStore& store = model.parameters();
  try {
    const NamedTensors raw = with_prefix(file.tensors, kRaw);
    import_all(model, raw, store.values());
    import_statistics(model, raw, store.statistics());
    import_all(model, with_prefix(file.tensors, kMomentum), optimizer.momentum());
    if (optimizer.squares().defined()) {
      import_all(model, with_prefix(file.tensors, kSquares), optimizer.squares());
    }
    const NamedTensors grads = with_prefix(file.tensors, kGrad);
    if (grads.empty()) {
      store.grads().zero();
    } else {
      import_all(model, grads, store.grads());
    }
    import_parameters(model, file.tensors, optimizer.ema_values());
    import_auxiliary(model, with_prefix(file.tensors, kAverage), optimizer.ema_values());
    import_statistics(model, file.tensors, optimizer.ema_statistics());
    store.mark_changed();

    const json s = json::parse(text);
    TrainState state;
    state.epoch = s.at("epoch").get<int64_t>();
    state.next_batch = s.at("next_batch").get<int64_t>();
    state.last_step = s.at("last_step").get<int64_t>();
    state.batches = s.value("batches", int64_t(0));
    optimizer.set_ema_updates(s.at("ema_updates").get<int64_t>());
    for (const StepSum& sum : step_sums()) {
      state.sums.*sum.value = s.at("sums").value(sum.name, 0.0);  // newer ones: 0
    }
    state.best_fitness = s.at("best_fitness").get<double>();
    state.best_epoch = s.at("best_epoch").get<int64_t>();
    state.finished = s.at("finished").get<bool>();
    state.train_data = s.value("train_data", "");
    state.val_data = s.value("val_data", "");
    state.teacher = s.value("teacher", "");
    state.class_map = s.value("class_map", std::vector<double>());
    for (const json& r : s.at("results")) state.results.push_back(result_of(r));
    return state;
  } catch (const json::exception& error) {
    throw FileError("{}: its training state cannot be read: {}", path.string(),
                    json_problem(error, text));
  } catch (const ValueError& error) {
    throw FileError("{}: its training state cannot be read: {}", path.string(), error.what());
  }
}

}  // namespace ydistill
