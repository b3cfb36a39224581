// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/pickle_json.h>

#include <string>

#include <ydistill/tensor/error.h>

#include "io/pickle_writer.h"
#include "support/catch.h"

using namespace ydistill;
namespace pkl = ydistill::test::pkl;
using namespace std::string_literals;

namespace {

std::string to_json(const std::string& object) {
  const std::string bytes = pkl::program(object);
  const PickleDocument document = parse_pickle(std::as_bytes(std::span(bytes)), "test.pt");
  return pickle_to_json(document, document.root(), "test.pt: yaml");
}

}  // namespace

TEST_CASE("pickle_json: plain data keeps its order") {
  CHECK(to_json(pkl::dict({{"nc", pkl::integer(2)},
                           {"anchors", pkl::list({pkl::tuple({pkl::integer(-1), "F0.5\n"})})},
                           {"act", pkl::none()},
                           {"best", pkl::boolean(true)},
                           {"name", pkl::text("a \"b\"")}})) ==
        R"({"nc":2,"anchors":[[-1,0.5]],"act":null,"best":true,"name":"a \"b\""})");
}

TEST_CASE("pickle_json: numbers as keys become text and the last of equal keys counts") {
  CHECK(to_json("}(K\x01" + pkl::text("x") + "K\x00"s + pkl::text("y") + "K\x01" + pkl::text("z") +
                "u") == R"({"1":"z","0":"y"})");
}

TEST_CASE("pickle_json: refuses calls and what is not finite") {
  CHECK_THROWS_WITH_TEXT(to_json(pkl::list({pkl::call("os", "system", pkl::tuple({}))})), FileError,
                         "test.pt: yaml holds a call of 'os.system', expected plain data");
  CHECK_THROWS_WITH_TEXT(to_json(pkl::list({"G\x7f\xf0\0\0\0\0\0\0"s})), FileError, "not finite");
  CHECK_THROWS_WITH_TEXT(to_json("}((tNu"), FileError, "has the key a tuple of 0");
}

TEST_CASE("pickle_json: a list in itself and a list shared a billion times end in an error") {
  CHECK_THROWS_WITH_TEXT(to_json("]q\0h\0a"s), FileError, "nested more than 32 deep");
  // l0 = []; l1 = [l0, l0]; l2 = [l1, l1]; ...
  std::string shared = "]q\0"s;
  for (char i = 0; i < 30; ++i) shared += "0]q"s + char(i + 1) + "(h" + i + "h" + i + "e";
  CHECK_THROWS_WITH_TEXT(to_json(shared), FileError, "holds more than 100000 values");
}
