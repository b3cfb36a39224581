// SPDX-License-Identifier: MIT
// Runs under mpirun: every process makes all of these cases, at the same time.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/random.h>
#include <ydistill/train/agreement.h>
#include <ydistill/train/data_sources.h>
#include <ydistill/train/exchange.h>
#include <ydistill/train/gather_findings.h>
#include <ydistill/train/trainer.h>
#include <ydistill/yolo/checkpoint.h>

#include "support/catch.h"
#include "support/files.h"
#include "support/worst.h"
#include "train/same_bits.h"
#include "train/tiny_data.h"
#include "train/tiny_run.h"

namespace ydistill {
namespace {

/// MPI begins and ends once.
Exchange& processes() {
  static const std::unique_ptr<Exchange> all = join_processes();
  return *all;
}

/// Everything stands in the first one's folder.
struct SharedRun {
  test::TempDir own;
  std::filesystem::path dir;

  SharedRun() : dir(processes().from_first(own.path().string())) {
    if (processes().is_first()) {
      test::write_tiny_set(dir / "train", 6 * processes().size());
      test::write_tiny_set(dir / "val", 7, 2);
      test::write_file(dir / "graph.json", test::tiny_graph());
    }
    (void)processes().any(false);  // the files are there
  }
  ~SharedRun() {
    try {
      (void)processes().any(false);  // nobody needs them any more
    } catch (const std::exception&) {
    }
  }

  Config config(const std::string& name, std::vector<std::string> overrides = {}) const {
    const std::string text = fmt::format(
        R"({{"model": {{"graph": "graph.json"}},
             "data": {{"train": {{"yolo": "train/images"}}, "val": {{"yolo": "val/images"}}, "names": ["wide", "high"]}},
             "train": {{"epochs": 3, "batch": {}, "image_size": 64, "nominal_batch": {}, "warmup_epochs": 0, "workers": 1}},
             "val": {{"batch": 2}},
             "device": "cpu", "precision": "fp32", "run": {{"dir": "{}", "name": "{}"}}}})",
        2 * processes().size(), 4 * processes().size(), (dir / "runs").string(), name);
    return parse_config(text, dir, overrides);
  }
};

/// In one of the processes asks for a stop once something is so; all but the first hear nothing of
/// how far the run is.
class StopsOnce : public test::QuietEvents {
 public:
  StopsOnce(int stopper, std::function<bool()> is_so)
      : stops_(processes().rank() == stopper), is_so_(std::move(is_so)) {}
  bool stop_requested() override { return stops_ && is_so_(); }

 private:
  bool stops_;
  std::function<bool()> is_so_;
};

/// Moments of a run, told from its folder: in its first batch, its third, after its first epoch.
std::vector<std::function<bool()>> moments(const std::filesystem::path& run) {
  return {[run] { return std::filesystem::exists(run / "train_batch0.jpg"); },
          [run] { return std::filesystem::exists(run / "train_batch2.jpg"); },
          [run] {
            const std::string csv = test::read_file(run / "results.csv");
            return std::count(csv.begin(), csv.end(), '\n') > 1;
          }};
}

/// Each process's values; some are far larger than others, so that the order of adding shows.
Tensor values_of(int rank, int64_t n) {
  Tensor values = Tensor::empty({n});
  Rng rng(7, 0, uint64_t(rank));
  for (float& value : values.span<float>()) {
    value = float(rng.uniform(-1, 1) * (rng.below(2) == 0 ? 1e4 : 1e-3));
  }
  return values;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.nbytes() == b.nbytes() && std::memcmp(a.raw(), b.raw(), size_t(a.nbytes())) == 0;
}

/// What `work` throws as "Type: message", here.
std::string failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const EndedTogether&) {
    return "EndedTogether";
  } catch (const StoppedError& error) {
    return std::string("StoppedError: ") + error.what();
  } catch (const ConfigError& error) {
    return std::string("ConfigError: ") + error.what();
  } catch (const std::exception& error) {
    return std::string("other: ") + error.what();
  }
  return "";
}

TEST_CASE("processes: there are as many as the launcher was asked for") {
  const char* wanted = std::getenv("YDISTILL_TEST_PROCESSES");
  REQUIRE(wanted != nullptr);
  CHECK(processes().size() == std::atoi(wanted));
  CHECK(processes().local_size() == processes().size());
  CHECK(processes().local_rank() == processes().rank());
  CHECK(processes().threads() >= 1);
}

TEST_CASE("exchange: a sum is in the order of the ranks, bit for bit, in every process") {
  const int size = processes().size();
  // Fewer values than processes, no multiple of them, and far more than are exchanged at a time.
  for (const int64_t n :
       {int64_t(0), int64_t(1), int64_t(5), int64_t(1000), (int64_t(1) << 20) + 7}) {
    INFO(n << " values");
    const Tensor values = values_of(processes().rank(), n);
    processes().sum(values);
    Tensor expected = values_of(0, n);
    for (int rank = 1; rank < size; ++rank) {
      const Tensor more = values_of(rank, n);
      for (int64_t i = 0; i < n; ++i) expected.data<float>()[i] += more.data<float>()[i];
    }
    CHECK(same_bits(values, expected));
  }
}

TEST_CASE("exchange: sums of few numbers, votes, texts of different lengths") {
  Exchange& all = processes();
  std::vector<double> numbers{1, double(all.rank()), 0.5};
  all.sum(numbers);
  CHECK(numbers == std::vector<double>{double(all.size()), all.size() * (all.size() - 1) / 2.0,
                                       all.size() / 2.0});
  CHECK(all.any(all.rank() == all.size() - 1));
  CHECK_FALSE(all.any(false));
  const auto text_of = [](int rank) { return std::string(size_t(rank) * 1000, char('a' + rank)); };
  const std::vector<std::string> texts = all.gather(text_of(all.rank()));
  REQUIRE(int(texts.size()) == all.size());
  for (int rank = 0; rank < all.size(); ++rank) CHECK(texts[size_t(rank)] == text_of(rank));
  CHECK(all.from_first(fmt::format("of {}", all.rank())) == "of 0");
  CHECK(all.from_first("") == "");
}

TEST_CASE("exchange: sums of other types than float32 are refused") {
  const Tensor wrong = Tensor::zeros({4}, DType::kFloat64);
  CHECK_THROWS_WITH(processes().sum(wrong), "exchange: sum takes float32, got float64");
}

TEST_CASE("exchange: what fails in one process fails in all, and the first one says why") {
  Exchange& all = processes();
  const int last = all.size() - 1;
  const bool is_last = all.rank() == last;
  const auto expected = [&](const std::string& text) {
    return all.is_first() ? text : std::string("EndedTogether");
  };
  const std::string name = fmt::format("process {} on {}: ", last, all.machine());
  CHECK(failure_of([&] { all.together([] {}); }) == "");
  CHECK(failure_of([&] {
          all.together([&] {
            if (is_last) throw FileError("a.jpg: gone");
          });
        }) == expected("other: " + name + "a.jpg: gone"));
  CHECK(failure_of([&] {
          all.together([&] {
            if (is_last) throw ConfigError("train.x: wrong");
          });
        }) == expected("ConfigError: " + name + "train.x: wrong"));
  // All have the same: it is said once, as it is.
  CHECK(failure_of([&] { all.together([] { throw ConfigError("train.x: wrong"); }); }) ==
        expected("ConfigError: train.x: wrong"));
  // A request to stop reaches all, but counts less than an error.
  CHECK(failure_of([&] {
          all.together([&] {
            if (is_last) throw StoppedError("asked to");
          });
        }) == "StoppedError: asked to");
  CHECK(failure_of([&] {
          all.together([&] {
            if (is_last) throw StoppedError("asked to");
            if (all.is_first()) throw FileError("a.jpg: gone");
          });
        }) == expected("other: a.jpg: gone"));
}

TEST_CASE("exchange: a GPU in one process and the CPU in another are refused") {
  Exchange& all = processes();
  CHECK(failure_of([&] { all.connect(all.rank() == 1 ? Device::cuda() : Device::cpu()); }) ==
        (all.is_first()
             ? fmt::format("ConfigError: process 1 on {}: device: a GPU here, the CPU in "
                           "the first process: all need the same",
                           all.machine())
             : "EndedTogether"));
}

TEST_CASE("processes: pictures that cannot be read are gathered, each once") {
  Exchange& all = processes();
  const Finding common{"a.jpg", 0, "no picture", "picture dropped"};
  const Finding own{fmt::format("{}.jpg", all.rank()), all.rank(), "line\tbroken", "kept"};
  const std::vector<Finding> found = gather_findings(all, {common, own});
  REQUIRE(int(found.size()) == 1 + all.size());
  CHECK(found[0].str() == common.str());
  CHECK(found[1].str() == "0.jpg: line\tbroken (kept)");
  CHECK(found[2].str() == "1.jpg:1: line\tbroken (kept)");
}

TEST_CASE(
    "processes: training on shares takes the steps of one process that adds up the same "
    "pictures one by one") {
  const SharedRun shared;
  test::QuietEvents events;
  const std::string shares = fmt::format("train.batch={}", processes().size());
  const TrainOutcome outcome = train(shared.config("shares", {shares}), events, processes());
  CHECK(outcome.finished);
  if (!processes().is_first()) return;
  // Each picture is a batch of its own to batch normalisation and to the losses' means, either way.
  test::QuietEvents alone;
  const TrainOutcome expected = train(shared.config("alone", {"train.batch=1"}), alone);
  const TensorFile x = read_safetensors(outcome.run / "weights/last.safetensors");
  const TensorFile y = read_safetensors(expected.run / "weights/last.safetensors");
  for (const auto& [name, tensor] : x.tensors) {
    // Running statistics are a mean over the processes, not a sequence.
    if (!name.starts_with("raw.") || name.find("running_") != std::string::npos) continue;
    INFO(name);
    const auto a = tensor.span<float>(), b = y.at(name).span<float>();
    double worst = 0, largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      worst = test::worse(worst, std::abs(double(a[i]) - double(b[i])));
      largest = std::max(largest, std::abs(double(b[i])));
    }
    // Sums in another order, float32, over nine steps.
    CHECK(worst <= 2e-5 * std::max(largest, 5e-2));
  }
  REQUIRE(outcome.results.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(outcome.results[i].train_box == Approx(expected.results[i].train_box).epsilon(1e-5));
    CHECK(outcome.results[i].train_obj == Approx(expected.results[i].train_obj).epsilon(1e-5));
    CHECK(outcome.results[i].train_cls == Approx(expected.results[i].train_cls).epsilon(1e-5));
  }
}

TEST_CASE("processes: they end with the same weights, and only the first one speaks and writes") {
  const SharedRun shared;
  test::QuietEvents events;
  const TrainOutcome outcome = train(shared.config("one"), events, processes());
  CHECK(outcome.finished);
  const std::vector<std::string> runs = processes().gather(outcome.run.string());
  CHECK(runs.back() == (shared.dir / "runs/one").string());
  CHECK(events.log.empty() == !processes().is_first());
  // Before each epoch their weights are compared, bit for bit.
  CHECK(events.log.find("round differently") == std::string::npos);
  CHECK(events.results.size() == (processes().is_first() ? 3u : 0u));
  REQUIRE(outcome.results.size() == 3);
  for (const EpochColumn& column : epoch_columns()) {
    double numbers = outcome.results.back().*column.value;
    const std::vector<std::string> all =
        processes().gather(std::string(reinterpret_cast<const char*>(&numbers), sizeof(numbers)));
    INFO(column.name);
    CHECK(all.back() == all.front());
  }
  if (!processes().is_first()) return;
  CHECK(events.log.find(fmt::format("processes: {} on ", processes().size())) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(shared.dir / "runs/one2"));
  for (const char* name : {"report.html", "val_batch0_pred.jpg", "weights/best.safetensors"}) {
    INFO(name);
    CHECK(std::filesystem::exists(outcome.run / name));
  }
}

TEST_CASE("processes: stopped through any of them and resumed equals uninterrupted bit for bit") {
  const SharedRun shared;
  test::QuietEvents events;
  const TrainOutcome whole = train(shared.config("whole"), events, processes());
  REQUIRE(whole.finished);
  for (int stopper = 0; stopper < processes().size(); ++stopper) {
    for (size_t moment = 0; moment < 3; ++moment) {
      INFO("process " << stopper << ", moment " << moment);
      const std::string name = fmt::format("cut{}_{}", stopper, moment);
      StopsOnce cut(stopper, moments(shared.dir / "runs" / name)[moment]);
      const TrainOutcome stopped = train(shared.config(name), cut, processes());
      REQUIRE_FALSE(stopped.finished);
      REQUIRE_FALSE(stopped.run.empty());
      const TrainOutcome resumed = resume_training(stopped.run, events, processes());
      CHECK(resumed.finished);
      if (!processes().is_first()) continue;
      test::check_same_bits(whole.run / "weights/last.safetensors",
                            resumed.run / "weights/last.safetensors");
      CHECK(test::read_file(whole.run / "results.csv") ==
            test::read_file(resumed.run / "results.csv"));
    }
  }
}

TEST_CASE("processes: a request to stop before the first batch leaves nothing behind") {
  const SharedRun shared;
  StopsOnce at_once(1, [] { return true; });
  const TrainOutcome outcome = train(shared.config("never"), at_once, processes());
  CHECK(outcome.run.empty());
  CHECK_FALSE(std::filesystem::exists(shared.dir / "runs/never"));
}

TEST_CASE("processes: distillation with unlabelled pictures trains, and resumes with its bits") {
  const SharedRun shared;
  const std::string wide = (shared.dir / "wide.json").string();
  if (processes().is_first()) {
    test::write_tiny_set(shared.dir / "more", 7, 3);
    test::write_file(wide, test::wide_tiny_graph());
  }
  (void)processes().any(false);  // both are there for all
  test::QuietEvents events;
  const TrainOutcome taught = train(
      shared.config("teacher", {"train.epochs=1", "model.graph=" + wide}), events, processes());
  const std::vector<std::string> overrides{
      "distill.feature=1", "data.unlabeled.pictures=" + (shared.dir / "more/images").string(),
      test::teacher_of(taught)};
  const auto config = [&](const std::string& name) { return shared.config(name, overrides); };
  const TrainOutcome whole = train(config("whole"), events, processes());
  REQUIRE(whole.finished);
  CHECK(whole.results.back().train_distill > whole.results.back().distill_feature);
  CHECK(whole.results.back().distill_feature > 0);
  StopsOnce cut(1, moments(shared.dir / "runs/cut")[2]);
  const TrainOutcome stopped = train(config("cut"), cut, processes());
  REQUIRE_FALSE(stopped.finished);
  const TrainOutcome resumed = resume_training(stopped.run, events, processes());
  if (!processes().is_first()) return;
  test::check_same_bits(whole.run / "weights/last.safetensors",
                        resumed.run / "weights/last.safetensors");
}

TEST_CASE("processes: losses that are told do not depend on who has the unlabelled pictures") {
  const SharedRun shared;
  if (processes().is_first()) {
    test::write_tiny_set(shared.dir / "more", 7, 3);
    Model model(graph_from_json(test::tiny_graph()));
    model.initialise(1);
    save_checkpoint(shared.dir / "teacher.safetensors",
                    {model.spec(), {"wide", "high"}, export_weights(model), {}, ""});
  }
  (void)processes().any(false);
  test::QuietEvents events;
  // A picture for each process, of which some are not labelled.
  const Config config = shared.config(
      "shared", {"data.unlabeled={\"pictures\":\"" + (shared.dir / "more/images").string() +
                     "\",\"share\":0.5}",
                 "teacher={\"weights\":\"" + (shared.dir / "teacher.safetensors").string() + "\"}",
                 "train.epochs=1", fmt::format("train.batch={}", processes().size())});
  const TrainOutcome outcome = train(config, events, processes());
  if (!processes().is_first()) return;
  Config alone = config;
  alone.run.name = "alone";
  test::QuietEvents quiet;
  const TrainOutcome expected = train(alone, quiet);
  // Batch normalisation sees other shares, so the losses are not quite the same.
  CHECK(outcome.results.at(0).train_obj == Approx(expected.results.at(0).train_obj).epsilon(0.15));
  CHECK(outcome.results.at(0).train_distill ==
        Approx(expected.results.at(0).train_distill).epsilon(0.15));
}

TEST_CASE("processes: a validation shared among them is that of one process") {
  const SharedRun shared;
  test::QuietEvents events;
  const TrainOutcome outcome =
      train(shared.config("one", {"train.epochs=12"}), events, processes());
  const auto model =
      build_model(load_checkpoint(outcome.run / "weights/last.safetensors", PtWeights::kEma));
  model->prepare_inference();
  const Config config = shared.config("one");
  const auto data = open_dataset("data.val", val_source(config), {}, [](const std::string&) {});
  EvaluateOptions options;
  options.val = config.val;
  options.loss = DetectionLossOptions{};
  for (const int64_t batch : {1, 2, 7}) {  // seven pictures: some processes get none
    INFO("batches of " << batch);
    options.val.batch = batch;
    options.exchange = nullptr;
    const EvaluateResult expected = evaluate(*model, data, options);
    options.exchange = &processes();
    const EvaluateResult result = evaluate(*model, data, options);
    CHECK(result.metrics.images == 7);
    CHECK(result.metrics.instances == 7);
    CHECK(expected.metrics.per_class.at(0).detections > 0);
    CHECK(result.metrics.map == expected.metrics.map);
    CHECK(result.metrics.map50 == expected.metrics.map50);
    CHECK(result.metrics.precision == expected.metrics.precision);
    CHECK(result.metrics.recall == expected.metrics.recall);
    CHECK(result.confusion.counts() == expected.confusion.counts());
    CHECK(result.loss.obj == Approx(expected.loss.obj).epsilon(1e-12));
    CHECK(result.loss.box == Approx(expected.loss.box).epsilon(1e-12));
  }
}

TEST_CASE("processes: one that can read none of its validation pictures leaves them out") {
  const SharedRun shared;
  const Config config = shared.config("one");
  const auto data = open_dataset("data.val", val_source(config), {}, [](const std::string&) {});
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(1);
  model.prepare_inference();
  EvaluateOptions options;
  options.val = config.val;
  options.val.batch = 1;
  options.exchange = &processes();
  const auto spoil = [&](size_t begin) {
    (void)processes().any(false);  // nobody reads them at the moment
    for (size_t i = begin; processes().is_first() && i < data->samples.size(); ++i) {
      test::write_file(data->samples[i].image, "no picture");
    }
    (void)processes().any(false);
  };
  spoil(1);
  const EvaluateResult result = evaluate(model, data, options);
  CHECK(result.metrics.images == 1);
  CHECK(result.findings.size() == 6);
  spoil(0);
  CHECK(failure_of([&] { evaluate(model, data, options); })
            .starts_with(processes().is_first()
                             ? "other: no picture of the dataset can be read any "
                               "more: 7 left out, the first: "
                             : "EndedTogether"));
}

TEST_CASE("processes: other data or another config in one of them is refused, naming it") {
  const SharedRun shared;
  if (processes().rank() == 1)
    test::write_tiny_set(shared.dir / "other", 6 * processes().size(), 9);
  (void)processes().any(false);
  test::QuietEvents events;
  const std::string other = fmt::format("data.train.yolo={}/{}/images", shared.dir.string(),
                                        processes().rank() == 1 ? "other" : "train");
  const Config config = shared.config("x", {other});
  const auto data = open_dataset("data.train", train_source(config), {}, [](const std::string&) {});
  const std::string text = failure_of([&] { check_same_data(processes(), "data.train", *data); });
  CHECK(
      text ==
      (processes().is_first()
           ? fmt::format("ConfigError: process 1 on {1}: data.train: {0} pictures here, {0} in the "
                         "first process, but of other sizes or with other labels: all need the "
                         "same data",
                         6 * processes().size(), processes().machine())
           : "EndedTogether"));
  CHECK(processes().ends_together());
  CHECK(failure_of([&] { train(config, events, processes()); }) ==
        (processes().is_first()
             ? fmt::format(
                   "ConfigError: process 1 on {}: the config differs from the first process's",
                   processes().machine())
             : "EndedTogether"));
  CHECK_FALSE(std::filesystem::exists(shared.dir / "runs/x"));
}

TEST_CASE(
    "processes: other files, another precision or graph in one of them are refused, naming it") {
  Exchange& all = processes();
  const test::TempDir own;
  const std::string file = (own / "weights.pt").string(),
                    process = fmt::format("ConfigError: process 1 on {}: ", all.machine());
  const auto check_refused = [&](const std::function<void()>& check, const std::string& text) {
    CHECK(failure_of(check) == (all.is_first() ? process + text : "EndedTogether"));
  };
  test::write_file(file, "one");
  CHECK(failure_of([&] { check_same_file(all, "key", file); }) == "");
  if (all.rank() == 1) test::write_file(file, "two");
  const std::vector<std::string> files = all.gather(file);
  check_refused([&] { check_same_file(all, "key", file); },
                fmt::format("key: {} is not the file that the first process has", files[1]));

  const auto check_precision = [&](Precision of_one) {
    check_same_precision(all, all.rank() == 1 ? of_one : Precision::kFp32);
  };
  CHECK(failure_of([&] { check_precision(Precision::kFp32); }) == "");
  check_refused([&] { check_precision(Precision::kBf16); },
                "precision: bf16 here, fp32 in the first process; set the same for all");

  GraphSpec graph = graph_from_json(test::tiny_graph());
  CHECK(failure_of([&] { check_same_graph(all, graph); }) == "");
  if (all.rank() == 1) graph = graph.with_classes(3);
  check_refused([&] { check_same_graph(all, graph); },
                "model: the graph or its anchors are not those of the first process");
}

TEST_CASE("processes: a run is not resumed from another checkpoint in one of them") {
  const SharedRun shared;
  const std::filesystem::path run = shared.dir / "runs/cut";
  StopsOnce cut(0, moments(run)[1]);
  REQUIRE_FALSE(train(shared.config("cut"), cut, processes()).finished);
  if (processes().is_first()) {
    std::filesystem::copy(run, shared.dir / "old", std::filesystem::copy_options::recursive);
  }
  test::QuietEvents events;
  REQUIRE(resume_training(run, events, processes()).finished);
  const std::filesystem::path own = processes().rank() == 1 ? shared.dir / "old" : run;
  CHECK(failure_of([&] { resume_training(own, events, processes()); }) ==
        (processes().is_first()
             ? fmt::format("ConfigError: process 1 on {}: --resume: {} is not the file that the "
                           "first process has",
                           processes().machine(),
                           (shared.dir / "old/weights/last.safetensors").string())
             : "EndedTogether"));
}

TEST_CASE("processes: a batch with fewer pictures than there are processes is refused") {
  const SharedRun shared;
  test::QuietEvents events;
  const std::string text =
      failure_of([&] { train(shared.config("x", {"train.batch=1"}), events, processes()); });
  CHECK(text == (processes().is_first() ? fmt::format("ConfigError: train.batch: 1 pictures for {} "
                                                      "processes, expected at least one for each",
                                                      processes().size())
                                        : "EndedTogether"));
}

TEST_CASE("processes: a loss that is not finite ends all of them with one message") {
  const SharedRun shared;
  test::QuietEvents events;
  const std::string text =
      failure_of([&] { train(shared.config("x", {"train.lr0=1e30"}), events, processes()); });
  INFO(text);
  if (processes().is_first()) {
    CHECK(text.starts_with("other: epoch "));
  } else {
    CHECK(text == "EndedTogether");
  }
}

TEST_CASE("processes: gradients are summed, running statistics averaged, frozen ones left alone") {
  Model model(graph_from_json(test::tiny_graph()), {}, {.frozen = {"model.0"}});
  ParameterStore& store = model.parameters();
  const auto fill = [](const Tensor& tensor, double value) {
    for (float& x : tensor.span<float>()) x = float(value);
  };
  fill(store.grads(), 1 + processes().rank());
  fill(store.statistics(), processes().rank());
  sum_over_processes(store, processes());
  const int size = processes().size();
  const int64_t frozen = store.range(ParameterGroup::kFrozen).first;
  REQUIRE(frozen < store.grads().numel());
  CHECK(store.grads().at(0) == size * (size + 1) / 2);
  CHECK(store.grads().at(frozen - 1) == size * (size + 1) / 2);
  CHECK(store.grads().at(frozen) == 1 + processes().rank());
  CHECK(store.statistics().at(0) == Approx((size - 1) / 2.0));
}

TEST_CASE("processes: weights that have come apart become the first one's again") {
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(3);
  Optimizer optimizer(model.parameters(), EmaOptions{});
  const Tensor first = model.parameters().values().clone();
  CHECK_FALSE(take_state_of_first(processes(), model.parameters(), optimizer));
  if (processes().rank() == 1) {
    model.parameters().values().data<float>()[5] += 1e-6f;
    optimizer.momentum().data<float>()[9] = 1;
  }
  CHECK(take_state_of_first(processes(), model.parameters(), optimizer));
  CHECK(same_bits(model.parameters().values(), first));
  CHECK(optimizer.momentum().data<float>()[9] == 0);
}

}  // namespace
}  // namespace ydistill
