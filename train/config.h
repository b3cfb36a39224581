// SPDX-License-Identifier: MIT
// The one config file of `ydistill train` and `ydistill val`. Every key has a default here.
// config_table.cpp holds the one table of keys, ranges and descriptions that reading, writing, the
// JSON Schema and the reference page share. docs/config.md lists all keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/class_merge.h>

namespace ydistill {

/// `weights`, `graph` or both; with both, the weights fill the graph.
struct ModelConfig {
  std::filesystem::path weights;  ///< .pt or .safetensors; empty: random initial weights
  std::string graph;              ///< a known name (yolov5s, yolov5s-v5) or a file (.json, .yaml)
  bool keep_classes = true;       ///< a head of other classes keeps those with the same names
  bool operator==(const ModelConfig&) const = default;
};

struct TeacherConfig {
  enum class Precision { kSame, kInt8 };
  std::filesystem::path weights;
  /// Its class for each of the student's, "" if it has none; empty: those with the same names.
  std::vector<std::string> classes;
  Precision precision = Precision::kSame;  ///< same: as for the student
  bool validate = true;                    ///< print the teacher's mAP before the first step
  bool operator==(const TeacherConfig&) const = default;
};

/// The defaults here are the tuned ones of l2; those of the other losses and of the original
/// project are in config_table.cpp.
struct DistillConfig {
  enum class Loss { kL2, kKl, kBce };
  enum class Objectness { kL2, kBce };
  enum class Mean { kObjects, kBoxes };
  enum class Defaults { kTuned, kOriginal };
  Loss loss = Loss::kL2;  ///< for the class logits; the box term is always a squared error
  Defaults defaults = Defaults::kTuned;
  Objectness objectness = Objectness::kBce;
  Mean mean = Mean::kObjects;  ///< what box and class terms are divided by
  double temperature = 20;     ///< of kl
  bool fm_nms = false;         ///< of neighbouring boxes the teacher keeps the highest-scoring
  double gain = 1;             ///< factor of each of those below
  double box = 0.12, obj = 1, cls = 0.75;
  double feature = 0;  ///< 0: only the teacher's logits are learnt from
  bool operator==(const DistillConfig&) const = default;
};

/// Exactly one of yolo, voc (with split), coco (with images) and yaml (with split) is set.
struct DataSourceConfig {
  enum class Kind { kYolo, kVoc, kCoco, kYaml };
  std::filesystem::path yolo;    ///< folder of pictures, or a text file of paths
  std::filesystem::path voc;     ///< folder with JPEGImages, Annotations, ImageSets
  std::filesystem::path yaml;    ///< Ultralytics' data.yaml
  std::string split;             ///< voc: a name in ImageSets/Main; yaml: train, val or test
  std::filesystem::path coco;    ///< instances.json
  std::filesystem::path images;  ///< coco: folder of the pictures
  Kind kind() const {
    return !yolo.empty()   ? Kind::kYolo
           : !voc.empty()  ? Kind::kVoc
           : !yaml.empty() ? Kind::kYaml
                           : Kind::kCoco;
  }
  bool operator==(const DataSourceConfig&) const = default;
};

/// Pictures that nobody has labelled; only the teacher provides targets for them.
struct UnlabeledConfig {
  std::filesystem::path pictures;  ///< folder, or a text file of paths
  double share = 0.5;              ///< of each batch
  bool operator==(const UnlabeledConfig&) const = default;
};

/// At least one source is set.
struct DataConfig {
  std::filesystem::path yaml;  ///< data.yaml, for train and val if these are not set
  std::optional<DataSourceConfig> train, val;
  std::optional<UnlabeledConfig> unlabeled;
  std::vector<std::string> names;  ///< class names in order; empty: those of the data set
  ClassMerges merge;               ///< classes that count as one
  bool label_cache = true;         ///< labels and headers that were read are kept between runs
  bool operator==(const DataConfig&) const = default;
};

struct TrainConfig {
  enum class Compat { kV5, kV7 };
  enum class Schedule { kLinear, kCosine };
  enum class StepRule { kSinceLast, kMultiple };
  enum class Optimizer { kSgd, kAdamW };
  enum class Cache { kAuto, kRam, kDisk, kNone };
  int64_t epochs = 50;
  int64_t batch = 8;
  int64_t nominal_batch = 64;
  int64_t image_size = 640;
  int64_t seed = 0;
  Compat compat = Compat::kV7;
  Optimizer optimizer = Optimizer::kSgd;
  double lr0 = 0.01, lrf = 0.01;
  /// lr factor in epoch e. cosine: 1 + (lrf - 1)(1 - cos(pi e / epochs)) / 2. linear: from 1
  /// towards lrf over `epochs` (v7), or reaching it in the last epoch, after `epochs - 1` (compat
  /// v5).
  Schedule schedule = Schedule::kLinear;
  double momentum = 0.937;
  double weight_decay = 0.0005;
  double warmup_epochs = 3;
  int64_t warmup_min_iterations = 100;
  double warmup_momentum = 0.8;
  double warmup_bias_lr = 0.1;
  double clip_norm = 10;  ///< 0: no clipping
  bool shuffle = true;
  bool rect = false;           ///< batches of pictures of similar shape, without mosaics
  double multi_scale = 0;      ///< image_size varies per batch by up to this share, both ways
  bool image_weights = false;  ///< pictures of rare and badly detected classes are drawn more often
  bool single_class = false;   ///< all classes count as one
  /// kSinceLast: step when ni - last >= accumulate; kMultiple: when ni % accumulate == 0.
  StepRule step_rule = StepRule::kSinceLast;
  double ema_decay = 0.9999, ema_tau = 2000;
  enum class Autoanchor { kAuto, kAlways, kOff };
  Autoanchor autoanchor = Autoanchor::kAuto;
  std::vector<std::string> freeze;  ///< layers, as Model takes them
  int64_t patience = 100;           ///< epochs without a better fitness; 0: never stop early
  int64_t save_steps = 0;           ///< optimizer steps between checkpoints; 0: only each epoch
  int64_t workers = 2;
  int64_t threads = 0;     ///< 0: all cores
  int64_t memory_mib = 0;  ///< limit for a step or a batch of validation; 0: what the machine has
  bool recompute = false;  ///< activations that are cheap to compute are not kept but recomputed
  Cache cache = Cache::kAuto;
  bool operator==(const TrainConfig&) const = default;
};

struct LossConfig {
  double box = 0.05, cls = 0.5, obj = 1;  ///< before scaling by classes, layers and picture size
  double anchor_t = 4;
  double cls_pw = 1, obj_pw = 1;
  double label_smoothing = 0;
  double fl_gamma = 0;
  bool operator==(const LossConfig&) const = default;
};

struct AugmentConfig {
  enum class Device { kCpu, kGpu };
  double hsv_h = 0.015, hsv_s = 0.7, hsv_v = 0.4;
  double degrees = 0, translate = 0.1, scale = 0.5, shear = 0, perspective = 0;
  double flipud = 0, fliplr = 0.5, mosaic = 1;
  double mosaic9 = 0, copy_paste = 0, mixup = 0;  ///< only in mosaics
  int64_t close_mosaic = 0;                       ///< epochs at the end without mosaics
  Device device = Device::kCpu;                   ///< where pixels are augmented
  bool operator==(const AugmentConfig&) const = default;
};

struct ValConfig {
  int64_t batch = 16;
  int64_t image_size = 0;  ///< after parsing never 0: train.image_size if not set
  double conf = 0.001, iou = 0.6;
  int64_t max_det = 300;
  bool rect = true;
  TrainConfig::Compat compat = TrainConfig::Compat::kV7;  ///< matching and AP; as train.compat
  bool operator==(const ValConfig&) const = default;
};

struct RunConfig {
  std::filesystem::path dir = "runs/train";  ///< relative to the working directory
  std::string name = "exp";
  bool operator==(const RunConfig&) const = default;
};

struct Config {
  ModelConfig model;
  std::optional<TeacherConfig> teacher;  ///< without: plain training
  DistillConfig distill;
  DataConfig data;
  TrainConfig train;
  LossConfig loss;
  AugmentConfig augment;
  ValConfig val;
  std::string device = "auto";     ///< auto, cpu, cuda or cuda:N
  std::string precision = "auto";  ///< auto, fp32, tf32, bf16 or int8
  bool autotune = false;           ///< choose_compute
  RunConfig run;
  bool operator==(const Config&) const = default;
};

/// Reads a config file (JSON; // and /* */ comments are allowed) and applies `overrides`, each
/// `key.path=value`. A value is JSON if it parses as such, else a string; `key.path=null` restores
/// a key's default; `teacher=null` removes the teacher; an object given for data.train or data.val
/// replaces the source. Relative paths become absolute: those in the file start from its folder,
/// those in overrides from the working directory; run.dir stays as it is.
/// throws FileError   the file cannot be read
///        ConfigError syntax (file, line, column), unknown key (with the nearest known one),
///                    wrong type or range (key, what was expected, what came), missing key
Config load_config(const std::filesystem::path& file, std::span<const std::string> overrides = {});

/// The same from text. base_dir: where relative paths start; source_name: its name in messages.
Config parse_config(const std::string& json_text, const std::filesystem::path& base_dir,
                    std::span<const std::string> overrides = {},
                    const std::string& source_name = "config");

/// throws ConfigError for a text or path that is not UTF-8: config.json and the checkpoints, from
/// which a run is resumed, could not hold it.
void check_is_text(const Config& config);

/// All keys with their values, as a config file that parse_config reads back to an equal Config.
std::string to_json(const Config& config);

/// The source of the training or the validation pictures.
/// data.train or data.val, else the split of that name in data.yaml.
/// throws ConfigError, naming the key, where the config has none.
DataSourceConfig train_source(const Config& config);
DataSourceConfig val_source(const Config& config);
bool has_train_source(const Config& config);
bool has_val_source(const Config& config);
/// Only pictures of data.unlabeled: all targets come from the teacher.
bool trains_without_labels(const Config& config);
/// The gain of the distillation's feature term; 0: none.
double feature_gain(const Config& config);

}  // namespace ydistill
