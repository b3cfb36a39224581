// SPDX-License-Identifier: MIT
#include <ydistill/train/run_reporter.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text_file.h>
#include <ydistill/train/pictures.h>
#include <ydistill/train/report/machine.h>
#include <ydistill/train/report/page.h>
#include <ydistill/train/report/run_plots.h>
#include <ydistill/train/report/tensorboard.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCurvePointsKept = 201;
constexpr size_t kFindingsKept = 200, kBoxesKept = 3000;
constexpr const char* kEventFile = "events.out.tfevents.ydistill";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

DataRecord data_record(const Dataset& data) {
  DataRecord record;
  record.summary = data.summary();
  record.class_counts.assign(data.names.size(), 0);
  const int64_t every = 1 + data.num_labels() / int64_t(kBoxesKept);
  int64_t number = 0;
  for (const Sample& sample : data.samples) {
    for (const Label& l : sample.labels) {
      if (l.class_id >= 0 && l.class_id < int64_t(data.names.size())) {
        ++record.class_counts[size_t(l.class_id)];
      }
      if (number++ % every == 0) {
        record.boxes.push_back({float(l.cx), float(l.cy), float(l.w), float(l.h)});
      }
    }
  }
  record.num_findings = int64_t(data.findings.size());
  for (size_t i = 0; i < std::min(kFindingsKept, data.findings.size()); ++i) {
    record.findings.push_back(data.findings[i].str());
  }
  return record;
}

std::vector<Fact> model_facts(const ReportedRun& run) {
  const GraphSpec& spec = run.student->spec();
  const int64_t size = run.config.train.image_size;
  // A graph from a file has the name "custom"; the file's name is more useful.
  const bool from_file = spec.name == "custom" && !run.config.model.graph.empty();
  std::vector<Fact> facts{
      {"Student", from_file ? fs::path(run.config.model.graph).stem().string() : spec.name},
      {"Parameters",
       fmt::format("{:.2f} M", double(run.student->parameters().num_elements()) / 1e6)},
      {"Work", fmt::format("{:.2f} GFLOPs at {} px", run.student->gflops(size, size), size)}};
  if (!run.config.model.weights.empty()) {
    facts.push_back({"Begun from", run.config.model.weights.filename().string()});
  }
  if (!run.teacher.empty()) facts.push_back({"Teacher", run.teacher});
  facts.push_back({"Batch", fmt::format("{}", run.config.train.batch)});
  facts.push_back({"Seed", fmt::format("{}", run.config.train.seed)});
  return facts;
}

ValidationRecord validation_record(int64_t epoch, const EvaluateResult& result) {
  ValidationRecord record;
  record.epoch = epoch;
  record.metrics = with_fewer_points(result.metrics, kCurvePointsKept);
  record.confusion = result.confusion.counts();
  return record;
}

std::vector<TensorBoardEvent> tensorboard_events(const fs::path& folder, const RunRecord& record) {
  std::vector<TensorBoardEvent> events;
  for (size_t i = 0; i < record.results.rows.size(); ++i) {
    TensorBoardEvent event;
    event.step = record.results.epochs[i];
    event.wall_time = record.started;
    for (const EpochSpeed& speed : record.speed) {
      if (speed.epoch == event.step) event.wall_time = speed.ended;
    }
    for (size_t c = 0; c < record.results.columns.size(); ++c) {
      event.scalars.push_back({record.results.columns[c], record.results.rows[i][c]});
    }
    events.push_back(std::move(event));
  }
  const auto add_pictures = [&](TensorBoardEvent& event, const char* pattern, const char* tag) {
    for (int64_t i = 0; i < kDrawnBatches; ++i) {
      const fs::path path = folder / fmt::format(fmt::runtime(pattern), i);
      std::error_code error;
      if (!fs::exists(path, error)) continue;
      const ImageInfo info = probe_image(path);
      event.images.push_back(
          {fmt::format("{}/{}", tag, i), info.width, info.height, read_text_file(path)});
    }
  };
  if (!events.empty()) add_pictures(events.front(), "train_batch{}.jpg", "train_batch");
  if (record.finished && !events.empty()) {
    add_pictures(events.back(), "val_batch{}_labels.jpg", "val_labels");
    add_pictures(events.back(), "val_batch{}_pred.jpg", "val_predictions");
  }
  return events;
}

/// Drops what belongs to epochs that a resumed run will repeat.
void forget_from(RunRecord& record, int64_t epoch) {
  std::erase_if(record.speed, [epoch](const EpochSpeed& s) { return s.epoch >= epoch; });
  if (record.best && record.best->epoch >= epoch) record.best.reset();
}

}  // namespace

EpochTable table_of(std::span<const EpochResult> results) {
  EpochTable table;
  for (const EpochColumn& column : epoch_columns()) table.columns.push_back(column.name);
  for (const EpochResult& result : results) {
    table.epochs.push_back(result.epoch);
    table.rows.emplace_back();
    for (const EpochColumn& column : epoch_columns()) {
      table.rows.back().push_back(result.*column.value);
    }
  }
  return table;
}

RunReporter::RunReporter(fs::path folder, const ReportedRun& run,
                         const std::function<void(const std::string&)>& say)
    : folder_(std::move(folder)), val_(run.val) {
  const fs::path earlier = folder_ / "report.json";
  if (fs::exists(earlier)) {
    try {
      record_ = parse_record(read_text_file(earlier), earlier.string());
    } catch (const FileError& error) {
      say(fmt::format("report: a new one is begun, the old one cannot be read: {}", error.what()));
      record_ = {};
    }
  }
  if (record_.started == 0) record_.started = now();
  record_.name = fs::absolute(folder_).lexically_normal().filename().string();
  record_.finished = false;
  record_.epochs_planned = run.config.train.epochs;
  record_.classes = run.train->names;
  record_.model = model_facts(run);
  record_.machine = machine_facts(run.compute);
  record_.train = data_record(*run.train);
  record_.val = data_record(*run.val);
  record_.config = to_json(run.config);
  if (run.teacher.empty()) {
    record_.teacher.reset();
  } else {
    if (!record_.teacher) record_.teacher.emplace();
    record_.teacher->name = run.teacher;
    record_.teacher->weights = run.config.teacher->weights.filename().string();
  }
  write(/*last=*/false);
}

std::function<void(const EvaluatedBatch&)> RunReporter::watch_teacher() {
  teacher_maps_ = ObjectnessPictures();
  return [this](const EvaluatedBatch& e) { teacher_maps_.add(e, *val_); };
}

void RunReporter::teacher(const EvaluateResult& result) {
  if (!record_.teacher) record_.teacher.emplace();
  record_.teacher->validation = validation_record(-1, result);
  record_.maps.clear();
  for (const auto& t : teacher_maps_.taken())
    record_.maps.push_back({t.name, t.picture, t.map, ""});
  write(/*last=*/false);
}

void RunReporter::forget_teacher() {
  if (!knows_teacher()) return;
  record_.teacher->validation.reset();
  write(/*last=*/false);
}

std::function<void(const EvaluatedBatch&)> RunReporter::watch_student(bool last) {
  pictures_ = ShownPictures();
  student_maps_ = ObjectnessPictures();
  return [this, last](const EvaluatedBatch& e) {
    pictures_.add(e, *val_);
    student_maps_.add(e, *val_);
    if (!last || e.number >= kDrawnBatches) return;
    draw_labels(folder_ / fmt::format("val_batch{}_labels.jpg", e.number), e.batch, val_->names);
    draw_detections(folder_ / fmt::format("val_batch{}_pred.jpg", e.number), e.batch, e.detections,
                    val_->names);
  };
}

void RunReporter::epoch(std::span<const EpochResult> results, const EvaluateResult& result,
                        const EpochTimes& times) {
  const int64_t epoch = results.back().epoch;
  record_.results = table_of(results);
  forget_from(record_, epoch);
  record_.speed.push_back({epoch, now(), times.train_seconds, result.seconds,
                           times.images_per_second, times.waiting_share});
  record_.last = validation_record(epoch, result);
  record_.last->worst = pictures_.worst();
  record_.last->best = pictures_.best();
  if (record_.results.best_row() == results.size() - 1) record_.best = record_.last;
  std::vector<ObjectnessMap> maps;
  for (const auto& taken : student_maps_.taken()) {
    const auto same = std::find_if(record_.maps.begin(), record_.maps.end(),
                                   [&](const ObjectnessMap& m) { return m.name == taken.name; });
    maps.push_back(
        {taken.name, taken.picture, same != record_.maps.end() ? same->teacher : "", taken.map});
  }
  record_.maps = std::move(maps);
  record_.finished = times.last;
  write(times.last);
}

void RunReporter::finish(std::span<const EpochResult> results) {
  record_.results = table_of(results);
  record_.finished = true;
  write(/*last=*/true);
}

void RunReporter::write(bool last) const {
  write_file_atomically(folder_ / "report.json", to_json(record_) + "\n");
  write_file_atomically(folder_ / "report.html", report_page(record_));
  update_event_file(folder_ / kEventFile, tensorboard_events(folder_, record_));
  if (last) write_run_plots(folder_, record_);
}

RunRecord read_run_record(const fs::path& folder) {
  const fs::path report = folder / "report.json", results = folder / "results.csv";
  RunRecord record = parse_record(read_text_file(report), report.string());
  // results.csv is written last: a run that was killed before that has one epoch fewer there.
  // Otherwise it holds the same with fewer digits.
  EpochTable table = parse_results(read_text_file(results), results.string());
  if (table.epochs != record.results.epochs) record.results = std::move(table);
  return record;
}

void write_report(const fs::path& folder, const RunRecord& record) {
  write_file_atomically(folder / "report.html", report_page(record));
  write_run_plots(folder, record);
}

}  // namespace ydistill
