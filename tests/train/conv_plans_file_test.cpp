// SPDX-License-Identifier: MIT
#include <ydistill/train/conv_plans_file.h>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

struct Setup {
  test::TempDir dir;
  std::filesystem::path file = dir / "plans.json";
  std::string said;

  std::vector<SavedConvPlan> read() {
    return read_conv_plans(file, [this](const std::string& line) { said += line + "\n"; });
  }
};

std::vector<SavedConvPlan> two_plans() {
  return {{"a GPU", "1x1, forward", "a library 1.2", "{\"engine\": 3}\n", true},
          {"a GPU", "3x3, forward", "another 1", "00ff", false}};
}

TEST_CASE("conv plans file: what is written is read") {
  Setup setup;
  CHECK(setup.read().empty());  // no file yet
  write_conv_plans(setup.file, two_plans());
  CHECK(setup.read() == two_plans());
  write_conv_plans(setup.file, {});
  CHECK(setup.read().empty());
  CHECK(setup.said.empty());
}

TEST_CASE("conv plans file: a damaged one is said and counts as none") {
  Setup setup;
  write_conv_plans(setup.file, two_plans());
  const std::string whole = test::read_file(setup.file);
  std::string wrong_type = whole;
  wrong_type.replace(wrong_type.find("true"), 4, "\"no\"");
  for (const std::string& text :
       {whole.substr(0, whole.size() / 2), wrong_type, std::string("5"), std::string("[5]"),
        std::string("[{}]"), std::string(), std::string(100'000, '[')}) {
    INFO(text.substr(0, 40));
    setup.said.clear();
    test::write_file(setup.file, text);
    CHECK(setup.read().empty());
    CHECK(setup.said ==
          "convolutions: " + setup.file.string() + " is damaged; plans are chosen anew\n");
  }
}

TEST_CASE("conv plans file: words that are no text are written, and read as other words") {
  Setup setup;
  write_conv_plans(setup.file, {{"a GPU", "1x1", "a library", "\xff\xfe", true}});
  const auto plans = setup.read();
  REQUIRE(plans.size() == 1);
  CHECK(plans[0].plan != "\xff\xfe");
}

}  // namespace
}  // namespace ydistill
