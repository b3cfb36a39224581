// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/text.h>

#include "support/catch.h"

using namespace ydistill;

TEST_CASE("text: printable keeps a message on one line") {
  CHECK(printable("plain text") == "plain text");
  CHECK(printable("a\nb\x1b[31m") == "a\\x0ab\\x1b[31m");
  CHECK(printable("größe") == "größe");
  CHECK(printable("\xff\xc3") == "\\xff\\xc3");
  CHECK(printable(std::string(100, 'x'), 10) == "xxxxxxxxxx...");
}

TEST_CASE("text: UTF-8 is told from other bytes") {
  CHECK(is_utf8("Bär 猫 \xf0\x9f\x90\x88"));
  CHECK_FALSE(is_utf8("\xc0\x80"));          // overlong
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));      // surrogate
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
  CHECK_FALSE(is_utf8("\xe2\x82"));          // cut short
}

TEST_CASE("text: code points become UTF-8") {
  std::string text;
  for (const char32_t code : {U'A', U'\u00e4', U'\u732b', U'\U0001f408'}) append_utf8(text, code);
  CHECK(text == "Aä猫\xf0\x9f\x90\x88");
}
