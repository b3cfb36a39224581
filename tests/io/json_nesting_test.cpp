// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/json_nesting.h>

#include <string>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("json nesting: counts the lists and objects that are open at once") {
  CHECK_FALSE(json_nests_beyond("", 0));
  CHECK_FALSE(json_nests_beyond("3", 0));
  CHECK(json_nests_beyond("[]", 0));
  CHECK_FALSE(json_nests_beyond("[{}, {}, []]", 2));
  CHECK(json_nests_beyond("[{}, {\"a\": []}]", 2));
  CHECK_FALSE(json_nests_beyond(std::string(64, '[') + std::string(64, ']')));
  CHECK(json_nests_beyond(std::string(65, '{')));
}

TEST_CASE("json nesting: brackets in strings and comments do not count") {
  CHECK_FALSE(json_nests_beyond(R"({"[[[": "a\"[[["})", 1));
  CHECK(json_nests_beyond(R"({"a\\": [1]})", 1));
  CHECK_FALSE(json_nests_beyond("// \"[[\n{} /* [[ // */", 1));
  CHECK(json_nests_beyond("// \"\n[[]]", 1));
  // The parser ends a line, and with it a comment, there, too.
  CHECK(json_nests_beyond("// x\r[[]]", 1));
  CHECK(json_nests_beyond(std::string_view("// x\0[[]]", 9), 1));
  CHECK(json_nests_beyond("/**/[[]]", 1));
}

TEST_CASE("json nesting: takes text that ends anywhere") {
  for (const char* text : {"\"", "\"a\\", "/", "//", "/*", "/* *", "]]]]"}) {
    CHECK_FALSE(json_nests_beyond(text, 0));
  }
}

}  // namespace
}  // namespace ydistill
