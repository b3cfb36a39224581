// SPDX-License-Identifier: MIT
#include <ydistill/train/evolve.h>

#include <ydistill/tensor/error.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_run.h"

namespace ydistill {
namespace {

using Quiet = test::QuietEvents;

using Setup = test::TinyRun;

TEST_CASE("evolve: a search that was stopped and goes on equals one in one go") {
  const Setup setup;
  Quiet events, halted(7), rest;  // in the third generation, of three batches each
  const EvolveOutcome whole =
      evolve(setup.config({"train.epochs=1"}), setup.dir / "whole", 4, events);
  REQUIRE(whole.finished);
  REQUIRE(whole.generations.size() == 4);
  CHECK_FALSE(evolve(setup.config({"train.epochs=1"}), setup.dir / "parts", 4, halted).finished);
  CHECK(evolve(setup.config({"train.epochs=1"}), setup.dir / "parts", 4, rest).finished);
  CHECK(rest.log.find("evolve: continues after 2 generations") != std::string::npos);
  for (const char* file : {"evolve.csv", "best.json"}) {
    CHECK(test::read_file(setup.dir / "whole" / file) ==
          test::read_file(setup.dir / "parts" / file));
  }
  CHECK(std::filesystem::exists(setup.dir / "whole/gen003/weights/best.safetensors"));
  CHECK_NOTHROW(load_config(setup.dir / "whole/best.json"));
}

TEST_CASE(
    "evolve: the first generation is the config itself, later ones change within the limits") {
  const Setup setup;
  const Config config = setup.config();
  const std::vector<EvolvedKey> keys = evolved_keys(config);
  std::vector<Generation> done{{0.1, 0, 0, next_values(config, {}, 0)}};
  CHECK(done[0].values[0] == 0.01);
  CHECK(std::string(keys[0].path) == "train.lr0");
  for (int i = 1; i < 40; ++i) {
    Generation next{0.1 + 0.01 * i, 0, 0, next_values(config, done, 7)};
    CHECK(next.values != done.back().values);
    for (size_t k = 0; k < keys.size(); ++k) {
      if (done[0].values[k] == 0) CHECK(next.values[k] == 0);
      if (next.values[k] == done[0].values[k]) continue;
      CHECK(next.values[k] >= keys[k].low);
      CHECK(next.values[k] <= keys[k].high);
    }
    done.push_back(std::move(next));
  }
  CHECK(next_values(config, done, 7) == next_values(config, done, 7));
  CHECK(next_values(config, done, 7) != next_values(config, done, 8));
}

TEST_CASE("evolve: the parent is one of the five fittest") {
  const Setup setup;
  const Config config = setup.config();
  std::vector<Generation> done;
  for (int i = 0; i < 12; ++i) {
    Generation generation{i < 7 ? 0.0 : 0.5, 0, 0, next_values(config, {}, 0)};
    generation.values[0] = i < 7 ? 0.01 : 0.0001;  // lr0 of the unfit is a hundred times as large
    done.push_back(generation);
  }
  for (uint64_t seed = 0; seed < 50; ++seed) CHECK(next_values(config, done, seed)[0] < 0.001);
}

TEST_CASE("evolve: distillation is searched where there is a teacher") {
  const Setup setup;
  CHECK(evolved_keys(setup.config({"teacher={\"weights\":\"t.pt\"}"})).size() ==
        evolved_keys(setup.config()).size() + 5);
}

TEST_CASE("evolve: a folder in the way that is not of this search is left alone and named") {
  const Setup setup;
  Quiet events;
  test::write_file(setup.dir / "search/gen000/thesis.txt", "precious");
  CHECK_THROWS_WITH_TEXT(evolve(setup.config({"train.epochs=1"}), setup.dir / "search", 1, events),
                         ConfigError, "gen000 is not of this search");
  CHECK(test::read_file(setup.dir / "search/gen000/thesis.txt") == "precious");
  // The run of a search with other numbers is not taken for one of this search.
  evolve(setup.config({"train.epochs=1"}), setup.dir / "other", 1, events);
  std::filesystem::remove(setup.dir / "other/config.json");
  std::filesystem::remove(setup.dir / "other/evolve.csv");
  CHECK_THROWS_WITH_TEXT(
      evolve(setup.config({"train.epochs=1", "train.lr0=0.05"}), setup.dir / "other", 1, events),
      ConfigError, "gen000 is not of this search");
}

TEST_CASE("evolve: what a config with a mistake left in the folder is in the way of no other") {
  const Setup setup;
  Quiet events;
  const auto search = setup.dir / "search";
  CHECK_THROWS_AS(evolve(setup.config({"model.graph=none.json"}), search, 1, events), Error);
  REQUIRE(std::filesystem::exists(search / "config.json"));
  CHECK(evolve(setup.config({"train.epochs=1"}), search, 1, events).finished);
  CHECK_NOTHROW(evolve(setup.config({"train.epochs=1"}), search, 1, events));
}

TEST_CASE("evolve: a damaged list of generations is refused with the line and the word") {
  const Setup setup;
  const Config config = setup.config({"train.epochs=1"});
  Quiet events;
  evolve(config, setup.dir / "search", 1, events);
  const std::filesystem::path file = setup.dir / "search/evolve.csv";
  const std::string good = test::read_file(file);
  const auto refused = [&](const std::string& row, const std::string& text) {
    INFO(row);
    test::write_file(file, good.substr(0, good.find('\n') + 1) + row + "\n");
    CHECK_THROWS_WITH_TEXT(evolve(config, setup.dir / "search", 1, events), FileError,
                           "evolve.csv:2: " + text);
  };
  const std::string row = good.substr(good.find('\n') + 1, good.rfind('\n') - good.find('\n') - 1);
  refused("0,nan" + row.substr(row.find(',', 2)), "\"nan\" is no number");
  refused(row + "x", "\"0x\" is no number");
  refused(row + ",", "\"\" is no number");
  refused("0,0.5", "2 numbers, 28 wanted");
  test::write_file(file, good);
  CHECK(evolve(config, setup.dir / "search", 1, events).finished);
}

TEST_CASE("evolve: a folder with the search of another config is refused") {
  const Setup setup;
  Quiet events;
  evolve(setup.config({"train.epochs=1"}), setup.dir / "search", 1, events);
  CHECK_THROWS_WITH_TEXT(evolve(setup.config({"train.epochs=2"}), setup.dir / "search", 2, events),
                         ConfigError, "holds the search of another config; name another folder");
}

}  // namespace
}  // namespace ydistill
