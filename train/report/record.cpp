// SPDX-License-Identifier: MIT
// report.json. Its pictures are data URIs, as the page needs them.
#include <ydistill/train/report/record.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/json_nesting.h>
#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

using json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr const char* kJpegUri = "data:image/jpeg;base64,";

/// Rounds to four digits, which is enough for a plot; a curve has hundreds of numbers.
json rounded(const std::vector<double>& values) {
  json list = json::array();
  for (const double v : values) list.push_back(std::round(v * 1e4) / 1e4);
  return list;
}

json uri_of(const std::string& jpeg) {
  return jpeg.empty() ? json(nullptr) : json(kJpegUri + base64(jpeg));
}
std::string jpeg_of(const json& uri) {
  if (uri.is_null()) return {};
  const std::string text = uri.get<std::string>();
  if (!text.starts_with(kJpegUri)) throw ValueError("a picture is no JPEG data URI");
  return from_base64(text.substr(std::string_view(kJpegUri).size()));
}

/// The JSON library itself would truncate a fraction and turn 1e300 into an arbitrary number.
int64_t whole(const json& value) {
  if (!value.is_number_integer()) {
    throw ValueError("{} is no whole number", printable(value.dump(), 40));
  }
  return value.get<int64_t>();
}
std::vector<int64_t> wholes(const json& list) {
  if (!list.is_array()) throw ValueError("{} is no list", printable(list.dump(), 40));
  std::vector<int64_t> values;
  for (const json& value : list) values.push_back(whole(value));
  return values;
}

json json_of(const std::vector<Fact>& facts) {
  json list = json::array();
  for (const Fact& f : facts) list.push_back({f.name, f.value});
  return list;
}
std::vector<Fact> facts_of(const json& list) {
  std::vector<Fact> facts;
  for (const json& f : list) facts.push_back({f.at(0), f.at(1)});
  return facts;
}

json json_of(const ShownBox& b) {
  const auto r = [](float v) { return std::round(double(v) * 1e4) / 1e4; };
  return {r(b.x1), r(b.y1), r(b.x2), r(b.y2), b.class_id, r(b.score), b.right};
}
std::vector<ShownBox> boxes_of(const json& list) {
  std::vector<ShownBox> boxes;
  for (const json& b : list) {
    boxes.push_back({b.at(0), b.at(1), b.at(2), b.at(3), whole(b.at(4)), b.at(5), b.at(6)});
  }
  return boxes;
}

json json_of(const std::vector<ShownPicture>& pictures) {
  json list = json::array();
  for (const ShownPicture& p : pictures) {
    json labels = json::array(), found = json::array();
    for (const ShownBox& b : p.labels) labels.push_back(json_of(b));
    for (const ShownBox& b : p.found) found.push_back(json_of(b));
    list.push_back({{"name", p.name},
                    {"width", p.width},
                    {"height", p.height},
                    {"f1", p.f1},
                    {"labels", labels},
                    {"found", found},
                    {"jpeg", uri_of(p.jpeg)}});
  }
  return list;
}
std::vector<ShownPicture> pictures_of(const json& list) {
  std::vector<ShownPicture> pictures;
  for (const json& p : list) {
    pictures.push_back({p.at("name"), whole(p.at("width")), whole(p.at("height")),
                        jpeg_of(p.at("jpeg")), p.at("f1"), boxes_of(p.at("labels")),
                        boxes_of(p.at("found"))});
  }
  return pictures;
}

json json_of(const MetricsResult& m) {
  json classes = json::array();
  for (const ClassMetrics& c : m.per_class) {
    classes.push_back({{"class", c.class_id},
                       {"name", c.name},
                       {"images", c.images},
                       {"instances", c.instances},
                       {"detections", c.detections},
                       {"precision", c.precision},
                       {"recall", c.recall},
                       {"f1", c.f1},
                       {"map50", c.map50},
                       {"map", c.map},
                       {"precision_by_score", rounded(c.precision_by_score)},
                       {"recall_by_score", rounded(c.recall_by_score)},
                       {"precision_by_recall", rounded(c.precision_by_recall)}});
  }
  return {{"images", m.images},         {"instances", m.instances}, {"precision", m.precision},
          {"recall", m.recall},         {"map50", m.map50},         {"map", m.map},
          {"best_score", m.best_score}, {"per_class", classes}};
}
MetricsResult metrics_of(const json& j) {
  MetricsResult m;
  m.images = whole(j.at("images"));
  m.instances = whole(j.at("instances"));
  m.precision = j.at("precision");
  m.recall = j.at("recall");
  m.map50 = j.at("map50");
  m.map = j.at("map");
  m.best_score = j.at("best_score");
  for (const json& k : j.at("per_class")) {
    ClassMetrics c;
    c.class_id = whole(k.at("class"));
    c.name = k.at("name");
    c.images = whole(k.at("images"));
    c.instances = whole(k.at("instances"));
    c.detections = whole(k.at("detections"));
    c.precision = k.at("precision");
    c.recall = k.at("recall");
    c.f1 = k.at("f1");
    c.map50 = k.at("map50");
    c.map = k.at("map");
    c.precision_by_score = k.at("precision_by_score").get<std::vector<double>>();
    c.recall_by_score = k.at("recall_by_score").get<std::vector<double>>();
    c.precision_by_recall = k.at("precision_by_recall").get<std::vector<double>>();
    m.per_class.push_back(std::move(c));
  }
  return m;
}

json json_of(const std::optional<ValidationRecord>& v) {
  if (!v) return nullptr;
  return {{"epoch", v->epoch},
          {"metrics", json_of(v->metrics)},
          {"confusion", v->confusion},
          {"worst", json_of(v->worst)},
          {"best", json_of(v->best)}};
}
std::optional<ValidationRecord> validation_of(const json& j) {
  if (j.is_null()) return std::nullopt;
  return ValidationRecord{whole(j.at("epoch")), metrics_of(j.at("metrics")),
                          wholes(j.at("confusion")), pictures_of(j.at("worst")),
                          pictures_of(j.at("best"))};
}

json json_of(const DataRecord& d) {
  json boxes = json::array();
  for (const auto& b : d.boxes) boxes.push_back(rounded({b[0], b[1], b[2], b[3]}));
  return {{"summary", d.summary},
          {"class_counts", d.class_counts},
          {"findings", d.findings},
          {"num_findings", d.num_findings},
          {"boxes", boxes}};
}
DataRecord data_of(const json& j) {
  DataRecord d;
  d.summary = j.at("summary");
  d.class_counts = wholes(j.at("class_counts"));
  d.findings = j.at("findings").get<std::vector<std::string>>();
  d.num_findings = whole(j.at("num_findings"));
  d.boxes = j.at("boxes").get<std::vector<std::array<float, 4>>>();
  return d;
}

/// Checks the shapes and ranges that plots and pages rely on. throws ValueError.
void check_curves(const std::optional<ValidationRecord>& v, size_t num_classes) {
  if (!v) return;
  for (const ClassMetrics& c : v->metrics.per_class) {
    const size_t points = c.precision_by_score.size();
    if (c.recall_by_score.size() != points || c.precision_by_recall.size() != points) {
      throw ValueError("the curves of class {} have {}, {} and {} points, as many each wanted",
                       c.class_id, points, c.recall_by_score.size(), c.precision_by_recall.size());
    }
  }
  const size_t cells = (num_classes + 1) * (num_classes + 1);
  if (v->confusion.size() != cells) {
    throw ValueError("the confusion matrix has {} numbers, {} wanted for {} classes",
                     v->confusion.size(), cells, num_classes);
  }
}
void check_boxes(const DataRecord& d) {
  for (const auto& box : d.boxes) {
    for (const float v : box) {
      if (!(v >= 0 && v <= 1)) throw ValueError("a box holds {}, fractions from 0 to 1 wanted", v);
    }
  }
}
void check_results(const EpochTable& t) {
  if (t.rows.size() != t.epochs.size()) {
    throw ValueError("the results have {} epochs and {} rows", t.epochs.size(), t.rows.size());
  }
  for (size_t i = 0; i < t.rows.size(); ++i) {
    if (t.rows[i].size() != t.columns.size()) {
      throw ValueError("the results of epoch {} have {} numbers for {} columns", t.epochs[i],
                       t.rows[i].size(), t.columns.size());
    }
    if (t.epochs[i] < 0 || t.epochs[i] > kMaxEpoch) {
      throw ValueError("the results have an epoch {}, 0 to {} wanted", t.epochs[i], kMaxEpoch);
    }
  }
}

}  // namespace

std::string to_json(const RunRecord& r) {
  json speed = json::array();
  for (const EpochSpeed& s : r.speed) {
    speed.push_back({{"epoch", s.epoch},
                     {"ended", s.ended},
                     {"train_seconds", s.train_seconds},
                     {"validation_seconds", s.validation_seconds},
                     {"images_per_second", s.images_per_second},
                     {"waiting_share", s.waiting_share}});
  }
  json maps = json::array();
  for (const ObjectnessMap& m : r.maps) {
    maps.push_back({{"name", m.name},
                    {"picture", uri_of(m.picture)},
                    {"teacher", uri_of(m.teacher)},
                    {"student", uri_of(m.student)}});
  }
  json teacher = nullptr;
  if (r.teacher) {
    teacher = {{"name", r.teacher->name},
               {"weights", r.teacher->weights},
               {"validation", json_of(r.teacher->validation)}};
  }
  const json config = json::parse(r.config, nullptr, false);
  const json document{
      {"format", kFormat},
      {"name", r.name},
      {"started", r.started},
      {"finished", r.finished},
      {"epochs_planned", r.epochs_planned},
      {"classes", r.classes},
      {"model", json_of(r.model)},
      {"machine", json_of(r.machine)},
      {"results",
       {{"columns", r.results.columns}, {"epochs", r.results.epochs}, {"rows", r.results.rows}}},
      {"speed", speed},
      {"train", json_of(r.train)},
      {"val", json_of(r.val)},
      {"teacher", teacher},
      {"last", json_of(r.last)},
      // Storing the same pictures twice would double the file.
      {"best", r.best && r.last && r.best->epoch == r.last->epoch ? json("last") : json_of(r.best)},
      {"maps", maps},
      {"config", config.is_discarded() ? json(nullptr) : config}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

RunRecord parse_record(const std::string& text, const std::string& source) {
  try {
    if (json_nests_beyond(text)) {
      throw FileError("{}: not the report of a run, it is nested more than {} deep", source,
                      kMaxJsonNesting);
    }
    const json j = json::parse(text);
    if (j.at("format") != kFormat) {
      throw FileError("{}: a report of format {}, this release reads {}", source,
                      printable(j.at("format").dump(), 40), kFormat);
    }
    RunRecord r;
    r.name = j.at("name");
    r.started = j.at("started");
    r.finished = j.at("finished");
    r.epochs_planned = whole(j.at("epochs_planned"));
    r.classes = j.at("classes").get<std::vector<std::string>>();
    r.model = facts_of(j.at("model"));
    r.machine = facts_of(j.at("machine"));
    const json& results = j.at("results");
    r.results.columns = results.at("columns").get<std::vector<std::string>>();
    r.results.epochs = wholes(results.at("epochs"));
    for (const json& row : results.at("rows")) {
      r.results.rows.emplace_back();
      for (const json& value : row) {  // JSON has no NaN; it is stored as null
        r.results.rows.back().push_back(value.is_null() ? std::nan("") : value.get<double>());
      }
    }
    for (const json& s : j.at("speed")) {
      r.speed.push_back({whole(s.at("epoch")), s.at("ended"), s.at("train_seconds"),
                         s.at("validation_seconds"), s.at("images_per_second"),
                         s.at("waiting_share")});
    }
    r.train = data_of(j.at("train"));
    r.val = data_of(j.at("val"));
    if (const json& t = j.at("teacher"); !t.is_null()) {
      r.teacher = TeacherRecord{t.at("name"), t.at("weights"), validation_of(t.at("validation"))};
    }
    r.last = validation_of(j.at("last"));
    r.best = j.at("best") == "last" ? r.last : validation_of(j.at("best"));
    for (const json& m : j.at("maps")) {
      r.maps.push_back({m.at("name"), jpeg_of(m.at("picture")), jpeg_of(m.at("teacher")),
                        jpeg_of(m.at("student"))});
    }
    r.config = j.at("config").is_null() ? "" : j.at("config").dump(2);
    check_results(r.results);
    check_boxes(r.train);
    check_boxes(r.val);
    check_curves(r.last, r.classes.size());
    check_curves(r.best, r.classes.size());
    if (r.teacher) check_curves(r.teacher->validation, r.classes.size());
    return r;
  } catch (const json::exception& error) {
    throw FileError("{}: not the report of a run: {}", source, json_problem(error, text));
  } catch (const ValueError& error) {
    throw FileError("{}: not the report of a run: {}", source, error.what());
  }
}

}  // namespace ydistill
