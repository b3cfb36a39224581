// SPDX-License-Identifier: MIT
// The rows. Defaults are those of Config{} (config.h). If other keys change a default, this is in
// the same row, after RECIPE's table of what differs between the releases.

#include <ydistill/train/config_table.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <type_traits>

namespace ydistill {

namespace {

/// Names of an enum's values, in their order.
template <class E>
constexpr std::array<std::string_view, 0> kNamesOf{};
template <>
constexpr std::array<std::string_view, 3> kNamesOf<DistillConfig::Loss>{"l2", "kl", "bce"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<DistillConfig::Objectness>{"l2", "bce"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<DistillConfig::Mean>{"objects", "boxes"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<DistillConfig::Defaults>{"tuned", "original"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<TeacherConfig::Precision>{"same", "int8"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<TrainConfig::Compat>{"v5", "v7"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<TrainConfig::Schedule>{"linear", "cosine"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<TrainConfig::StepRule>{"since_last", "multiple"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<TrainConfig::Optimizer>{"sgd", "adamw"};
template <>
constexpr std::array<std::string_view, 4> kNamesOf<TrainConfig::Cache>{"auto", "ram", "disk",
                                                                       "none"};
template <>
constexpr std::array<std::string_view, 3> kNamesOf<TrainConfig::Autoanchor>{"auto", "always",
                                                                            "off"};
template <>
constexpr std::array<std::string_view, 2> kNamesOf<AugmentConfig::Device>{"cpu", "gpu"};

template <class T>
constexpr ConfigKind kind_of() {
  if constexpr (std::is_enum_v<T>) return ConfigKind::kChoice;
  if constexpr (std::is_same_v<T, bool>) return ConfigKind::kBoolean;
  if constexpr (std::is_same_v<T, int64_t>) return ConfigKind::kInteger;
  if constexpr (std::is_same_v<T, double>) return ConfigKind::kNumber;
  if constexpr (std::is_same_v<T, std::filesystem::path>) return ConfigKind::kPath;
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return ConfigKind::kNames;
  if constexpr (std::is_same_v<T, ClassMerges>) return ConfigKind::kMerges;
  return ConfigKind::kString;
}

template <class T>
ConfigValue to_value(const T& member) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(kNamesOf<T>[size_t(member)]);
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return member.string();
  } else {
    return member;
  }
}

template <class T>
void from_value(const ConfigValue& value, T& member) {
  if constexpr (std::is_enum_v<T>) {
    const auto& names = kNamesOf<T>;
    const auto found = std::find(names.begin(), names.end(), std::get<std::string>(value));
    member = T(found - names.begin());
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    member = std::get<std::string>(value);
  } else {
    member = std::get<T>(value);
  }
}

/// A row, with methods to write it down.
struct Row : ConfigField {
  Row min(double low) && { return range.minimum = low, std::move(*this); }
  Row max(double high) && { return range.maximum = high, std::move(*this); }
  Row above(double low) && {
    range.minimum_excluded = true;
    return std::move(*this).min(low);
  }
  Row below(double high) && {
    range.maximum_excluded = true;
    return std::move(*this).max(high);
  }
  Row multiple_of(int64_t step) && { return range.multiple_of = step, std::move(*this); }
  Row where(const char* key, const char* value, ConfigValue then) && {
    alternatives.push_back({key, value, std::move(then)});
    return std::move(*this);
  }
  Row v5(ConfigValue then) && {
    return std::move(*this).where("train.compat", "v5", std::move(then));
  }
  Row v5(const char* then) && { return std::move(*this).v5(ConfigValue(std::string(then))); }
  Row loss(const char* loss, double then) && {
    return std::move(*this).where("distill.loss", loss, then);
  }
  Row original(ConfigValue then) && {
    return std::move(*this).where("distill.defaults", "original", std::move(then));
  }
  Row default_is(const char* text) && { return default_text = text, std::move(*this); }
  Row empty_names() && { return may_be_empty = true, std::move(*this); }
  Row graph() && { return kind = ConfigKind::kGraph, std::move(*this); }
  Row matching(const char* expression, bool (*test)(std::string_view), const char* words) && {
    pattern = expression;
    accepts = test;
    expected = words;
    return std::move(*this);
  }
};

template <class T>
Row row(const char* path, ConfigValue (*get)(const Config&),
        void (*set)(Config&, const ConfigValue&), const char* description) {
  Row r;
  r.path = path;
  r.kind = kind_of<T>();
  r.get = get;
  r.set = set;
  r.description = description;
  if constexpr (std::is_enum_v<T>) r.choices.assign(kNamesOf<T>.begin(), kNamesOf<T>.end());
  return r;
}

#define YD_KEY_AT(path, member, description)                                   \
  row<std::remove_cvref_t<decltype(std::declval<Config&>().member)>>(          \
      path, [](const Config& c) -> ConfigValue { return to_value(c.member); }, \
      [](Config& c, const ConfigValue& v) { from_value(v, c.member); }, description)
#define YD_KEY(member, description) YD_KEY_AT(#member, member, description)

bool is_device(std::string_view s) {
  if (s == "auto" || s == "cpu" || s == "cuda") return true;
  if (!s.starts_with("cuda:")) return false;
  s.remove_prefix(5);
  return !s.empty() && s.size() <= 3 &&
         std::all_of(s.begin(), s.end(), [](unsigned char ch) { return std::isdigit(ch) != 0; });
}

bool is_precision(std::string_view s) {
  return s == "auto" || s == "fp32" || s == "tf32" || s == "bf16" || s == "int8";
}

bool is_folder_name(std::string_view s) {
  return !s.empty() && s.size() <= 200 && s != "." && s != ".." &&
         s.find('/') == std::string_view::npos &&
         std::none_of(s.begin(), s.end(), [](unsigned char ch) { return ch < 32; });
}

void add_source(std::vector<ConfigField>& rows, std::vector<Row> source) {
  for (Row& r : source) rows.push_back(std::move(r));
}

// One data source; `which` is train or val.
#define YD_SOURCE(which)                                                                           \
  {                                                                                                \
    YD_KEY_AT("data." #which ".yolo", data.which->yolo,                                            \
              "YOLO text labels: a folder of pictures, or a text file with one path per line"),    \
        YD_KEY_AT("data." #which ".voc", data.which->voc,                                          \
                  "Pascal VOC: the folder with JPEGImages, Annotations and ImageSets"),            \
        YD_KEY_AT("data." #which ".split", data.which->split,                                      \
                  "with voc: the name of a list in ImageSets/Main; with yaml: train, val or test") \
            .default_is("required with voc and yaml"),                                             \
        YD_KEY_AT("data." #which ".yaml", data.which->yaml,                                        \
                  "Ultralytics' data.yaml, of which split names the part"),                        \
        YD_KEY_AT("data." #which ".coco", data.which->coco, "COCO: the JSON file with instances"), \
        YD_KEY_AT("data." #which ".images", data.which->images,                                    \
                  "with coco: the folder of the pictures")                                         \
            .default_is("required with coco"),                                                     \
  }

std::vector<ConfigField> make_fields() {
  std::vector<ConfigField> f;
  f.push_back(YD_KEY(model.weights, "checkpoint to start from (.pt or .safetensors)"));
  f.push_back(YD_KEY(model.graph,
                     "yolov5n, -s, -m, -l or -x (graph of v6-v7); with the suffix 6 a fourth head "
                     "for larger pictures (yolov5s6), with -v5 the graph of v5.0 (yolov5s-v5); or "
                     "a file that describes a graph (.json, or .yaml as in YOLOv5)")
                  .graph()
                  .default_is("the graph of the weights"));

  f.push_back(
      YD_KEY(model.keep_classes,
             "if the weights were trained on other classes, their head keeps the classes of the "
             "same names; false: as in YOLOv5, a new head if the number of classes differs"));

  f.push_back(YD_KEY_AT("teacher.weights", teacher->weights, "checkpoint of the teacher")
                  .default_is("required in teacher"));
  f.push_back(
      YD_KEY_AT("teacher.classes", teacher->classes,
                "for each class of the student, in order, the name of the teacher's class, or \"\" "
                "if the teacher does not know it; the teacher's other classes count as background")
          .empty_names()
          .default_is("those of the same names"));
  f.push_back(
      YD_KEY_AT("teacher.precision", teacher->precision,
                "same: as the student; int8: on the CPU, with weights from `ydistill quantize`; "
                "takes about half the time of float32 if the CPU has int8 instructions"));
  f.push_back(YD_KEY_AT("teacher.validate", teacher->validate,
                        "print the teacher's mAP before the first step"));

  f.push_back(YD_KEY(distill.loss, "distance of the class logits"));
  f.push_back(YD_KEY(distill.defaults,
                     "which of the defaults below hold: tuned = found by search, "
                     "original = those of yolov5-knowledge-distillation"));
  f.push_back(YD_KEY(distill.objectness,
                     "distance of the objectness logits: l2 = squared error where the teacher sees "
                     "something, bce = cross entropy everywhere")
                  .original(std::string("l2")));
  f.push_back(
      YD_KEY(distill.mean,
             "divisor of the box and class terms: objects = number of boxes where the teacher sees "
             "something, as the detection loss divides by its matches; boxes = number of all boxes")
          .original(std::string("boxes")));
  f.push_back(YD_KEY(distill.temperature, "softens the class scores in kl").above(0).max(1000));
  f.push_back(YD_KEY(distill.gain, "times all distillation terms").min(0));
  f.push_back(
      YD_KEY(distill.box, "gain of the squared error of the box logits").min(0).original(0.05));
  f.push_back(YD_KEY(distill.obj, "gain of the objectness term").min(0));
  f.push_back(YD_KEY(distill.cls, "gain of the class term")
                  .min(0)
                  .loss("kl", 4.2)
                  .loss("bce", 11)
                  .original(0.5));
  f.push_back(YD_KEY(distill.fm_nms,
                     "keep only the box of highest objectness among the teacher's neighbouring "
                     "boxes of one class (FM-NMS)"));
  f.push_back(YD_KEY(distill.feature,
                     "gain of the feature term, which compares the maps before the head with the "
                     "teacher's by correlation; 0 = off")
                  .min(0));

  f.push_back(YD_KEY(data.yaml,
                     "Ultralytics' data.yaml: its train and val pictures, for whichever of "
                     "data.train and data.val is not given"));
  add_source(f, YD_SOURCE(train));
  add_source(f, YD_SOURCE(val));
  f.push_back(YD_KEY(data.names,
                     "class names in the order of their ids; they may be a subset of the names in "
                     "the data set: labels of other classes are then left out")
                  .default_is("what the data set says"));
  f.push_back(YD_KEY(data.merge,
                     "classes to merge into one, in the labels and for the teacher; data.names "
                     "lists the classes after the merge, or before it if the labels have only ids")
                  .default_is("none"));
  f.push_back(YD_KEY(data.label_cache,
                     "cache labels and picture headers that were read, for later runs, in "
                     "$XDG_CACHE_HOME/ydistill or ~/.cache/ydistill"));

  f.push_back(YD_KEY_AT("data.unlabeled.pictures", data.unlabeled->pictures,
                        "a folder of pictures, or a text file with one path per line")
                  .default_is("required in data.unlabeled"));
  f.push_back(
      YD_KEY_AT("data.unlabeled.share", data.unlabeled->share,
                "share of each batch; an epoch passes over the labelled pictures; without labelled "
                "ones it is 1 and this key has no effect")
          .above(0)
          .below(1));

  f.push_back(YD_KEY(train.epochs, "passes over the training pictures").min(1));
  f.push_back(YD_KEY(train.batch, "pictures per forward pass").min(1).max(65536));
  f.push_back(
      YD_KEY(train.nominal_batch, "pictures per optimizer step: batches are accumulated to it")
          .min(1)
          .max(1048576));
  f.push_back(YD_KEY(train.image_size, "side of the network's input in pixels")
                  .min(32)
                  .max(8192)
                  .multiple_of(32));
  f.push_back(YD_KEY(train.seed, "same seed, same result").min(0));
  f.push_back(YD_KEY(train.compat, "YOLOv5 release whose defaults hold (v5 = v5.0, v7 = v6-v7)"));
  f.push_back(YD_KEY(
      train.optimizer,
      "sgd: Nesterov momentum; adamw: momentum is beta1, and lr0 should be smaller, e.g. 0.001"));
  f.push_back(YD_KEY(train.lr0, "learning rate after warm-up").above(0));
  f.push_back(YD_KEY(train.lrf, "last learning rate as a share of lr0").min(0).v5(0.2));
  f.push_back(YD_KEY(train.schedule, "how the learning rate falls over the epochs").v5("cosine"));
  f.push_back(YD_KEY(train.momentum, "momentum after warm-up").min(0).below(1));
  f.push_back(
      YD_KEY(train.weight_decay, "on convolution weights, for a nominal batch of nominal_batch")
          .min(0));
  f.push_back(YD_KEY(train.warmup_epochs, "length of the warm-up in epochs").min(0).max(100000));
  f.push_back(YD_KEY(train.warmup_min_iterations, "minimum length of the warm-up in batches")
                  .min(0)
                  .v5(int64_t(1000)));
  f.push_back(YD_KEY(train.warmup_momentum, "momentum at the first batch").min(0).below(1));
  f.push_back(YD_KEY(train.warmup_bias_lr, "learning rate of biases at the first batch").min(0));
  f.push_back(YD_KEY(train.clip_norm, "largest norm of all gradients together; 0: no clipping")
                  .min(0)
                  .v5(0.0));
  f.push_back(
      YD_KEY(train.shuffle, "new order of pictures each epoch; false: file order").v5(false));
  f.push_back(YD_KEY(train.rect,
                     "batches of pictures of similar shape, with little padding, the same batches "
                     "each epoch; without mosaics"));
  f.push_back(YD_KEY(train.multi_scale,
                     "image_size varies from batch to batch by this share, both ways, in whole "
                     "strides; YOLOv5's --multi-scale is 0.5")
                  .min(0)
                  .max(0.9));
  f.push_back(YD_KEY(train.image_weights,
                     "draw pictures with replacement, more often those of classes that are rare or "
                     "have a low mAP"));
  f.push_back(YD_KEY(train.single_class,
                     "treat all classes as one, in training and validation; if data.names or the "
                     "data.yaml has a single name, all labels get that class"));
  f.push_back(YD_KEY(train.step_rule,
                     "when to step: since_last = enough batches since the last step, multiple = "
                     "the batch number is a multiple of the accumulation")
                  .v5("multiple"));
  f.push_back(
      YD_KEY(train.ema_decay, "decay of the averaged weights in the long run").min(0).below(1));
  f.push_back(YD_KEY(train.ema_tau, "optimizer steps over which ema_decay builds up").above(0));
  f.push_back(YD_KEY(
      train.autoanchor,
      "fit anchors to the labels: auto = if the network's anchors match less than 98 % of "
      "the labels; but anchors equal to a teacher's are kept, and a teacher's that match 98 % "
      "are taken. always = if fitted anchors are better"));
  f.push_back(YD_KEY(train.freeze,
                     "layers that are not trained, by the beginning of their parameters' names: "
                     "model.4, model.23.cv1, or model.0-9 for a range; the running mean and "
                     "variance of their batch norms still follow the data")
                  .default_is("[]"));
  f.push_back(YD_KEY(train.patience,
                     "epochs without a better fitness (0.1 mAP50 + 0.9 mAP50-95) after which the "
                     "run ends; 0: never")
                  .min(0));
  f.push_back(
      YD_KEY(train.save_steps, "optimizer steps between checkpoints; 0: only after each epoch")
          .min(0));
  f.push_back(YD_KEY(train.workers, "threads that read and augment pictures").min(0).max(256));
  f.push_back(YD_KEY(train.threads, "threads that compute; 0: all cores").min(0).max(1024));
  f.push_back(YD_KEY(train.memory_mib,
                     "limit in MiB for the memory of a training step and of a validation batch; 0: "
                     "what the machine has")
                  .min(0)
                  .max(1 << 24));
  f.push_back(
      YD_KEY(train.recompute,
             "recompute the outputs of batch norm and SiLU in the backward pass instead of keeping "
             "them: less memory, slightly more time, identical results; only on the CPU"));
  f.push_back(YD_KEY(
      train.cache,
      "where decoded pictures are kept; auto: in memory if they fit into a third of the free "
      "memory, else in a file next to the runs if the disk has room; the choice is printed"));

  f.push_back(YD_KEY(loss.box, "gain of the CIoU loss").min(0));
  f.push_back(YD_KEY(loss.cls, "gain of the class loss, for 80 classes").min(0));
  f.push_back(YD_KEY(loss.obj, "gain of the objectness loss, for 640 pixels").min(0));
  f.push_back(YD_KEY(loss.anchor_t, "largest ratio of box and anchor sides in a match").above(1));
  f.push_back(YD_KEY(loss.cls_pw, "weight of positives in the class loss").above(0));
  f.push_back(YD_KEY(loss.obj_pw, "weight of positives in the objectness loss").above(0));
  f.push_back(YD_KEY(loss.label_smoothing, "class targets e/2 and 1 - e/2").min(0).below(1));
  f.push_back(YD_KEY(loss.fl_gamma, "focal loss; 0: off").min(0));

  f.push_back(YD_KEY(augment.hsv_h, "hue, share of the circle, both ways").min(0).max(1));
  f.push_back(YD_KEY(augment.hsv_s, "saturation, share, both ways").min(0).max(1));
  f.push_back(YD_KEY(augment.hsv_v, "brightness, share, both ways").min(0).max(1));
  f.push_back(YD_KEY(augment.degrees, "rotation in degrees, both ways").min(0).max(180));
  f.push_back(YD_KEY(augment.translate, "shift as a share of the side, both ways").min(0).max(1));
  f.push_back(YD_KEY(augment.scale, "zoom by 1 - scale to 1 + scale").min(0).max(0.99));
  f.push_back(YD_KEY(augment.shear, "shear in degrees, both ways").min(0).max(89));
  f.push_back(
      YD_KEY(augment.perspective, "change of the scale per pixel, both ways, along each axis")
          .min(0)
          .max(0.001));
  f.push_back(YD_KEY(augment.flipud, "probability of a flip upside down").min(0).max(1));
  f.push_back(YD_KEY(augment.fliplr, "probability of a flip left to right").min(0).max(1));
  f.push_back(YD_KEY(augment.mosaic, "probability of four pictures in one").min(0).max(1));
  f.push_back(
      YD_KEY(augment.mosaic9, "share of mosaics with nine pictures instead of four").min(0).max(1));
  f.push_back(YD_KEY(augment.copy_paste,
                     "share of a mosaic's outlined objects that are pasted again, mirrored")
                  .min(0)
                  .max(1));
  f.push_back(YD_KEY(augment.mixup, "probability of blending a mosaic with another").min(0).max(1));
  f.push_back(YD_KEY(augment.close_mosaic, "number of epochs without mosaics at the end").min(0));
  f.push_back(YD_KEY(augment.device,
                     "where samples are made: gpu keeps all training pictures in the GPU's memory "
                     "(train.cache then holds none) and gives the same bytes"));

  f.push_back(YD_KEY(val.batch, "pictures per forward pass").min(1).max(65536));
  f.push_back(YD_KEY(val.image_size, "longer side of the network's input in pixels")
                  .min(32)
                  .max(8192)
                  .multiple_of(32)
                  .default_is("train.image_size"));
  f.push_back(YD_KEY(val.conf, "minimum score of a box").min(0).max(1));
  f.push_back(YD_KEY(val.iou,
                     "overlap (IoU) of two boxes of a class above which the one with the lower "
                     "score is removed")
                  .min(0)
                  .max(1));
  f.push_back(YD_KEY(val.max_det, "boxes kept per picture").min(1).max(30000));
  f.push_back(YD_KEY(val.rect, "pictures of like shape share batches with little padding"));
  f.push_back(YD_KEY(val.compat, "release whose matching and AP convention is used")
                  .v5("v5")
                  .default_is("train.compat"));

  f.push_back(YD_KEY(device, "where to compute; auto: a GPU if there is one")
                  .matching("^(auto|cpu|cuda(:[0-9]{1,3})?)$", is_device,
                            "\"auto\", \"cpu\", \"cuda\" or \"cuda:N\""));
  f.push_back(
      YD_KEY(precision,
             "precision of activations; auto: bf16 on a GPU and on a CPU that multiplies it faster "
             "than float32 (AMD with AVX-512 BF16, AMX), else fp32; the choice is printed; bf16 "
             "halves the memory of activations on any CPU; int8: only for val, with weights from "
             "`ydistill quantize`, for which auto chooses it where it is fastest")
          .matching("^(auto|fp32|tf32|bf16|int8)$", is_precision,
                    "one of \"auto\", \"fp32\", \"tf32\", \"bf16\", \"int8\""));
  f.push_back(YD_KEY(autotune,
                     "on a GPU: time the libraries' convolutions once, 1x1 convolutions also as "
                     "matrix products, and compile fused ones; slower to start, then faster"));

  f.push_back(YD_KEY(run.dir, "folder of the runs, from the working directory"));
  f.push_back(YD_KEY(run.name, "folder of this run in run.dir; NAME2, NAME3 where it exists")
                  .matching("^(?!\\.{1,2}$)[^/\\u0000-\\u001f]{1,200}$", is_folder_name,
                            "a folder name without /"));
  return f;
}

std::vector<ConfigSection> make_sections() {
  const auto train_emplace = [](Config& c, bool present) {
    c.data.train = present ? std::optional<DataSourceConfig>(std::in_place) : std::nullopt;
  };
  const auto val_emplace = [](Config& c, bool present) {
    c.data.val = present ? std::optional<DataSourceConfig>(std::in_place) : std::nullopt;
  };
  const auto teacher_emplace = [](Config& c, bool present) {
    c.teacher = present ? std::optional<TeacherConfig>(std::in_place) : std::nullopt;
  };
  const auto unlabeled_emplace = [](Config& c, bool present) {
    c.data.unlabeled = present ? std::optional<UnlabeledConfig>(std::in_place) : std::nullopt;
  };
  const auto has_unlabeled = [](const Config& c) { return c.data.unlabeled.has_value(); };
  const auto has_train = [](const Config& c) { return c.data.train.has_value(); };
  const auto has_val = [](const Config& c) { return c.data.val.has_value(); };
  const auto has_teacher = [](const Config& c) { return c.teacher.has_value(); };
  return {
      {"model", "The network to train. Required: weights, graph or both."},
      {"teacher", "The network to distil from; leave it out for plain training.", teacher_emplace,
       has_teacher},
      {"distill", "How the student follows the teacher; without effect where there is none."},
      {"data",
       "The pictures. Required: yaml, or train or val or both, each of them one source. Training "
       "needs val, and train or unlabeled or both."},
      {"data.train",
       "Training pictures: one of yolo, voc with split, coco with images, yaml with split.",
       train_emplace, has_train, true},
      {"data.val",
       "Validation pictures: one of yolo, voc with split, coco with images, yaml with split.",
       val_emplace, has_val, true},
      {"data.unlabeled", "Pictures without labels: only the distillation loss applies to them.",
       unlabeled_emplace, has_unlabeled},
      {"train", "The training loop."},
      {"loss", "The detection loss. Gains are scaled by classes, heads and picture size."},
      {"augment", "Random changes to training pictures."},
      {"val", "Validation: detection and its metrics."},
      {"run", "Where the results go."},
  };
}

std::string range_text(const ConfigRange& r) {
  const bool low = std::isfinite(r.minimum), high = std::isfinite(r.maximum);
  std::string text;
  if (low && high && !r.minimum_excluded && !r.maximum_excluded) {
    text = fmt::format(" in {}..{}", r.minimum, r.maximum);
  } else {
    if (low) text += fmt::format(" {} {}", r.minimum_excluded ? ">" : ">=", r.minimum);
    if (low && high) text += " and";
    if (high) text += fmt::format(" {} {}", r.maximum_excluded ? "<" : "<=", r.maximum);
  }
  if (r.multiple_of > 1) text += fmt::format(", a multiple of {}", r.multiple_of);
  return text;
}

}  // namespace

std::span<const ConfigField> config_fields() {
  static const std::vector<ConfigField> fields = make_fields();
  return fields;
}

std::span<const ConfigSection> config_sections() {
  static const std::vector<ConfigSection> sections = make_sections();
  return sections;
}

const ConfigField* find_config_field(std::string_view path) {
  for (const ConfigField& f : config_fields()) {
    if (f.path == path) return &f;
  }
  return nullptr;
}

const ConfigSection* find_config_section(std::string_view path) {
  for (const ConfigSection& s : config_sections()) {
    if (s.path == path) return &s;
  }
  return nullptr;
}

std::string expected_text(const ConfigField& field) {
  switch (field.kind) {
    case ConfigKind::kBoolean:
      return "true or false";
    case ConfigKind::kInteger:
      return "an integer" + range_text(field.range);
    case ConfigKind::kNumber:
      return "a number" + range_text(field.range);
    case ConfigKind::kString:
      return field.expected.empty() ? "a string" : field.expected;
    case ConfigKind::kPath:
      return "a path";
    case ConfigKind::kGraph:
      return "a graph name or a path";
    case ConfigKind::kChoice:
      return fmt::format("{}\"{}\"", field.choices.size() > 1 ? "one of " : "",
                         fmt::join(field.choices, "\", \""));
    case ConfigKind::kNames:
      return "a list of strings";
    case ConfigKind::kMerges:
      return "an object as {\"vehicle\": [\"car\", \"bus\"]}";
  }
  return "";
}

std::string_view parent_path(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

std::string_view last_part(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

}  // namespace ydistill
