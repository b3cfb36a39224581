// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/json_problem.h>

#include <string>

#include <nlohmann/json.hpp>

#include "support/catch.h"

namespace ydistill {
namespace {

/// What is wrong with a text that should be an object whose "epoch" is a whole number.
std::string problem_of(const std::string& text) {
  try {
    (void)nlohmann::json::parse(text).at("epoch").get<int64_t>();
    return "";
  } catch (const nlohmann::json::exception& error) {
    return json_problem(error, text);
  }
}

TEST_CASE("json problem: what is no JSON is told with line and column") {
  CHECK(problem_of("") == "the text is empty, expected JSON");
  CHECK(problem_of("{").find("line 1, column 2: syntax error") == 0);
  CHECK(problem_of("{\n  \"epoch\": x}").find("line 2, column 12: syntax error") == 0);
  CHECK(problem_of("[\n\n]]").find("line 3, column 2: syntax error") == 0);
}

TEST_CASE("json problem: other JSON than expected is told without the library's code") {
  CHECK(problem_of("{\"a\": 1}") == "key 'epoch' not found");
  CHECK(problem_of("{\"epoch\": \"x\"}") == "type must be number, but is string");
  CHECK(problem_of("{\"epoch\": 1e999}") == "number overflow parsing '1e999'");
}

TEST_CASE("json problem: control characters and broken UTF-8 stay one line") {
  for (const char* text : {"{\"a\n", "{\"\xff\"", "\x01", "{\"epoch\": \"\xc3"}) {
    const std::string problem = problem_of(text);
    INFO(problem);
    CHECK(problem.find("line 1, column ") == 0);
    CHECK(problem.find('\n') == std::string::npos);
    CHECK(problem.find('\xff') == std::string::npos);
  }
}

}  // namespace
}  // namespace ydistill
