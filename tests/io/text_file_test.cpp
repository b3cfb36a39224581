// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/text_file.h>

#include <sys/stat.h>

#include <thread>

#include <ydistill/tensor/error.h>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

TEST_CASE("text file: comes whole, whatever its length and its bytes") {
  const test::TempDir dir;
  for (const size_t size : {size_t(0), size_t(1), size_t(65536), size_t(200001)}) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = char(i * 7);
    test::write_file(dir / "a", text);
    CHECK(read_text_file(dir / "a") == text);
  }
}

TEST_CASE("text file: a pipe is read to its end") {
  const test::TempDir dir;
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  std::thread writer([&] { test::write_file(dir / "pipe", "{}"); });
  CHECK(read_text_file(dir / "pipe") == "{}");
  writer.join();
}

TEST_CASE("text file: what is none is refused by its name") {
  const test::TempDir dir;
  CHECK_THROWS_WITH_TEXT(read_text_file(dir / "none"), FileError, "none: no such file");
  CHECK_THROWS_WITH_TEXT(read_text_file(dir.path()), FileError, "expected a file, found a folder");
  CHECK_THROWS_WITH_TEXT(read_text_file("/dev/zero"), FileError,
                         "/dev/zero: expected a file, found a device");
  test::write_file(dir / "file", "");
  CHECK_THROWS_WITH_TEXT(read_text_file(dir / "file" / "a"), FileError, "file/a: no such file");
}

}  // namespace
}  // namespace ydistill
