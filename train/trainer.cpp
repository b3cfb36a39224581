// SPDX-License-Identifier: MIT
#include <ydistill/train/trainer.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <ydistill/data/loader.h>
#include <ydistill/data/picture_weights.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/writable_folder.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/train/agreement.h>
#include <ydistill/train/cache_plan.h>
#include <ydistill/train/conv_plans_file.h>
#include <ydistill/train/data_sources.h>
#include <ydistill/train/digest.h>
#include <ydistill/train/gather_findings.h>
#include <ydistill/train/loader_options.h>
#include <ydistill/train/losses_of_config.h>
#include <ydistill/train/memory_check.h>
#include <ydistill/train/opened_teacher.h>
#include <ydistill/train/pictures.h>
#include <ydistill/train/process_share.h>
#include <ydistill/train/run_reporter.h>
#include <ydistill/train/schedule.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/train/step_totals.h>
#include <ydistill/train/student.h>
#include <ydistill/train/train_state.h>

namespace ydistill {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Events of all processes but the first: nothing is reported.
class Silent : public TrainEvents {
 public:
  explicit Silent(TrainEvents& events) : events_(events) {}
  void message(const std::string&) override {}
  void step(const StepProgress&) override {}
  void epoch(const EpochResult&, int64_t, double) override {}
  bool stop_requested() override { return events_.stop_requested(); }

 private:
  TrainEvents& events_;
};

/// One run, fresh or resumed.
class Trainer {
 public:
  Trainer(const Config& config, TrainEvents& events, Exchange& exchange)
      : config_(config),
        exchange_(exchange),
        silent_(events),
        events_(exchange.is_first() ? events : silent_),
        say_([this](const std::string& line) { events_.message(line); }) {
    use_own_threads(config, exchange);
    if (config.train.batch < exchange.size()) {
      throw ConfigError("train.batch: {} pictures for {} processes, expected at least one for each",
                        config.train.batch, exchange.size());
    }
    compute_ = choose_own_compute(config, exchange);
    use_compute(compute_);
    if (on_gpu() && compute_.device.is_cpu()) {
      throw ConfigError("augment.device: gpu, but the run is on {}; use cpu or a CUDA device",
                        compute_.device.str());
    }
  }

  /// Opens everything that the config names. The run folder is made only after that, so that a
  /// config with a mistake leaves nothing behind.
  void start() {
    connect();
    exchange_.together([this] {
      check_is_text(config_);
      // Reported before the data is read, not after it.
      check_named_files(config_);
      if (exchange_.is_first()) check_folder_is_writable(config_.run.dir);
      if (!trains_without_labels(config_)) (void)train_source(config_);
      (void)val_source(config_);
      if (!config_.model.graph.empty()) (void)graph_of(config_.model.graph);
      read_teacher();
      std::optional<Checkpoint> weights;
      if (!config_.model.weights.empty()) {
        weights = load_checkpoint(config_.model.weights, PtWeights::kModel);
      }
      open_data();
      student_ =
          make_student(config_, *train_data_, compute_, say_, teacher_spec(), std::move(weights));
      check_stop();
    });
    check_same_data();
    check_same_graph(exchange_, student_->spec());
    if (!config_.model.weights.empty()) {
      check_same_file(exchange_, "model.weights", config_.model.weights);
    }
    check_same_teacher();
    exchange_.together([this] {
      open_rest();
      check_stop();
      if (!exchange_.is_first()) return;
      folder_ = RunFolder::create(config_.run);
      folder_->write_config(config_);
      (void)compare_with_before();
      save();  // a run killed from now on can be resumed
    });
    share_folder();
    describe();
    open_report();
    validate_teacher();
  }

  /// Continues from a checkpoint; the initial weights of the run are no longer needed.
  void resume(RunFolder folder) {
    connect();
    check_same_file(exchange_, "--resume", folder.last());
    exchange_.together([&] {
      folder_ = std::move(folder);
      if (folder_->has_other_config(config_)) {
        say_(fmt::format("run: {} differs from the config in the checkpoint, which is used",
                         (folder_->path() / "config.json").string()));
      }
      read_teacher();
      open_data();
      const Checkpoint last = load_checkpoint(folder_->last(), PtWeights::kEma);
      check_same_classes(last.class_names);
      student_ = trained_model(last.spec, config_, compute_, teacher_spec());
    });
    check_same_data();
    check_same_teacher();
    bool teacher_changed = false;
    exchange_.together([&] {
      open_rest();
      state_ = load_train_state(folder_->last(), *student_, *optimizer_);
      teacher_changed = compare_with_before();
      if (!exchange_.is_first()) optimizer_->zero_grads();  // those saved are the sum of all
      if (compute_.device.is_cuda()) {
        offer_conv_plans(compute_.device, read_conv_plans(folder_->conv_plans(), say_));
      }
      fit_to_data();
    });
    say_if_best_is_missing();
    describe();
    open_report();
    if (teacher_changed && reporter_) reporter_->forget_teacher();
    if (!exchange_.any(reporter_ && reporter_->knows_teacher())) validate_teacher();
  }

  const Config& config() const { return config_; }

  TrainOutcome run() {
    TrainOutcome outcome;
    outcome.run = folder_->path();
    outcome.finished = run_to_end(outcome);
    outcome.results = state_.results;
    (void)exchange_.any(false);  // now all processes can see what the first one wrote
    return outcome;
  }

 private:
  /// False if stopped on the way.
  bool run_to_end(TrainOutcome& outcome) {
    write_results();  // the run may have been killed between the checkpoint and the results
    if (state_.finished) {
      say_(fmt::format("run: {} is already finished", folder_->path().string()));
      if (reporter_) reporter_->finish(state_.results);
      return true;
    }
    start_ = Clock::now();
    events_.started(folder_->path(), config_.train.epochs);
    while (!state_.finished) {
      if (exchange_.any(events_.stop_requested()) || !train_epoch() || !finish_epoch(outcome)) {
        save();
        say_(
            fmt::format("run: stopped in epoch {} after {} of {} batches; continue with "
                        "`ydistill train --resume {}`",
                        state_.epoch + 1, state_.next_batch, loader_->batches_per_epoch(),
                        folder_->path().string()));
        return false;
      }
    }
    return true;
  }

  /// Used before the first batch, while there is nothing to save. throws StoppedError.
  void check_stop() {
    if (events_.stop_requested()) throw StoppedError("stopped before the first batch");
  }

  /// Refuses a teacher whose classes do not match before the data is read, if they are known by
  /// then.
  void read_teacher() {
    if (!config_.teacher) return;
    check_stop();
    teacher_file_ = load_checkpoint(config_.teacher->weights, PtWeights::kEma);
    const std::vector<std::string> names = names_before_reading(config_);
    if (!names.empty()) (void)match_teacher(config_, *teacher_file_, names);
    (void)teacher_compute(config_, *teacher_file_, compute_);
  }

  /// For use before open_rest(); null if there is no teacher.
  const GraphSpec* teacher_spec() const { return teacher_file_ ? &teacher_file_->spec : nullptr; }

  void open_data() {
    check_stop();
    TrainingData data = open_training_data(config_, say_, kMaxFindings,
                                           [this] { return events_.stop_requested(); });
    train_data_ = std::move(data.train);
    val_data_ = std::move(data.val);
    check_stop();
  }

  void connect() {
    check_same_precision(exchange_, compute_.precision);
    exchange_.connect(compute_.device);
  }

  void check_same_data() {
    ydistill::check_same_data(exchange_, "data.train", *train_data_);
    ydistill::check_same_data(exchange_, "data.val", *val_data_);
  }

  void check_same_teacher() {
    if (config_.teacher) {
      check_same_file(exchange_, "teacher.weights", config_.teacher->weights);
    }
  }

  /// The first process has created the folder; the others learn its path.
  void share_folder() {
    const std::string path = exchange_.from_first(folder_ ? folder_->path().string() : "");
    if (!folder_) folder_ = RunFolder::of_another(path);
  }

  /// The part of a machine's resources for one process.
  int64_t share_of(int64_t bytes) const { return bytes / exchange_.local_size(); }
  MemoryCheck memory_check() {
    return {config_,   *student_, teacher_.get(),   losses_,
            val_data_, compute_,  exchange_.size(), loader_->largest_batch()};
  }

  void open_rest() {
    const std::vector<std::string>& names = train_data_->names;
    check_image_size("train.image_size", config_.train.image_size, student_->spec());
    check_image_size("val.image_size", config_.val.image_size, student_->spec());
    if (config_.teacher) {
      const Compute compute = teacher_compute(config_, *teacher_file_, compute_);
      OpenedTeacher opened =
          open_teacher(config_, *teacher_file_, compute, student_->spec(), names, say_);
      teacher_ = std::move(opened.teacher);
      teacher_classes_ = std::move(opened.classes);
      say_(fmt::format("teacher: {} from {}{}", teacher_file_->spec.name,
                       config_.teacher->weights.string(),
                       compute == compute_ ? "" : " on " + ydistill::describe(compute)));
      teacher_file_.reset();
    }
    losses_ =
        losses_of(config_, *student_, teacher_ ? &teacher_->spec() : nullptr, teacher_classes_);
    if (teacher_ && feature_gain(config_) > 0 && losses_.feature_gain == 0) {
      say_("distill.feature: has no effect, all layers before the head are frozen (train.freeze)");
    }
    optimizer_ = std::make_unique<Optimizer>(
        student_->parameters(), EmaOptions{config_.train.ema_decay, config_.train.ema_tau},
        config_.train.optimizer == TrainConfig::Optimizer::kAdamW ? OptimizerRule::kAdamW
                                                                  : OptimizerRule::kSgd);
    if (on_gpu()) {
      try {
        pictures_ = std::make_shared<DevicePictures>(*train_data_, config_.train.image_size,
                                                     compute_.device);
      } catch (const OutOfMemoryError& error) {
        throw OutOfMemoryError("augment.device gpu: {}; use augment.device cpu", error.what());
      }
    }
    TrainLoaderOptions options = loader_options(config_, pictures_);
    options.stride = student_->spec().training_stride();
    options.share = exchange_.rank();
    options.shares = exchange_.size();
    if (!pictures_) {
      CacheRoom room = cache_room(folder_ ? folder_->path().parent_path() : config_.run.dir);
      room.memory_bytes = share_of(room.memory_bytes);
      room.disk_bytes = share_of(room.disk_bytes);
      const CachePlan cache =
          plan_cache(config_.train.cache, *train_data_, config_.train.image_size, room);
      options.cache_bytes = cache.memory_bytes;
      options.cache_folder = cache.folder;
      say_(cache.text);
    }
    loader_ = std::make_unique<TrainLoader>(train_data_, options);
    check_smallest_batch();
    schedule_ = std::make_unique<Schedule>(config_.train, loader_->batches_per_epoch());
    int64_t limit = config_.train.memory_mib << 20;
    if (limit == 0 && compute_.device.is_cpu()) limit = share_of(available_memory());
    arena_ = Arena::create(limit, compute_.device);
    runner_ = make_step_runner(*student_, teacher_.get(), *optimizer_, losses_, arena_, pictures_,
                               exchange_);
    memory_check().before_first_step(arena_->limit_bytes());
  }

  /// Refuses a batch of one picture whose coarsest map is one cell, before the epoch gets there.
  void check_smallest_batch() const {
    const int64_t side = smallest_side(config_, student_->spec());
    double coarsest = 1;
    for (const LayerSpec& layer : student_->spec().layers) {
      coarsest = std::max(coarsest, layer.reduction);
    }
    if (loader_->smallest_batch() > 1 || double(side) > coarsest) return;
    throw ConfigError(
        "train.batch: {} has a single picture{}, and at {} pixels{} its coarsest map is one cell: "
        "batch norm needs more than one value; change train.batch, or use larger pictures",
        config_.train.batch == 1 ? "a batch" : "an epoch's last batch",
        exchange_.size() > 1 ? " for one of the processes" : "", side,
        config_.train.multi_scale > 0 ? " (train.multi_scale)" : "");
  }

  /// Whether samples are made on the GPU.
  bool on_gpu() const { return config_.augment.device == AugmentConfig::Device::kGpu; }

  void say_if_best_is_missing() const {
    std::error_code error;
    if (!exchange_.is_first() || state_.results.empty() || state_.finished) return;
    if (std::filesystem::exists(folder_->best(), error)) return;
    say_(fmt::format("run: {} is missing; only an epoch as good as epoch {} will write it again",
                     folder_->best().string(), state_.best_epoch + 1));
  }

  /// The weights have learned the classes in the order of these names.
  void check_same_classes(const std::vector<std::string>& names) const {
    if (train_data_->names == names) return;
    throw ConfigError(
        "{}: the run trains the classes {}, but its data has the classes {} now; restore the data, "
        "or begin a new run from the run's weights",
        folder_->last().string(), printable_list(names), printable_list(train_data_->names));
  }

  /// Records what the run learns from; reports what differs from what was recorded. Returns whether
  /// the teacher does.
  bool compare_with_before() {
    const auto differs = [](std::string& before, std::string now) {
      const bool changed = !before.empty() && before != now;
      before = std::move(now);
      return changed;
    };
    constexpr const char* kConsequence = "the result will differ from that of an uninterrupted run";
    if (differs(state_.train_data, digest_of(*train_data_))) {
      say_(fmt::format("data.train: other pictures or labels than when the run was stopped; {}",
                       kConsequence));
    }
    if (differs(state_.val_data, digest_of(*val_data_))) {
      say_(
          "data.val: other pictures or labels than when the run was stopped; its metrics cannot be "
          "compared with the earlier ones");
    }
    const bool teacher_differs =
        config_.teacher && differs(state_.teacher, digest_of(config_.teacher->weights));
    if (teacher_differs) {
      say_(fmt::format("teacher: {} is another file than when the run was stopped; {}",
                       config_.teacher->weights.string(), kConsequence));
    }
    return teacher_differs;
  }

  /// Iterations are counted in batches: if the number of batches per epoch has changed, the epoch
  /// begins again, and the counting of steps with it.
  void fit_to_data() {
    const int64_t batches = loader_->batches_per_epoch();
    if (state_.batches != 0 && state_.batches != batches && !state_.finished) {
      say_(
          fmt::format("data: an epoch has {} batches now, {} when the run was stopped; epoch {} "
                      "starts again, and the result will differ from that of an uninterrupted run",
                      batches, state_.batches, state_.epoch + 1));
      state_.next_batch = 0;
      state_.last_step = state_.epoch * batches - 1;
    }
    state_.batches = batches;
  }

  void describe() {
    say_(fmt::format(
        "run: {} on {}, {} threads, {}, {} pictures, {} batches per epoch, accumulation "
        "up to {}, warm-up {} iterations",
        folder_->path().string(), ydistill::describe(compute_), num_threads(),
        conv_backend_name(compute_.device), train_data_->samples.size(),
        loader_->batches_per_epoch(), schedule_->accumulate(1 << 30),
        std::max<int64_t>(schedule_->warmup_iterations(), 0)));
    describe_processes();
    const int64_t cores = int64_t(std::thread::hardware_concurrency());
    if (cores > 0 && num_threads() > 2 * cores) {
      say_(
          fmt::format("train.threads: {} threads on {} cores wait for each other more than they "
                      "compute",
                      num_threads(), cores));
    }
    if (!config_.data.yaml.empty() && config_.data.train && config_.data.val) {
      say_("data.yaml: has no effect where data.train and data.val are both given");
    }
    const AugmentConfig& augment = config_.augment;
    if (augment.mixup > 0 || augment.copy_paste > 0 || augment.mosaic9 > 0) {
      if (config_.train.rect || augment.mosaic == 0) {
        say_("augment: mixup, copy_paste and mosaic9 have no effect without mosaics");
      }
    }
    const DistillConfig& distill = config_.distill;
    if (teacher_ && distill.gain * (distill.box + distill.obj + distill.cls) == 0 &&
        losses_.feature_gain == 0) {
      say_("distill: every gain is 0, the teacher has no effect");
    }
    if (config_.train.multi_scale > 0) {
      say_(fmt::format("train.multi_scale: sides up to {} pixels, memory for those is needed",
                       largest_side()));
    }
    if (config_.train.recompute && compute_.device.is_cuda()) {
      say_("train.recompute: has no effect on a GPU");
    }
    if (config_.autotune && compute_.device.is_cpu()) {
      say_("autotune: has no effect on the CPU");
    }
  }

  void describe_processes() {
    if (exchange_.size() == 1) return;
    const std::vector<std::string> all = exchange_.gather(exchange_.machine());
    const std::set<std::string> machines(all.begin(), all.end());
    say_(fmt::format(
        "processes: {} on {}, each with up to {} of a batch's {} pictures", exchange_.size(),
        machines.size() == 1 ? *machines.begin() : fmt::format("{} machines", machines.size()),
        loader_->largest_batch(), config_.train.batch));
  }

  void open_report() {
    if (!exchange_.is_first()) return;
    std::string teacher = teacher_ ? teacher_->spec().name : "";
    if (teacher_ && config_.teacher->precision == TeacherConfig::Precision::kInt8) {
      teacher += ", in int8";
    }
    reporter_ = std::make_unique<RunReporter>(
        folder_->path(),
        ReportedRun{config_, train_data_, val_data_, student_.get(), teacher, compute_}, say_);
  }

  void validate_teacher() {
    if (!teacher_ || !config_.teacher->validate) return;
    const ArenaScope scope(arena_);
    EvaluateOptions options;
    options.val = config_.val;
    if (!teacher_classes_.is_identity()) options.found_as = teacher_classes_.student_class();
    options.arena = arena_;
    options.workers = int(config_.train.workers);
    options.exchange = &exchange_;
    options.stop = [this] { return events_.stop_requested(); };
    if (reporter_) options.on_batch = reporter_->watch_teacher();
    const EvaluateResult result = evaluate(teacher_->model(), val_data_, options);
    tell("data.val", result.findings);
    if (exchange_.any(events_.stop_requested())) return;
    if (reporter_) reporter_->teacher(result);
    const MetricsResult& m = result.metrics;
    say_(
        fmt::format("teacher: precision {:.4f}, recall {:.4f}, mAP50 {:.4f}, mAP50-95 {:.4f} on "
                    "the validation set{}",
                    m.precision, m.recall, m.map50, m.map,
                    losses_.distill->known_classes.empty()
                        ? ""
                        : ", of which the classes that it does not know count as 0"));
  }

  /// False if the run was stopped on the way.
  bool train_epoch() {
    if (state_.next_batch == 0) {
      optimizer_->zero_grads();
      state_.sums = {};
    }
    if (take_state_of_first(exchange_, student_->parameters(), *optimizer_) && !told_differences_) {
      told_differences_ = true;
      say_(
          "processes: their processors round differently; all continue from the first one's "
          "weights at each epoch");
    }
    const int64_t num_batches = loader_->batches_per_epoch();
    if (config_.train.image_weights) {
      loader_->set_picture_weights(picture_weights(*train_data_, state_.class_map));
    }
    loader_->start_epoch(state_.epoch, state_.next_batch);
    const Clock::time_point epoch_start = Clock::now();
    totals_.begin_epoch();
    Batch batch;
    while (loader_->next(batch)) {
      if (exchange_.is_first() && state_.epoch == 0 && state_.next_batch < kDrawnBatches) {
        draw_labels(folder_->path() / fmt::format("train_batch{}.jpg", state_.next_batch), batch,
                    train_data_->names);
      }
      train_batch(batch);
      ++state_.next_batch;
      ++batches_done_;
      const bool is_last = state_.next_batch == num_batches;
      const bool saves =
          config_.train.save_steps > 0 && !is_last && steps_since_save_ >= config_.train.save_steps;
      if (is_last || saves || totals_.untaken() >= runner_->batches_between_takes()) take_sums();
      if (is_last) average_statistics();
      if (totals_.untaken() == 0) report_progress(epoch_start);
      if (stops_after_batch(is_last)) {
        take_sums();
        return false;
      }
      if (saves) save();
    }
    report_unreadable();
    return true;
  }

  /// Several processes stop after the same batch, one after which the optimizer has stepped: a
  /// checkpoint cannot hold the gradients of each process.
  bool stops_after_batch(bool is_last) {
    if (exchange_.size() == 1) return events_.stop_requested();
    const int64_t done = state_.epoch * loader_->batches_per_epoch() + state_.next_batch;
    return totals_.stop_agreed() && (is_last || state_.last_step == done - 1);
  }

  /// At the end of an epoch there may be batches since the last optimizer step.
  void average_statistics() { ydistill::average_statistics(student_->parameters(), exchange_); }

  void report_progress(Clock::time_point epoch_start) {
    const int64_t num_batches = loader_->batches_per_epoch();
    const double n = double(state_.next_batch);
    const double seconds = std::max(seconds_since(epoch_start), 1e-9);
    const double batches_left =
        double(config_.train.epochs - state_.epoch) * double(num_batches) - n;
    StepProgress p;
    p.epoch = state_.epoch;
    p.epochs = config_.train.epochs;
    p.batch = state_.next_batch;
    p.batches = num_batches;
    p.box = state_.sums.box / n;
    p.obj = state_.sums.obj / n;
    p.cls = state_.sums.cls / n;
    p.distill = state_.sums.distill() / n;
    train_seconds_ = seconds;
    p.images_per_second = speed_ = double(totals_.pictures_taken()) / seconds;
    p.waiting_share = waiting_share_ = loader_->seconds_waited() / seconds;
    p.seconds_left = seconds_since(start_) / double(batches_done_) * batches_left;
    events_.step(p);
  }

  void train_batch(const Batch& batch) {
    const int64_t ni = state_.epoch * loader_->batches_per_epoch() + state_.next_batch;
    // The batches that several processes take at once count equally, but an epoch's last batch may
    // be smaller.
    const bool is_last = state_.next_batch + 1 == loader_->batches_per_epoch();
    if (exchange_.size() > 1 && is_last && totals_.untaken() > 0) take_sums();
    try {
      runner_->accumulate(batch);
    } catch (const OutOfMemoryError& error) {
      const int64_t limit = arena_->limit_bytes();
      runner_.reset();  // the run ends here, and the trial needs the GPU memory that it holds
      arena_.reset();
      memory_check().refuse_batch(error.what(), limit);
    }
    totals_.add(batch);
    if (runner_->batches_between_takes() == 1) take_sums();
    if (schedule_->steps_at(ni, state_.last_step)) {
      runner_->step(schedule_->rates(ni, state_.epoch));
      state_.last_step = ni;
      ++steps_since_save_;
      if (runner_->batches_between_takes() == 1) take_sums();
    }
    if (batches_done_ == 0) {
      const int64_t kept = pictures_ ? pictures_->bytes() : loader_->cached_bytes();
      say_(fmt::format("memory: {:.0f} MiB per step on {}, {:.0f} MiB of decoded pictures{}",
                       double(runner_->memory_bytes()) / 1048576.0, compute_.device.str(),
                       double(kept) / 1048576.0, pictures_ ? " on " + compute_.device.str() : ""));
      for (const std::string& plan : conv_plan_report(compute_.device)) {
        events_.detail("convolution: " + plan);
      }
    }
  }

  /// Adds what the runner has to the epoch's sums. throws NotFiniteError.
  void take_sums() {
    state_.sums +=
        totals_.take(*runner_, events_.stop_requested(), state_.epoch, state_.next_batch);
  }

  /// The largest side of the batches, in pixels.
  int64_t largest_side() const { return ydistill::largest_side(config_, student_->spec()); }

  /// Validates, writes results and checkpoints. False if stopped on the way.
  bool finish_epoch(TrainOutcome& outcome) {
    const bool is_last = state_.epoch + 1 == config_.train.epochs;
    // The averaged weights are what is validated and kept.
    const Checkpoint average = ema_checkpoint(*student_, *optimizer_, train_data_->names);
    auto model = build_model(average, compute_);
    model->prepare_inference(FoldedWeights::kInPlace);
    EvaluateOptions options;
    options.val = config_.val;
    options.arena = arena_;
    options.workers = int(config_.train.workers);
    DetectionLossOptions validation_loss = *losses_.detection;
    validation_loss.labelled = {};  // every validation picture counts as labelled
    options.loss = std::move(validation_loss);
    options.stop = [this] { return events_.stop_requested(); };
    options.exchange = &exchange_;
    const int64_t patience = config_.train.patience;
    const bool may_give_up = patience > 0 && state_.epoch - state_.best_epoch >= patience;
    if (reporter_) options.on_batch = reporter_->watch_student(is_last || may_give_up);
    try {
      const ArenaScope scope(arena_);
      outcome.last = evaluate(*model, val_data_, options);
    } catch (const NotFiniteError& error) {
      throw NotFiniteError("epoch {}: its validation: {}; lower train.lr0", state_.epoch + 1,
                           error.what());
    }
    model.reset();  // its memory is needed for the checkpoints
    tell("data.val", outcome.last.findings);
    if (exchange_.any(events_.stop_requested())) return false;

    const int64_t last_ni = (state_.epoch + 1) * loader_->batches_per_epoch() - 1;
    const EpochResult result =
        epoch_result(state_.epoch, state_.sums, state_.next_batch, outcome.last,
                     loader_->unlabelled_share(), schedule_->rates(last_ni, state_.epoch));
    state_.results.push_back(result);
    // Classes without labels count as the mean, as in YOLOv5.
    state_.class_map.assign(val_data_->names.size(), result.map);
    for (const ClassMetrics& c : outcome.last.metrics.per_class)
      state_.class_map.at(size_t(c.class_id)) = c.map;
    // Of equal epochs the last is the best, as in YOLOv5.
    const bool best = result.fitness() >= state_.best_fitness;
    if (best) {
      state_.best_epoch = state_.epoch;
      state_.best_fitness = result.fitness();
    }
    const bool gives_up = patience > 0 && state_.epoch - state_.best_epoch >= patience && !is_last;
    ++state_.epoch;
    state_.next_batch = 0;
    state_.finished = is_last || gives_up;
    optimizer_->zero_grads();
    // Before the checkpoint: if the run is killed in between, the resumed run repeats this.
    if (reporter_) {
      reporter_->epoch(state_.results, outcome.last,
                       {train_seconds_, speed_, waiting_share_, state_.finished});
    }
    if (best && exchange_.is_first()) save_checkpoint(folder_->best(), average);
    save();
    write_results();
    events_.epoch(result, config_.train.epochs, waiting_share_);
    if (gives_up) {
      say_(
          fmt::format("run: ends after epoch {}: none of the last {} was better than epoch {} "
                      "(train.patience)",
                      state_.epoch, patience, state_.best_epoch + 1));
    }
    return true;
  }

  void write_results() const {
    if (exchange_.is_first()) folder_->write_results(state_.results);
  }

  void save() {
    steps_since_save_ = 0;
    state_.batches = loader_->batches_per_epoch();
    if (!exchange_.is_first()) return;
    save_train_state(folder_->last(), state_, config_, *student_, *optimizer_, train_data_->names);
    if (compute_.device.is_cuda()) keep_conv_plans();
  }

  /// A resumed run uses the same plans, so that it need not time them and gets the same bits.
  void keep_conv_plans() {
    for (const std::string& note : take_conv_notes(compute_.device)) say_("convolutions: " + note);
    const uint64_t revision = conv_plans_revision(compute_.device);
    if (revision == kept_plans_) return;
    write_conv_plans(folder_->conv_plans(), save_conv_plans(compute_.device));
    kept_plans_ = revision;
  }

  void report_unreadable() { tell("data.train", gather_findings(exchange_, loader_->findings())); }

  /// Reports each finding once.
  void tell(const char* key, const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
      if (told_.insert(finding.str()).second) say_(fmt::format("{}: {}", key, finding.str()));
    }
  }

  Config config_;
  Exchange& exchange_;
  Silent silent_;
  std::optional<RunFolder> folder_;
  TrainEvents& events_;
  Say say_;
  std::shared_ptr<const Dataset> train_data_, val_data_;
  std::unique_ptr<Model> student_;
  std::optional<Checkpoint> teacher_file_;  // until teacher_ is created
  std::unique_ptr<Teacher> teacher_;
  ClassMatch teacher_classes_;  // how the student's match the teacher's
  StepLosses losses_;
  Compute compute_;
  std::unique_ptr<Optimizer> optimizer_;
  std::shared_ptr<DevicePictures> pictures_;  // if augment.device is gpu
  std::unique_ptr<TrainLoader> loader_;
  std::unique_ptr<Schedule> schedule_;
  std::shared_ptr<Arena> arena_;
  std::unique_ptr<StepRunner> runner_;
  uint64_t kept_plans_ = 0;  // revision of the plans in the run's folder
  std::unique_ptr<RunReporter> reporter_;
  TrainState state_;
  Clock::time_point start_;
  int64_t batches_done_ = 0;
  StepTotals totals_{exchange_};
  bool told_differences_ = false;  // only with several processes
  int64_t steps_since_save_ = 0;
  double waiting_share_ = 0, train_seconds_ = 0, speed_ = 0;  // of this epoch so far
  std::set<std::string> told_;                                // findings of the loaders
};

}  // namespace

TrainOutcome train(const Config& config, TrainEvents& events, Exchange& exchange) {
  std::optional<Trainer> trainer;
  try {
    check_same_config(exchange, config);
    exchange.together([&] { trainer.emplace(config, events, exchange); });
    trainer->start();
  } catch (const EndedTogether&) {
    throw;
  } catch (const StoppedError&) {
    if (exchange.is_first()) {
      events.message("run: stopped before the first batch; there is no run folder yet");
    }
    return {};
  }
  return trainer->run();
}

TrainOutcome resume_training(const std::filesystem::path& run_or_checkpoint, TrainEvents& events,
                             Exchange& exchange) {
  const std::filesystem::path run = RunFolder::of_checkpoint(run_or_checkpoint);
  std::optional<RunFolder> folder;
  std::optional<Trainer> trainer;
  try {
    exchange.together([&] {
      folder = exchange.is_first() ? RunFolder::open(run) : RunFolder::of_another(run);
      trainer.emplace(read_train_config(folder->last()), events, exchange);
    });
    check_same_config(exchange, trainer->config());
    trainer->resume(std::move(*folder));
  } catch (const EndedTogether&) {
    throw;
  } catch (const StoppedError&) {
    if (exchange.is_first()) {
      events.message(
          fmt::format("run: stopped before it continued; {} is unchanged", run.string()));
    }
    TrainOutcome outcome;
    outcome.run = run;
    return outcome;
  }
  return trainer->run();
}

}  // namespace ydistill
