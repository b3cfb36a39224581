// SPDX-License-Identifier: MIT
// safetensors files whose header lies.
#include <signal.h>
#include <sys/resource.h>

#include <string>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/safetensors.h>

#include "support/catch.h"
#include "support/files.h"

using namespace ydistill;
using namespace ydistill::test;
using namespace std::string_literals;

namespace {

std::string with_length(uint64_t length, const std::string& rest) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += char(uint8_t(length >> (8 * i)));
  return out + rest;
}

void check_bytes_refused(const std::string& bytes, const std::string& text) {
  const TempDir dir;
  write_file(dir / "bad.safetensors", bytes);
  CHECK_THROWS_WITH_TEXT(read_safetensors(dir / "bad.safetensors"), FileError,
                         "bad.safetensors: " + text);
}

/// `json` in front of `data_bytes` zeros.
void check_refused(const std::string& json, size_t data_bytes, const std::string& text) {
  check_bytes_refused(with_length(json.size(), json + std::string(data_bytes, '\0')), text);
}

/// A tensor's entry, written with ' for ".
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "'" + name + "':{'dtype':'" + dtype + "','shape':" + shape + ",'data_offsets':" + offsets +
         "}";
}

std::string quoted(std::string json) {
  for (char& c : json) {
    if (c == '\'') c = '"';
  }
  return json;
}

void check_entries_refused(const std::string& entries, size_t data_bytes, const std::string& text) {
  check_refused(quoted("{" + entries + "}"), data_bytes, text);
}

}  // namespace

TEST_CASE("safetensors: lengths that lie") {
  check_bytes_refused("1234567", "has 7 bytes, a safetensors file has at least 8");
  check_bytes_refused(with_length(100, "{}"),
                      "is cut short or no safetensors file: its header "
                      "claims 100 bytes, the file holds 2");
  check_bytes_refused(with_length(UINT64_MAX, "{}"), "is cut short or no safetensors file");
  const TempDir dir;
  write_file(dir / "a", with_length(100'000'001, ""));
  std::filesystem::resize_file(dir / "a", 100'000'100);
  CHECK_THROWS_WITH_TEXT(read_safetensors(dir / "a"), FileError, "and 100000000 are allowed");
  CHECK_THROWS_WITH_TEXT(read_safetensors(dir / "b"), FileError, "b: does not exist");
  CHECK_THROWS_WITH_TEXT(read_safetensors(dir.path()), FileError, "is not a regular file");
}

TEST_CASE("safetensors: headers that are not of the form") {
  check_refused("{", 0, "the header is not JSON");
  check_refused("{} x", 0, "the header is not JSON");
  check_refused("{\"a\xff\":1}", 0, "the header is not JSON");
  check_refused("[]", 0, "the header is a list, expected an object");
  check_refused("7", 0, "the header is the number 7, expected an object");
  check_refused(std::string(50, '7'), 0,
                "the header is the number " + std::string(40, '7') + "..., expected an");
  check_refused(quoted("{'a':null}"), 0, "\"a\" is null, expected an object");
  check_refused(quoted("{'a':[1]}"), 0, "\"a\" is a list, expected an object");
  check_refused(quoted("{'a':{}}"), 0, "\"a\": needs dtype, shape and data_offsets");
  check_refused(quoted("{'a':{'x':1}}"), 0, "\"a\": unknown key \"x\"");
  check_refused(quoted("{'a':{'dtype':4}}"), 0, "\"a\": dtype is the number 4, expected a text");
  check_refused(quoted("{'a':{'shape':{}}}"), 0, "\"a\": shape is an object, expected a list");
  check_refused(quoted("{'a':{'shape':[[1]]}}"), 0, "\"a\": shape holds a list");
  check_refused(quoted("{'a':{'dtype':'F32','dtype':'F32'}}"), 0, "\"a\": dtype appears twice");
  check_refused(std::string(100'000, '['), 0, "the header is a list");
  check_refused("{\"\":" + std::string(1000, '{'), 0, "a tensor has an empty name");
}

TEST_CASE("safetensors: sizes and types that lie") {
  check_entries_refused(entry("a", "F8", "[1]", "[0,1]"), 1, "\"a\": dtype \"F8\" is not one of");
  check_entries_refused(entry("a", "F32", "[-1]", "[0,4]"), 4,
                        "\"a\": shape holds the number -1, expected sizes >= 0");
  check_entries_refused(entry("a", "F32", "[1.5]", "[0,4]"), 4,
                        "\"a\": shape holds the number 1.5");
  check_entries_refused(entry("a", "F32", "[4611686018427387904,4]", "[0,4]"), 4, "\"a\": ");
  check_entries_refused(entry("a", "F64", "[4611686018427387904]", "[0,4]"), 4,
                        "\"a\": shape: [4611686018427387904] has more than 2^59 elements");
  check_entries_refused(entry("a", "F32", "[18446744073709551615]", "[0,4]"), 4,
                        "\"a\": shape holds the number 18446744073709551615");
  check_entries_refused(entry("a", "F32", "[1,1,1,1,1,1,1]", "[0,4]"), 4, "\"a\": ");
  check_entries_refused(entry("a", "F32", "[2]", "[0,4]"), 4,
                        "\"a\": shape [2] takes 8 bytes, data_offsets [0, 4] hold 4");
}

TEST_CASE("safetensors: offsets that lie") {
  check_entries_refused(entry("a", "U8", "[4]", "[4,0]"), 4,
                        "\"a\": data_offsets [4, 0] end before");
  check_entries_refused(entry("a", "U8", "[4]", "[0]"), 4, "\"a\": data_offsets has 1 numbers");
  check_entries_refused(entry("a", "U8", "[4]", "[0,4,8]"), 4, "\"a\": data_offsets has 3 numbers");
  check_entries_refused(entry("a", "U8", "[4]", "[-4,0]"), 4, "\"a\": data_offsets holds");
  check_entries_refused(entry("a", "U8", "[4]", "[0,4]"), 3,
                        "\"a\": data_offsets [0, 4] leave the data of 3 bytes");
  check_entries_refused(entry("a", "U8", "[4]", "[0,4]"), 5,
                        "the tensors take 4 bytes, the file holds 5 of data");
  check_entries_refused(entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[4]", "[3,7]"),
                        7, "\"b\": data_offsets [3, 7] overlap those of another tensor");
  check_entries_refused(entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[4]", "[5,9]"),
                        9, "bytes 4 to 5 before \"b\" belong to no tensor");
}

TEST_CASE("safetensors: names and metadata that are not allowed") {
  check_entries_refused(entry("a", "U8", "[1]", "[0,1]") + "," + entry("a", "U8", "[1]", "[1,2]"),
                        2, "\"a\" appears twice");
  check_refused(quoted("{'__metadata__':{'a':1}}"), 0,
                "__metadata__: \"a\" is the number 1, expected a text");
  check_refused(quoted("{'__metadata__':{'a':{}}}"), 0, "__metadata__: \"a\" is an object");
  check_refused(quoted("{'__metadata__':[]}"), 0, "\"__metadata__\" is a list");
  check_refused(quoted("{'__metadata__':{'a':'b','a':'c'}}"), 0, "__metadata__ holds \"a\" twice");
}

TEST_CASE("safetensors: what cannot be written is refused and leaves the old file") {
  const TempDir dir;
  write_file(dir / "a", "old");
  const auto refused = [&](const TensorFile& file, const std::string& text) {
    CHECK_THROWS_WITH_TEXT(write_safetensors(dir / "a", file), ValueError, text);
    CHECK(read_file(dir / "a") == "old");
  };
  const Tensor one = Tensor::full({1}, 1);
  refused({.tensors = {{"x", one}, {"x", one}}, .metadata = {}}, "\"x\" is given twice");
  refused({.tensors = {{"__metadata__", one}}, .metadata = {}},
          "cannot be called \"__metadata__\"");
  refused({.tensors = {{"\xff", one}}, .metadata = {}}, "the name \"\\xff\" is not UTF-8");
  refused({.tensors = {{"x", Tensor()}}, .metadata = {}}, "\"x\" is an undefined tensor");
  refused({.tensors = {}, .metadata = {{"k", "\xff"}}}, "metadata \"k\" is not UTF-8");
}

TEST_CASE("safetensors: a disk that fills up leaves the old checkpoint") {
  const TempDir dir;
  TensorFile old;
  old.add("x", Tensor::full({10}, 1));
  write_safetensors(dir / "last.safetensors", old);
  TensorFile large;
  large.add("x", Tensor::full({100'000}, 2));
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{.rlim_cur = 10'000, .rlim_max = limit.rlim_max};
  const sighandler_t action = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  CHECK_THROWS_WITH_TEXT(write_safetensors(dir / "last.safetensors", large), FileError,
                         "last.safetensors: cannot write: File too large");
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, action);
  CHECK(read_safetensors(dir / "last.safetensors").at("x").at(9) == 1);
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}
