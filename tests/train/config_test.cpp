// SPDX-License-Identifier: MIT
#include <ydistill/train/config.h>

#include <array>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/error.h>
#include <ydistill/train/config_table.h>

#include "support/catch.h"
#include "support/files.h"

using namespace ydistill;
using ydistill::test::TempDir;
using ydistill::test::write_file;
using Json = nlohmann::json;

namespace {

/// The two required sections, and more members after them.
std::string with(const std::string& members) {
  return R"({"model": {"graph": "yolov5s"}, "data": {"val": {"yolo": "pictures"}})" +
         (members.empty() ? "" : ", " + members) + "}";
}

Config parsed(const std::string& text, std::vector<std::string> overrides = {}) {
  return parse_config(text, "/base", overrides, "cfg.json");
}

Config with_override(const std::string& text) {
  return parsed(with(""), {text});
}

// The keys people set, at their defaults.
const char* const kFullExample = R"({
  "model":   {"weights": "yolov5s.pt"},
  "teacher": {"weights": "yolov5m.pt", "validate": true},
  "distill": {"loss": "l2", "temperature": 20, "gain": 1.0, "box": 0.12, "obj": 1.0, "cls": 0.75},
  "data":    {"train": {"voc": "VOC2007", "split": "trainval"}, "val": {"voc": "VOC2007", "split": "test"}, "names": ["cat", "dog"]},
  "train":   {"epochs": 50, "batch": 8, "nominal_batch": 64, "image_size": 640, "seed": 0, "compat": "v7", "lr0": 0.01, "lrf": 0.01,
              "schedule": "linear", "momentum": 0.937, "weight_decay": 0.0005, "warmup_epochs": 3, "warmup_momentum": 0.8,
              "warmup_bias_lr": 0.1, "clip_norm": 10, "workers": 2},
  "loss":    {"box": 0.05, "cls": 0.5, "obj": 1.0, "anchor_t": 4},
  "augment": {"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4, "degrees": 0, "translate": 0.1, "scale": 0.5, "shear": 0, "flipud": 0, "fliplr": 0.5, "mosaic": 1},
  "val":     {"batch": 16, "conf": 0.001, "iou": 0.6, "max_det": 300, "rect": true, "compat": "v7"},
  "device": "auto", "precision": "auto", "run": {"dir": "runs/train", "name": "exp"}
})";

}  // namespace

TEST_CASE("config: the documented example holds the defaults") {
  const Config full = parsed(kFullExample);
  Config expected;
  expected.model.weights = "/base/yolov5s.pt";
  expected.teacher.emplace().weights = "/base/yolov5m.pt";
  expected.data.train = DataSourceConfig{};
  expected.data.train->voc = "/base/VOC2007";
  expected.data.val = expected.data.train;
  expected.data.train->split = "trainval";
  expected.data.val->split = "test";
  expected.data.names = {"cat", "dog"};
  expected.val.image_size = 640;
  CHECK(full == expected);
}

TEST_CASE("config: model and data are enough") {
  const Config config = parsed(with(""));
  CHECK(config.model.graph == "yolov5s");
  CHECK(config.model.weights.empty());
  CHECK_FALSE(config.teacher.has_value());
  CHECK(config.data.val->kind() == DataSourceConfig::Kind::kYolo);
  CHECK(config.train == TrainConfig{});
}

TEST_CASE("config: comments and a schema link are allowed") {
  const Config config = parsed("// first\n{\"$schema\": \"config.schema.json\", /* two */ " +
                               with("\"train\": {\"epochs\": 3} // three\n").substr(1));
  CHECK(config.train.epochs == 3);
}

TEST_CASE("config: what is written reads back equal") {
  const Config plain = parsed(with(""));
  CHECK(parse_config(to_json(plain), "/elsewhere") == plain);
  const Config full =
      parsed(kFullExample, {"train.compat=v5", "val.image_size=320", "device=cuda:1",
                            "data.val={\"coco\": \"i.json\", \"images\": \"pics\"}",
                            "distill.loss=kl", "run.name=second run"});
  CHECK(parse_config(to_json(full), "/elsewhere") == full);
}

TEST_CASE("config: every key is written and every key can be read") {
  Config config = parsed(kFullExample);
  config.model.graph = "yolov5n";
  const Json json = Json::parse(to_json(config));
  for (const ConfigField& field : config_fields()) {
    if (field.path.starts_with("data.")) continue;  // one kind of source excludes the others
    std::string pointer = "/" + field.path;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    INFO(field.path);
    REQUIRE(json.contains(Json::json_pointer(pointer)));
    Config other = config;
    field.set(other, field.get(config));
    CHECK(other == config);
  }
}

TEST_CASE("config: compat v5 sets the defaults that differ and single keys still win") {
  const Config v5 = parsed(with(R"("train": {"compat": "v5"})"));
  CHECK(v5.train.warmup_min_iterations == 1000);
  CHECK(v5.train.schedule == TrainConfig::Schedule::kCosine);
  CHECK(v5.train.lrf == 0.2);
  CHECK(v5.train.clip_norm == 0);
  CHECK_FALSE(v5.train.shuffle);
  CHECK(v5.train.step_rule == TrainConfig::StepRule::kMultiple);
  CHECK(v5.val.compat == TrainConfig::Compat::kV5);

  const Config v7 = parsed(with(""));
  CHECK(v7.train.warmup_min_iterations == 100);
  CHECK(v7.train.schedule == TrainConfig::Schedule::kLinear);
  CHECK(v7.train.lrf == 0.01);
  CHECK(v7.train.clip_norm == 10);
  CHECK(v7.train.shuffle);
  CHECK(v7.train.step_rule == TrainConfig::StepRule::kSinceLast);
  CHECK(v7.val.compat == TrainConfig::Compat::kV7);

  const Config mixed = parsed(with(R"("train": {"lrf": 0.05, "compat": "v5"})"),
                              {"val.compat=v7", "train.shuffle=true"});
  CHECK(mixed.train.lrf == 0.05);
  CHECK(mixed.train.shuffle);
  CHECK(mixed.train.clip_norm == 0);
  CHECK(mixed.val.compat == TrainConfig::Compat::kV7);
}

TEST_CASE("config: the distillation's gains follow its loss, and the original's come by name") {
  const auto gains = [](const Config& c) {
    return std::vector{c.distill.box, c.distill.obj, c.distill.cls};
  };
  const Config l2 = parsed(with(R"("distill": {"loss": "l2"})"));
  CHECK(gains(l2) == std::vector{0.12, 1.0, 0.75});
  CHECK(l2.distill.objectness == DistillConfig::Objectness::kBce);
  CHECK(gains(with_override("distill.loss=kl")) == std::vector{0.12, 1.0, 4.2});
  CHECK(gains(with_override("distill.loss=bce")) == std::vector{0.12, 1.0, 11.0});
  for (const char* loss : {"l2", "kl", "bce"}) {
    const Config original =
        parsed(with(fmt::format(R"("distill": {{"loss": "{}", "defaults": "original"}})", loss)));
    CHECK(gains(original) == std::vector{0.05, 1.0, 0.5});
    CHECK(original.distill.objectness == DistillConfig::Objectness::kL2);
    CHECK(original.distill.mean == DistillConfig::Mean::kBoxes);
  }
  CHECK(l2.distill.mean == DistillConfig::Mean::kObjects);
  const Config mixed =
      parsed(with(R"("distill": {"cls": 3, "loss": "kl"})"), {"distill.objectness=l2"});
  CHECK(gains(mixed) == std::vector{0.12, 1.0, 3.0});
  CHECK(mixed.distill.objectness == DistillConfig::Objectness::kL2);
  // A run's own config says every key, so that it reads back as it was.
  CHECK(parse_config(to_json(l2), ".").distill == l2.distill);
}

TEST_CASE("config: compat from the command line decides the defaults too") {
  CHECK(with_override("train.compat=v5").train.clip_norm == 0);
  CHECK(parsed(with(R"("train": {"compat": "v5"})"), {"train.compat=v7"}).train.clip_norm == 10);
}

TEST_CASE("config: validation size follows the training size unless set") {
  CHECK(with_override("train.image_size=320").val.image_size == 320);
  CHECK(parsed(with(R"("val": {"image_size": 416})"), {"train.image_size=320"}).val.image_size ==
        416);
}

TEST_CASE("config: overrides are json where they parse and strings else") {
  CHECK(with_override("train.epochs=3").train.epochs == 3);
  CHECK(with_override("train.lr0=1e-3").train.lr0 == 1e-3);
  CHECK(with_override(R"(data.names=["a", "b"])").data.names == std::vector<std::string>{"a", "b"});
  CHECK(with_override("run.name=exp7").run.name == "exp7");
  CHECK(with_override("run.name=7").run.name == "7");
  CHECK(with_override("run.name=\"quoted\"").run.name == "quoted");
  CHECK(with_override("run.name=a=b").run.name == "a=b");
  CHECK(with_override("val.rect=false").val.rect == false);
  CHECK(with_override(R"(train={"epochs": 5, "batch": 2})").train.batch == 2);
  // the later one wins
  CHECK(parsed(with(""), {"train.epochs=3", "train.epochs=4"}).train.epochs == 4);
}

TEST_CASE("config: classes that count as one are read, written back, and refused where wrong") {
  const std::string merge = R"(data.merge={"vehicle": ["car", "bus"], "cat": ["tiger"]})";
  const Config config = with_override(merge);
  CHECK(config.data.merge == ClassMerges{{"vehicle", {"car", "bus"}}, {"cat", {"tiger"}}});
  CHECK(parse_config(to_json(config), "/", {}) == config);
  const auto refused = [](const std::string& value, const std::string& why) {
    CHECK_THROWS_WITH_TEXT(with_override("data.merge=" + value), ConfigError, why);
  };
  const std::string wanted =
      R"(data.merge: expected an object as {"vehicle": ["car", "bus"]}, got )";
  refused("7", wanted + "7");
  refused(R"({"a": "b"})", wanted);
  refused(R"({"a": [1]})", wanted);
  refused(R"({"a": ["x"], "a": ["y"]})", "the key \"a\" is given twice in one object");
  CHECK_THROWS_WITH_TEXT(with_override(R"(data.merge.vehicle=["car"])"), ConfigError,
                         "data.merge.vehicle: unknown key; data.merge takes an object as");
  refused(R"({"a": []})", "data.merge: \"a\" of no classes");
  refused(R"({"a": ["x"], "b": ["x"]})", "data.merge: \"x\" cannot be part of \"a\" and of \"b\"");
}

TEST_CASE("config: an override adds or removes the teacher") {
  CHECK_FALSE(parsed(kFullExample, {"teacher=null"}).teacher.has_value());
  CHECK(with_override("teacher.weights=/t.pt").teacher->weights == "/t.pt");
  CHECK_FALSE(parsed(with(R"("teacher": null)")).teacher.has_value());
  CHECK(parsed(kFullExample, {"teacher.validate=false"}).teacher->weights == "/base/yolov5m.pt");
}

TEST_CASE("config: an override by null takes a key of the file back") {
  const std::string text = R"({"model": {"weights": "/w.pt", "graph": "yolov5n"},
      "teacher": {"weights": "/t.pt", "validate": false}, "data": {"yaml": "/d.yaml"},
      "distill": {"loss": "kl", "cls": 3}, "train": {"seed": 7}})";
  const auto with = [&](std::vector<std::string> overrides) {
    return parse_config(text, "/", overrides);
  };
  CHECK(with({"model.graph=null"}).model.graph.empty());
  CHECK(with({"train.seed=null"}).train.seed == 0);
  CHECK(with({"distill.cls=null"}).distill.cls == 4.2);  // kl's own
  CHECK(with({"distill.cls=null", "distill.loss=null"}).distill.cls == 0.75);
  CHECK(with({"teacher.validate=null"}).teacher->validate);
  CHECK_FALSE(with({"teacher=null", "teacher.validate=null"}).teacher.has_value());
  CHECK(with({"train.seed=null", "train.seed=4"}).train.seed == 4);
  CHECK(with({"run.name=\"null\""}).run.name == "null");
  CHECK_THROWS_WITH_TEXT(with({"teacher.weights=null"}), ConfigError, "teacher.weights: missing");
  CHECK_THROWS_WITH_TEXT(parse_config(R"({"train": {"epochs": null}})", "/"), ConfigError,
                         "train.epochs: expected an integer >= 1, got null");  // leave it out there
  CHECK_THROWS_WITH_TEXT(with({"train.sed=null"}), ConfigError, "did you mean train.seed?");
}

TEST_CASE("config: an override of a whole source forgets the one before") {
  const Config config = parsed(kFullExample, {R"(data.train={"yolo": "/pictures"})"});
  CHECK(config.data.train->kind() == DataSourceConfig::Kind::kYolo);
  CHECK(config.data.train->split.empty());
  CHECK(parsed(kFullExample, {"data.train.split=train"}).data.train->split == "train");
  CHECK_FALSE(parsed(kFullExample, {"data.train=null"}).data.train.has_value());
}

TEST_CASE("config: relative paths start at the file and those of overrides at the working folder") {
  TempDir dir;
  write_file(dir / "configs/cfg.json",
             R"({"model": {"weights": "../w.pt", "graph": "g.json"}, "teacher": {"weights": "t.pt"},
                 "data": {"train": {"coco": "a.json", "images": "/abs/pics"}}})");
  const std::vector<std::string> overrides{"teacher.weights=u.pt"};
  const Config config = load_config(dir / "configs/cfg.json", overrides);
  CHECK(config.model.weights == dir / "w.pt");
  CHECK(config.model.graph == (dir / "configs/g.json").string());
  CHECK(config.data.train->coco == dir / "configs/a.json");
  CHECK(config.data.train->images == "/abs/pics");
  CHECK(config.teacher->weights == std::filesystem::current_path() / "u.pt");
  CHECK(config.run.dir == "runs/train");
  CHECK(with_override("model.graph=yolov5n").model.graph == "yolov5n");
}

TEST_CASE("config: an unknown key is refused with the nearest known one") {
  const auto refused = [](const std::string& members, const std::string& message) {
    CHECK_THROWS_WITH_TEXT(parsed(with(members)), ConfigError, message);
  };
  refused(R"("train": {"epoch": 3})",
          "cfg.json: train.epoch: unknown key; did you mean train.epochs?");
  refused(R"("epochs": 3)", "cfg.json: epochs: unknown key; did you mean train.epochs?");
  refused(R"("trian": {})", "trian: unknown key; did you mean train?");
  refused(R"("val": {"bacth": 3})", "val.bacth: unknown key; did you mean val.batch?");
  refused(R"("train": {"imgsz": 3})", "train.imgsz: unknown key; did you mean train.image_size?");
  refused(R"("a\nb": 1)", "cfg.json: a\\x0ab: unknown key; known here: ");
  refused(R"("train": {"x)" + std::string(200, 'y') + R"(": 1})",
          "cfg.json: train.x" + std::string(113, 'y') + "...: unknown key");
  refused(R"("teecher": {"weights": "x"})", "teecher: unknown key; did you mean teacher?");
  refused(R"("run": {"colour of the sky": 1})",
          "run.colour of the sky: unknown key; known here: dir, name");
  refused(R"("device": {"name": 1})", R"(device: expected "auto", "cpu", "cuda" or "cuda:N", got)");
  CHECK_THROWS_WITH_TEXT(with_override("train.epoch=3"), ConfigError,
                         "command line: train.epoch: unknown key; did you mean train.epochs?");
  CHECK_THROWS_WITH_TEXT(with_override(std::string(100000, 'x') + "=3"), ConfigError,
                         "unknown key; known here: model, teacher");
}

TEST_CASE("config: a value of the wrong type or out of range is refused") {
  const auto refused = [](const std::string& override_text, const std::string& message) {
    CHECK_THROWS_WITH_TEXT(with_override(override_text), ConfigError, "command line: " + message);
  };
  CHECK_THROWS_WITH_TEXT(parsed(with(R"("train": {"epochs": "ten"})")), ConfigError,
                         R"(cfg.json: train.epochs: expected an integer >= 1, got "ten")");
  refused("train.seed=ten", R"(train.seed: expected an integer >= 0, got "ten")");
  refused("train.epochs=0", "train.epochs: expected an integer >= 1, got 0");
  refused("train.epochs=2.5", "train.epochs: expected an integer >= 1, got 2.5");
  refused("train.epochs=[]", "train.epochs: expected an integer >= 1, got []");
  refused("train.epochs=99999999999999999999",
          "train.epochs: expected an integer in 1..9223372036854775807, without point or exponent");
  refused("train.image_size=100",
          "train.image_size: expected an integer in 32..8192, a multiple of 32, got 100");
  refused("train.lr0=0", "train.lr0: expected a number > 0, got 0");
  refused("train.momentum=1", "train.momentum: expected a number >= 0 and < 1, got 1");
  refused("augment.mosaic=1.5", "augment.mosaic: expected a number in 0..1, got 1.5");
  refused("augment.mosaic=true", "augment.mosaic: expected a number in 0..1, got true");
  refused("train.shuffle=1", "train.shuffle: expected true or false, got 1");
  refused("train.schedule=step",
          R"(train.schedule: expected one of "linear", "cosine", got "step")");
  refused("train.optimizer=adam", R"(train.optimizer: expected one of "sgd", "adamw", got "adam")");
  refused("precision=fp16",
          R"(precision: expected one of "auto", "fp32", "tf32", "bf16", "int8", got)");
  refused("device=cuda:x", R"(device: expected "auto", "cpu", "cuda" or "cuda:N", got "cuda:x")");
  refused("run.name=a/b", R"(run.name: expected a folder name without /, got "a/b")");
  refused("run.name=..", "run.name");
  refused("model.weights=", R"(model.weights: expected a path, got "")");
  refused("data.names=a", R"(data.names: expected a list of strings, got "a")");
  refused("data.names=[1]", "data.names: expected a list of strings, got [1]");
  refused("train=3", "train: expected an object, got 3");
  refused("teacher=3", "teacher: expected an object or null, got 3");
  refused("train.epochs=" + std::string(200, 'y'),
          "train.epochs: expected an integer >= 1, got \"" + std::string(59, 'y') + "...");
  refused("train.epochs", "expected key.path=value, got \"train.epochs\"");
  refused("=3", "expected key.path=value");
}

TEST_CASE(
    "config: a whole number that 64 bits do not hold is refused with the range that they do") {
  for (const char* number : {"9223372036854775808", "18446744073709551616", "1e19", "1e300"}) {
    INFO(number);
    CHECK_THROWS_WITH_TEXT(
        with_override(std::string("train.seed=") + number), ConfigError,
        "command line: train.seed: expected an integer in 0..9223372036854775807, without point or "
        "exponent, got ");
  }
}

TEST_CASE("config: whole numbers may be written with a point") {
  CHECK(with_override("train.epochs=3.0").train.epochs == 3);
  CHECK(with_override("train.epochs=1e2").train.epochs == 100);
}

TEST_CASE("config: what a section needs is named") {
  const auto refused = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH_TEXT(parsed(text), ConfigError, "cfg.json: " + message);
  };
  refused("{}", "model: missing; give model.weights, model.graph or both");
  refused(R"({"model": {"graph": "yolov5n"}})",
          "data: missing; give data.train, data.val or both, or data.yaml");
  refused(with(R"("teacher": {})"), "teacher.weights: missing; a teacher needs a checkpoint");
  const auto source = [](const std::string& members) {
    return R"({"model": {"graph": "yolov5n"}, "data": {"train": {)" + members + "}}}";
  };
  refused(source(""), "data.train: expected exactly one of yolo, voc, coco and yaml, got none");
  refused(source(R"("yolo": "a", "coco": "b")"),
          "data.train: expected exactly one of yolo, voc, coco and yaml, got more");
  refused(source(R"("voc": "a")"),
          "data.train.split: missing; voc needs the name of a list in ImageSets/Main");
  refused(source(R"("coco": "a")"),
          "data.train.images: missing; coco needs the folder of the pictures");
  refused(source(R"("yolo": "a", "split": "b")"), "data.train.split: goes with voc and yaml only");
  refused(with(R"("data": {})"), "the key \"data\" is given twice in one object");
  CHECK_THROWS_WITH_TEXT(with_override(R"(data.names=["a", "a"])"), ConfigError,
                         R"(data.names: "a" is there twice)");
  CHECK_THROWS_WITH_TEXT(with_override(R"(data.names=["a", ""])"), ConfigError,
                         "data.names: a class name is empty");
}

TEST_CASE("config: a file of nothing but brackets and a file without an end are refused") {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  CHECK_THROWS_WITH_TEXT(parse_config("{\"model\": " + deep + "}", ".", {}, "cfg.json"),
                         ConfigError, "cfg.json: lists and objects are nested more than 64 deep");
  CHECK_THROWS_WITH_TEXT(with_override("train.freeze=" + deep), ConfigError,
                         "command line: train.freeze: lists and objects are nested more than 64");
  CHECK_THROWS_WITH_TEXT(load_config("/dev/zero", {}), FileError,
                         "/dev/zero: expected a file, found a device");
}

TEST_CASE("config: a command that needs a source says which") {
  CHECK_THROWS_WITH_TEXT(train_source(parsed(with(""))), ConfigError, "data.train: missing");
  CHECK_THROWS_WITH_TEXT(val_source(parsed(kFullExample, {"data.val=null"})), ConfigError,
                         "data.val: missing");
  CHECK(val_source(parsed(with(""))).yolo == "/base/pictures");
}

TEST_CASE("config: data.yaml stands for both sources, and one of its own wins") {
  const Config both = parsed(R"({"model": {"graph": "yolov5n"}, "data": {"yaml": "set/x.yaml"}})");
  CHECK(train_source(both).kind() == DataSourceConfig::Kind::kYaml);
  CHECK(train_source(both).yaml == "/base/set/x.yaml");
  CHECK(train_source(both).split == "train");
  CHECK(val_source(both).split == "val");
  CHECK(parse_config(to_json(both), "/elsewhere") == both);
  const Config own = parsed(
      R"({"model": {"graph": "yolov5n"}, "data": {"yaml": "x.yaml", "val": {"yaml": "y.yaml", "split": "test"}}})");
  CHECK(train_source(own).yaml == "/base/x.yaml");
  CHECK(val_source(own).yaml == "/base/y.yaml");
  CHECK(val_source(own).split == "test");
  CHECK_THROWS_WITH_TEXT(
      parsed(R"({"model": {"graph": "yolov5n"}, "data": {"val": {"yaml": "y.yaml"}}})"),
      ConfigError, "data.val.split: expected train, val or test of the yaml, got nothing");
}

TEST_CASE("config: a syntax error names file line and column") {
  const auto refused = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH_TEXT(parsed(text), ConfigError, message);
  };
  refused("{\n  \"model\": {,}\n}", "cfg.json: line 2, column 13: syntax error");
  refused("{\n  \"train\": {\"epochs\": 3}\n", "cfg.json: line 3, column 1: syntax error");
  refused("", "cfg.json: the text is empty, expected JSON");
  refused("{} x", "cfg.json: line 1, column 4: syntax error");
  refused("[1]", "cfg.json: expected a JSON object, got [1]");
  refused("{\"a\": \"\xff\"}", "cfg.json: line 1, column");
  refused("{\"train\": {\"lr0\": 1e999}}", "cfg.json: ");
  refused(std::string(60, '['), "cfg.json: line 1, column 61");
}

TEST_CASE(
    "config: rectangular batches go neither with image weights nor with unlabelled pictures") {
  CHECK_THROWS_WITH_TEXT(parsed(with(R"("train": {"rect": true, "image_weights": true})")),
                         ConfigError, "train.rect: cannot be used with train.image_weights");
  const auto unlabeled = [](const std::string& labelled) {
    return R"({"model": {"graph": "yolov5s"}, "teacher": {"weights": "t.pt"}, "train": {"rect": true},
               "data": {"val": {"yolo": "v"}, "unlabeled": {"pictures": "u"})" +
           labelled + "}}";
  };
  CHECK_THROWS_WITH_TEXT(parsed(unlabeled(R"(, "train": {"yolo": "t"})")), ConfigError,
                         "train.rect: cannot be used with data.unlabeled");
  CHECK_NOTHROW(parsed(unlabeled("")));  // pictures of one kind
}

TEST_CASE("config: a file that cannot be read is named") {
  TempDir dir;
  CHECK_THROWS_WITH_TEXT(load_config(dir / "none.json"), FileError, "none.json: no such file");
  CHECK_THROWS_WITH_TEXT(load_config(dir.path()), FileError, "expected a file, found a folder");
  write_file(dir / "bad.json", "{]");
  CHECK_THROWS_WITH_TEXT(load_config(dir / "bad.json"), ConfigError, "bad.json: line 1, column 2");
}
