// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/writable_folder.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/processes.h>
#include <ydistill/tools/progress.h>
#include <ydistill/train/agreement.h>
#include <ydistill/train/coco_results.h>
#include <ydistill/train/data_sources.h>
#include <ydistill/train/evaluate.h>
#include <ydistill/train/process_share.h>
#include <ydistill/train/student.h>

namespace ydistill::tools {
namespace {

void print_table(const MetricsResult& m) {
  fmt::print("{:<20} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "class", "images", "instances",
             "precision", "recall", "mAP50", "mAP50-95");
  const auto row = [](const std::string& name, int64_t images, int64_t instances, double p,
                      double r, double map50, double map) {
    fmt::print("{:<20} {:>7} {:>9} {:>9.4f} {:>9.4f} {:>9.4f} {:>9.4f}\n", name, images, instances,
               p, r, map50, map);
  };
  row("all", m.images, m.instances, m.precision, m.recall, m.map50, m.map);
  if (m.per_class.size() < 2) return;
  for (const ClassMetrics& c : m.per_class) {
    row(c.name, c.images, c.instances, c.precision, c.recall, c.map50, c.map);
  }
}

std::string as_json(const MetricsResult& m) {
  nlohmann::ordered_json per_class = nlohmann::ordered_json::array();
  for (const ClassMetrics& c : m.per_class) {
    per_class.push_back({{"class", c.class_id},
                         {"name", c.name},
                         {"images", c.images},
                         {"instances", c.instances},
                         {"precision", c.precision},
                         {"recall", c.recall},
                         {"map50", c.map50},
                         {"map", c.map}});
  }
  const nlohmann::ordered_json metrics{{"precision", m.precision},
                                       {"recall", m.recall},
                                       {"map50", m.map50},
                                       {"map", m.map},
                                       {"per_class", per_class}};
  return nlohmann::ordered_json{{"metrics", metrics}}.dump(2);
}

struct ValArgs {
  std::string config;
  std::vector<std::string> overrides;
  bool json = false;
  bool tta = false;
  std::string coco_results;  // a new file
};

/// Checks before the work whether the boxes can be written.
void check_results_file(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) {
    throw ConfigError("val: --coco-results {}: already exists; choose another name",
                      printable(file.string()));
  }
  check_file_has_place(file);
}

/// Runs in all processes; the first one prints.
int validate(const Config& config, const ValArgs& args, Exchange& exchange) {
  const Say say = [&](const std::string& line) {
    if (exchange.is_first()) message(line);
  };
  use_own_threads(config, exchange);
  std::shared_ptr<const Dataset> dataset;
  std::unique_ptr<Model> model;
  std::optional<CocoResults> found;  // if they are wanted
  Compute compute;
  EvaluateOptions options;
  exchange.together([&] {
    if (!args.coco_results.empty() && exchange.is_first()) check_results_file(args.coco_results);
    // Problems of the machine or the options are reported before the weights are read.
    (void)choose_own_inference_compute(config, exchange, /*calibrated=*/true);
    if (config.model.weights.empty()) {
      throw ConfigError(
          "model.weights: val needs the weights of a trained model; give "
          "model.weights=FILE");
    }
    const Checkpoint checkpoint = load_checkpoint(config.model.weights, PtWeights::kEma);
    compute = choose_own_inference_compute(config, exchange, !checkpoint.calibration.empty());
    use_compute(compute);
    Reading reading = model_reading(config, checkpoint.class_names);
    reading.stop = stop_signal_came;
    dataset = open_dataset("data.val", val_source(config), reading, say);
    if (dataset->num_labels() == 0) {
      say("data.val: none of its pictures has a label: all metrics will be 0");
    }
    const bool all_are_one = config.train.single_class && dataset->names.size() == 1;
    options.found_as =
        all_are_one ? std::vector<int64_t>(checkpoint.class_names.size(), 0)
                    : classes_of_data(checkpoint.class_names, dataset->names, config.data.merge);
    model = build_inference_model(checkpoint, compute);
    check_image_size("val.image_size", config.val.image_size, model->spec());
    if (!args.coco_results.empty()) found.emplace(dataset);
    if (dataset->names.size() < checkpoint.class_names.size()) {
      say(fmt::format("model: its {} classes are measured as the data's {}: {}",
                      checkpoint.class_names.size(), dataset->names.size(),
                      printable_list(dataset->names)));
    }
    say(fmt::format("model: {} from {} on {}{}", checkpoint.spec.name,
                    config.model.weights.string(), describe(compute),
                    args.tta ? ", with test-time augmentation" : ""));
  });
  check_same_precision(exchange, compute.precision);
  check_same_file(exchange, "model.weights", config.model.weights);
  check_same_data(exchange, "data.val", *dataset);
  options.val = config.val;
  options.workers = int(config.train.workers);
  options.exchange = &exchange;
  options.stop = stop_signal_came;
  options.tta = args.tta;
  if (found) options.on_batch = [&](const EvaluatedBatch& batch) { found->add(batch); };
  const auto arena = Arena::create(config.train.memory_mib << 20, model->device());
  const ArenaScope scope(arena);
  const EvaluateResult result = evaluate(*model, dataset, options);
  if (exchange.any(stop_signal_came())) {
    say("val: stopped before the last picture");
    return kRunFailed;
  }
  // If the boxes cannot be written, the figures are printed nevertheless.
  std::exception_ptr failure;
  int64_t left_out = 0;
  try {
    if (found) left_out = found->write(args.coco_results, exchange);
  } catch (...) {
    failure = std::current_exception();
  }
  if (exchange.is_first()) {
    for (const Finding& finding : result.findings) message("data.val: " + finding.str());
    if (args.json) {
      print_json(as_json(result.metrics));
    } else {
      print_table(result.metrics);
    }
    message(fmt::format("{} pictures in {:.1f} s", result.metrics.images, result.seconds));
    if (left_out > 0) {
      message(
          fmt::format("--coco-results: {} boxes of classes that the data have no category for are "
                      "left out",
                      left_out));
    }
  }
  if (failure) std::rethrow_exception(failure);
  return 0;
}

}  // namespace

Run add_val(CLI::App& app) {
  auto args = std::make_shared<ValArgs>();
  CLI::App* cmd =
      app.add_subcommand("val", "Measure a model on the validation pictures of a config");
  cmd->add_option("config", args->config, "config file (JSON)")->required();
  cmd->add_option("overrides", args->overrides, "key.path=value, e.g. val.conf=0.01");
  cmd->add_flag("--json", args->json, "print one JSON document");
  cmd->add_flag("--tta", args->tta,
                "test-time augmentation: three passes per picture; finds more, takes longer");
  cmd->add_option("--coco-results", args->coco_results,
                  "also write all boxes in COCO's format of results: a new file");
  return [args] {
    const std::unique_ptr<Exchange> processes = join_processes();
    catch_stop_signals(processes->is_first() ? OnSignal::kSay : OnSignal::kQuiet);
    return run_in_all(*processes, [&] {
      const Config config = load_config(*processes, args->config, args->overrides);
      return validate(config, *args, *processes);
    });
  };
}

}  // namespace ydistill::tools
