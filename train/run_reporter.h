// SPDX-License-Identifier: MIT
// Reports a run while it proceeds: report.json, report.html, TensorBoard events and, at the end,
// the plots. All are in the run folder and replaced completely after every epoch.
//
// What cannot be computed again (speeds, the teacher's validation, pictures of the best epoch) is
// read back from report.json by a resumed run. Nothing here affects the training.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <ydistill/data/dataset.h>
#include <ydistill/tensor/compute.h>
#include <ydistill/train/config.h>
#include <ydistill/train/evaluate.h>
#include <ydistill/train/run_folder.h>
#include <ydistill/train/shown_pictures.h>

namespace ydistill {

struct ReportedRun {
  Config config;
  std::shared_ptr<const Dataset> train, val;
  const Model* student = nullptr;  ///< outlives the reporter's construction
  std::string teacher;             ///< name of its graph; empty: none
  Compute compute;
};

struct EpochTimes {
  double train_seconds = 0;
  double images_per_second = 0;  ///< of the training
  double waiting_share = 0;      ///< of the training's time spent waiting for data, 0..1
  bool last = false;             ///< no epoch follows
};

class RunReporter {
 public:
  /// An earlier report.json in the folder is continued; one that cannot be read is reported and
  /// replaced. Writes the page for the first time. throws FileError.
  RunReporter(std::filesystem::path folder, const ReportedRun& run,
              const std::function<void(const std::string&)>& say);

  /// For EvaluateOptions::on_batch; then the result of that validation is passed to teacher().
  std::function<void(const EvaluatedBatch&)> watch_teacher();
  void teacher(const EvaluateResult& result);
  /// The teacher is another one now, which has not been validated.
  void forget_teacher();
  /// Whether the teacher's validation is known, possibly from before the run was resumed.
  bool knows_teacher() const { return record_.teacher && record_.teacher->validation; }

  /// The same for the student. last: also draws the sheets val_batch*.jpg.
  std::function<void(const EvaluatedBatch&)> watch_student(bool last);
  /// results: of all epochs so far, this one last. throws FileError.
  void epoch(std::span<const EpochResult> results, const EvaluateResult& result,
             const EpochTimes& times);

  /// For a run that is already finished, but perhaps was killed before its last report was written.
  void finish(std::span<const EpochResult> results);

  const RunRecord& record() const { return record_; }

 private:
  void write(bool last) const;

  std::filesystem::path folder_;
  std::shared_ptr<const Dataset> val_;
  RunRecord record_;
  ShownPictures pictures_;
  ObjectnessPictures teacher_maps_, student_maps_;
};

/// results.csv as a table.
EpochTable table_of(std::span<const EpochResult> results);

/// The contents of a run folder's report.json, with the epochs of results.csv if those differ.
/// throws FileError.
RunRecord read_run_record(const std::filesystem::path& folder);

/// report.html and the plots from a record. throws FileError.
void write_report(const std::filesystem::path& folder, const RunRecord& record);

}  // namespace ydistill
