// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/train/report/panels.h>
#include <ydistill/train/report/record.h>

#include <cmath>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("record: base64 of the vectors in RFC 4648") {
  const std::pair<const char*, const char*> kVectors[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : kVectors) {
    CHECK(base64(bytes) == text);
    CHECK(from_base64(text) == bytes);
  }
  CHECK(base64("\xff\xfe\xfd") == "//79");
  for (const char* bad : {"Zg=", "Z===", "Zg=a", "Z!==", "=g=="}) {
    INFO(bad);
    CHECK_THROWS_AS(from_base64(bad), ValueError);
  }
}

TEST_CASE("results: what a run wrote is read back by name") {
  const EpochTable t = parse_results(
      "epoch,train/box_loss,metrics/mAP_0.5,metrics/mAP_0.5:0.95\n0,0.5,0.2,0.1\n1,0.4,0.4,0.3\n"
      "2,nan,0.5,0.2\n",
      "results.csv");
  CHECK(t.epochs == std::vector<int64_t>{0, 1, 2});
  CHECK(t.values("metrics/mAP_0.5") == std::vector<double>{0.2, 0.4, 0.5});
  CHECK(std::isnan(t.values("train/box_loss")[2]));
  CHECK(t.values("none").empty());
  CHECK(t.best_row() == 1u);  // 0.31 against 0.11 and 0.23
}

TEST_CASE("results: padded columns as YOLOv5 writes them are read and others refused by line") {
  CHECK(parse_results("     epoch,   train/box_loss\r\n     0,    0.5\r\n", "r").rows[0][0] == 0.5);
  CHECK_THROWS_WITH_TEXT(parse_results("", "r.csv"), FileError, "r.csv: not the results of a run");
  CHECK_THROWS_WITH_TEXT(parse_results("a,b\n", "r.csv"), FileError, "r.csv:1: ");
  CHECK_THROWS_WITH_TEXT(parse_results("epoch,a\n0,1\n1\n", "r.csv"), FileError,
                         "r.csv:3: 1 columns, the first line has 2");
  CHECK_THROWS_WITH_TEXT(parse_results("epoch,a\n0,x\n", "r.csv"), FileError,
                         "r.csv:2: \"x\" is no number");
  CHECK_THROWS_WITH_TEXT(parse_results("epoch,a\n0,\x1b" + std::string(99, 'x') + "\n", "r.csv"),
                         FileError,
                         "r.csv:2: \"\\x1b" + std::string(36, 'x') + "...\" is no number");
  CHECK_THROWS_WITH_TEXT(parse_results("epoch,\xe4\n0,1\n", "r.csv"), FileError,
                         "r.csv:1: not the results of a run, a column's name is no UTF-8");
  for (const char* epoch : {"-1", "nan", "1e300"}) {
    CHECK_THROWS_WITH_TEXT(parse_results(fmt::format("epoch,a\n{},1\n", epoch), "r.csv"), FileError,
                           fmt::format("r.csv:2: epoch \"{}\", 0 to 1000000000 wanted", epoch));
  }
}

TEST_CASE("panels: columns of one name share a plot and columns of zeros have none") {
  const EpochTable t = parse_results(
      "epoch,train/box_loss,train/distill_loss,metrics/mAP_0.5:0.95,val/box_loss,x/lr0,x/lr1\n"
      "0,1,0,0.5,2,0.1,0.2\n",
      "r");
  const std::vector<Panel> panels = panels_of(std::span(&t, 1));
  REQUIRE(panels.size() == 3);
  CHECK(panels[0].title == "box loss");
  REQUIRE(panels[0].lines.size() == 2);
  CHECK(panels[0].lines[1].name == "val");
  CHECK(panels[0].lines[1].column == "val/box_loss");
  CHECK(panels[1].title == "mAP50-95");
  CHECK(panels[1].lines[0].name.empty());
  CHECK(panels[2].title == "learning rate");
  CHECK(panels[2].lines[1].name == "lr1");
}

RunRecord some_record() {
  RunRecord r;
  r.name = "exp <\"1\"> \xC3\xA4";
  r.started = 1000.5;
  r.epochs_planned = 3;
  r.classes = {"wide", "high"};
  r.model = {{"student", "custom"}};
  r.results = {{"train/box_loss"}, {0, 1}, {{0.5}, {std::nan("")}}};
  r.speed = {{0, 1001, 2, 1, 40, 0.25}};
  r.train.summary = "12 pictures";
  r.train.class_counts = {5, 7};
  r.train.boxes = {{0.5f, 0.5f, 0.25f, 0.125f}};
  r.train.findings = {"a.txt:1: wrong"};
  r.train.num_findings = 40;
  ValidationRecord v;
  v.epoch = 1;
  v.metrics.map = 0.5;
  ClassMetrics c;
  c.name = "wide";
  c.precision_by_score = c.recall_by_score = c.precision_by_recall = {0.25, 0.5};
  v.metrics.per_class = {c};
  v.confusion = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  v.worst = {{"a.jpg", 64, 32, "jpeg bytes", 0.5, {{0, 0, 1, 1, 1, 0, true}}, {}}};
  r.best = r.last = v;
  r.teacher = TeacherRecord{"yolov5n", "best.safetensors", std::nullopt};
  r.maps = {{"a.jpg", "picture", "", "student"}};
  r.config = R"({"a": 1})";
  return r;
}

TEST_CASE("record: what is written is read back") {
  const RunRecord r = some_record();
  const std::string text = to_json(r);
  const RunRecord back = parse_record(text, "report.json");
  CHECK(to_json(back) == text);
  CHECK(back.name == r.name);
  CHECK(std::isnan(back.results.rows[1][0]));
  CHECK(back.best->worst[0].jpeg == "jpeg bytes");
  CHECK(back.best->worst[0].labels[0].right);
  CHECK(back.maps[0].student == "student");
  CHECK_FALSE(back.teacher->validation);
}

TEST_CASE("record: another file is refused with its name") {
  CHECK_THROWS_WITH_TEXT(parse_record("{", "report.json"), FileError,
                         "report.json: not the report of a run");
  CHECK_THROWS_WITH_TEXT(parse_record("{\"format\": 99}", "report.json"), FileError,
                         "report.json: a report of format 99");
  CHECK_THROWS_WITH_TEXT(parse_record("{\"format\": 1, \"name\": 3}", "report.json"), FileError,
                         "report.json: not the report of a run");
}

TEST_CASE("record: lists that do not fit together are refused and said which") {
  const auto refused = [](RunRecord r, const std::string& text) {
    CHECK_THROWS_WITH_TEXT(parse_record(to_json(r), "report.json"), FileError,
                           "report.json: not the report of a run: " + text);
  };
  RunRecord r = some_record();
  r.results.rows[1].clear();
  refused(r, "the results of epoch 1 have 0 numbers for 1 columns");
  r = some_record();
  r.results.epochs.push_back(2);
  refused(r, "the results have 3 epochs and 2 rows");
  r = some_record();
  r.results.epochs[0] = -1;
  refused(r, "the results have an epoch -1, 0 to 1000000000 wanted");
  r = some_record();
  r.last->metrics.per_class[0].recall_by_score.pop_back();
  refused(r, "the curves of class 0 have 2, 1 and 2 points");
  r = some_record();
  r.teacher->validation = r.last;
  r.teacher->validation->confusion.pop_back();
  refused(r, "the confusion matrix has 8 numbers, 9 wanted for 2 classes");
  r = some_record();
  r.train.boxes[0][2] = 1e30f;
  refused(r, "a box holds 1e+30, fractions from 0 to 1 wanted");
}

TEST_CASE("record: where things are counted only whole numbers are taken") {
  const std::string good = to_json(some_record());
  const auto refused = [&](const std::string& key, const std::string& value,
                           const std::string& text) {
    INFO(key);
    const size_t at = good.find(key);
    REQUIRE(at != std::string::npos);
    const size_t begin = at + key.size(), end = good.find_first_of(",]}", begin);
    CHECK_THROWS_WITH_TEXT(
        parse_record(good.substr(0, begin) + value + good.substr(end), "report.json"), FileError,
        "report.json: not the report of a run: " + text);
  };
  refused("\"epochs_planned\":", "1e300", "1e+300 is no whole number");
  refused("\"epochs\":[", "0.5", "0.5 is no whole number");
  refused("\"confusion\":[", "-1e300", "-1e+300 is no whole number");
  refused("\"num_findings\":", "null", "null is no whole number");
  refused("\"class_counts\":", "{\"a\":1}, \"x\":[1", "{\"a\":1} is no list");
}

TEST_CASE("record: thinned curves keep their ends") {
  MetricsResult m;
  m.per_class.resize(1);
  for (int i = 0; i < 1000; ++i) m.per_class[0].recall_by_score.push_back(i);
  const MetricsResult thin = with_fewer_points(m, 201);
  REQUIRE(thin.per_class[0].recall_by_score.size() == 201);
  CHECK(thin.per_class[0].recall_by_score.front() == 0);
  CHECK(thin.per_class[0].recall_by_score[100] == Approx(499.5).margin(0.6));
  CHECK(thin.per_class[0].recall_by_score.back() == 999);
}

}  // namespace
}  // namespace ydistill
