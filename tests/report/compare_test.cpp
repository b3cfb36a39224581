// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/train/report/compare.h>

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

/// Four numbers with a hand-computed deviation: mean 5, squares 9 + 1 + 1 + 9 = 20, 20 / 3.
TEST_CASE("compare: mean and sample standard deviation of a hand-computed case") {
  const std::vector<double> values{2, 4, 6, 8};
  const Spread s = spread_of(values);
  CHECK(s.n == 4);
  CHECK(s.mean == Approx(5));
  CHECK(s.deviation == Approx(2.581988897));
  CHECK(spread_of(std::vector<double>{3}).deviation == 0);
  CHECK(spread_of({}).n == 0);
}

struct Runs {
  test::TempDir dir;
  void add(const std::string& name, const std::string& loss, int seed, const std::string& rows,
           int epochs = 2) {
    test::write_file(dir / (name + "/config.json"),
                     fmt::format(R"({{"distill": {{"loss": "{}"}}, "run": {{"name": "{}"}},
                                      "train": {{"epochs": {}, "seed": {}}}, "teacher": {}}})",
                                 loss, name, epochs, seed,
                                 loss == "none" ? "null" : R"({"weights": "/a/b/t.pt"})"));
    if (rows.empty()) return;
    test::write_file(
        dir / (name + "/results.csv"),
        "epoch,metrics/precision,metrics/recall,metrics/mAP_0.5,metrics/mAP_0.5:0.95\n" + rows);
  }
  Comparison compare(const std::vector<std::string>& names) const {
    std::vector<ComparedRun> runs;
    for (const auto& name : names) runs.push_back(read_compared_run(dir / name));
    return compare_runs(std::move(runs));
  }
};

TEST_CASE("compare: a run without a teacher is told by that, not by settings without effect") {
  Runs runs;
  for (const char* loss : {"none", "l2", "kl"}) runs.add(loss, loss, 0, "0,0.1,0.2,0.3,0.10\n", 1);
  const Comparison c = runs.compare({"none", "l2"});
  REQUIRE(c.groups.size() == 2);
  CHECK(c.groups[0].differs == std::vector<std::string>{"teacher=none"});
  CHECK(c.groups[1].differs ==
        std::vector<std::string>{"distill.loss=l2", "teacher.weights=b/t.pt"});
  CHECK(runs.compare({"l2", "kl"}).groups[1].differs ==
        std::vector<std::string>{"distill.loss=kl"});
}

TEST_CASE("compare: runs that differ in the seed alone are one group at their best epochs") {
  Runs runs;
  runs.add("a0", "l2", 0, "0,0.1,0.2,0.3,0.10\n1,0.1,0.2,0.5,0.20\n");
  runs.add("kl", "kl", 0, "0,0.1,0.2,0.3,0.5\n1,0.1,0.2,0.3,0.4\n");
  runs.add("a1", "l2", 1, "0,0.1,0.2,0.7,0.40\n1,0.1,0.2,0.3,0.10\n");
  const Comparison c = runs.compare({"a0", "kl", "a1"});
  REQUIRE(c.groups.size() == 2);
  CHECK(c.groups[0].runs == std::vector<size_t>{0, 2});
  CHECK(c.groups[0].differs == std::vector<std::string>{"distill.loss=l2"});
  CHECK(c.groups[1].differs == std::vector<std::string>{"distill.loss=kl"});
  const Spread* map = c.groups[0].find("metrics/mAP_0.5:0.95");
  REQUIRE(map != nullptr);
  CHECK(map->n == 2);
  CHECK(map->mean == Approx(0.3));
  CHECK(map->deviation == Approx(0.2 / std::sqrt(2.0)));
  CHECK(c.groups[1].find("metrics/mAP_0.5:0.95")->mean == Approx(0.5));
  CHECK(c.runs[1].finished);
  const auto j = nlohmann::json::parse(to_json(c));
  CHECK(j["groups"][0]["at_best"]["metrics/mAP_0.5"]["mean"].get<double>() == Approx(0.6));
  CHECK(j["groups"][1]["at_best"]["metrics/mAP_0.5"]["deviation"].is_null());
  CHECK(j["runs"][2]["best_epoch"] == 0);
  const std::string text = as_text(c);
  CHECK(text.find("0.3000 +- 0.1414") != std::string::npos);
  CHECK(text.find("n=2") != std::string::npos);
}

TEST_CASE("compare: a run that has just begun stands in the table without numbers") {
  Runs runs;
  runs.add("done", "l2", 0, "0,0.1,0.2,0.3,0.1\n1,0.1,0.2,0.5,0.2\n");
  runs.add("begun", "l2", 1, "");
  runs.add("half", "l2", 2, "0,0.1,0.2,0.3,0.1\n");
  const Comparison c = runs.compare({"begun", "done", "half"});
  REQUIRE(c.groups.size() == 1);
  CHECK(c.groups[0].differs.empty());
  CHECK_FALSE(c.runs[0].best);
  CHECK_FALSE(c.runs[2].finished);
  const std::string text = as_text(c);
  CHECK(text.find("0/2*") != std::string::npos);
  CHECK(text.find("1/2*") != std::string::npos);
  CHECK(text.find("not finished") != std::string::npos);
  const auto j = nlohmann::json::parse(to_json(c));
  CHECK(j["runs"][0]["at_best"].is_null());
}

TEST_CASE("compare: a group has its mean though its first run has no results yet") {
  Runs runs;
  runs.add("begun", "l2", 0, "");
  runs.add("a", "l2", 1, "0,0.1,0.2,0.3,0.1\n");
  runs.add("b", "l2", 2, "0,0.3,0.2,0.3,0.3\n");
  const Comparison c = runs.compare({"begun", "a", "b"});
  REQUIRE(c.groups.size() == 1);
  const Spread* map = c.groups[0].find("metrics/mAP_0.5:0.95");
  REQUIRE(map != nullptr);
  CHECK(map->n == 2);
  CHECK(map->mean == Approx(0.2));
  CHECK(as_text(c).find("0.2000 +- 0.1414") != std::string::npos);
}

TEST_CASE("compare: a run given twice counts once and broken ones are noted beside the rest") {
  Runs runs;
  runs.add("a", "l2", 0, "0,0.1,0.2,0.3,0.1\n");
  runs.add("broken", "l2", 1, "0,0.1\n");
  runs.add("unreported", "l2", 2, "0,0.1,0.2,0.3,0.3\n");
  test::write_file(runs.dir / "unreported/report.json", "{\"format\": ");
  const std::vector<std::filesystem::path> folders{
      runs.dir / "a", runs.dir / "broken", runs.dir / "broken/../a/", runs.dir / "unreported"};
  const Comparison c = compare_folders(folders);
  REQUIRE(c.runs.size() == 2);
  CHECK(c.groups.at(0).find("metrics/mAP_0.5:0.95")->mean == Approx(0.2));
  REQUIRE(c.notes.size() == 3);
  CHECK(c.notes[0].find("broken/results.csv:2: 2 columns") != std::string::npos);
  CHECK(c.notes[0].find("is left out") != std::string::npos);
  CHECK(c.notes[1].find("is given twice and counts once") != std::string::npos);
  CHECK(c.notes[2].find("unreported/report.json: ") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(c)).at("notes").size() == 3);
  CHECK_THROWS_WITH_TEXT(compare_folders(std::span(folders).subspan(1, 1)), FileError,
                         "none of the 1 runs can be read, the first: ");
  const std::vector<std::filesystem::path> mistyped{runs.dir / "a", runs.dir / "b"};
  CHECK_THROWS_WITH_TEXT(compare_folders(mistyped), FileError, "b: no such folder");
}

TEST_CASE("compare: a folder that is no run is refused with what lacks") {
  const test::TempDir dir;
  CHECK_THROWS_WITH_TEXT(read_compared_run(dir / "none"), FileError, "none: no such folder");
  CHECK_THROWS_WITH_TEXT(read_compared_run(dir.path()), FileError,
                         "not the folder of a run, there is no config.json in it");
  test::write_file(dir / "config.json", "{}");
  CHECK_THROWS_WITH_TEXT(read_compared_run(dir.path()), FileError, "no train.epochs in it");
  test::write_file(dir / "config.json", "[");
  CHECK_THROWS_WITH_TEXT(read_compared_run(dir.path()), FileError,
                         "config.json: line 1, column 2: syntax error");
  test::write_file(dir / "config.json", "{\"a\": " + std::string(100000, '['));
  CHECK_THROWS_WITH_TEXT(read_compared_run(dir.path()), FileError, "config.json: is no JSON");
  test::write_file(dir / "config.json",
                   "{\"train\": {\"epochs\": 3}, \"a\": " + std::string(100000, '[') +
                       std::string(100000, ']') + "}");
  CHECK_THROWS_WITH_TEXT(read_compared_run(dir.path()), FileError, "config.json: is no JSON");
}

}  // namespace
}  // namespace ydistill
