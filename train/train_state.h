// SPDX-License-Identifier: MIT
// The complete state of a training run, and its layout in weights/last.safetensors.
//
// Plain names hold the averaged weights (EMA), so that the file can be used like any other
// checkpoint; `raw.NAME` the weights being trained, `momentum.NAME` the optimizer's buffer,
// `squares.NAME` AdamW's second one, `grad.NAME` the gradients summed since the last step, if the
// run stopped between two. For auxiliary parameters (layers/parameters.h), which are no weights of
// the network, `average.NAME` holds the average. The rest is JSON in the metadata, with the config.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <ydistill/train/config.h>
#include <ydistill/train/epoch_result.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

struct TrainState {
  int64_t epoch = 0;       ///< the current one
  int64_t next_batch = 0;  ///< number of its batches that are done
  int64_t last_step = -1;  ///< iteration of the last optimizer step
  int64_t batches = 0;     ///< per epoch
  StepSums sums;           ///< of this epoch's batches
  double best_fitness = -1;
  int64_t best_epoch = 0;
  bool finished = false;
  /// What the run learns from (digest.h): data.train with data.unlabeled, data.val, and the
  /// teacher's file. Empty: not recorded.
  std::string train_data, val_data, teacher;
  std::vector<EpochResult> results;  ///< of the epochs that are done
  std::vector<double> class_map;     ///< mAP of each class in the last validation; empty: none yet
};

/// Writes atomically. throws FileError.
void save_train_state(const std::filesystem::path& path, const TrainState& state,
                      const Config& config, const Model& model, const Optimizer& optimizer,
                      const std::vector<std::string>& class_names);

/// The config of a run from its text, which holds all keys that existed when the run began; later
/// keys get the values that change nothing. source_name: its name in messages. throws as
/// parse_config.
Config parse_run_config(const std::string& text, const std::string& source_name);

/// Reads only the config. throws FileError if the file is no checkpoint of a run.
Config read_train_config(const std::filesystem::path& path);

/// Fills a model and an optimizer built from read_train_config. throws FileError.
TrainState load_train_state(const std::filesystem::path& path, Model& model, Optimizer& optimizer);

/// The averaged weights as a checkpoint.
Checkpoint ema_checkpoint(const Model& model, const Optimizer& optimizer,
                          const std::vector<std::string>& class_names);

}  // namespace ydistill
