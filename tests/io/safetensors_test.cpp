// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/safetensors.h>

#include <string>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>

#include "support/catch.h"
#include "support/files.h"

using namespace ydistill;
using ydistill::test::read_file;
using ydistill::test::TempDir;
using ydistill::test::write_file;
using namespace std::string_literals;

namespace {

std::string raw_bytes(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.raw()), size_t(tensor.nbytes())};
}

std::string length_of(const std::string& json) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += char(uint8_t(uint64_t(json.size()) >> (8 * i)));
  return out;
}

/// One tensor "x" of the type, read.
Tensor read_one(const std::string& dtype, int n, const std::string& data) {
  const TempDir dir;
  const std::string json = "{\"x\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + std::to_string(n) +
                           "],\"data_offsets\":[0," + std::to_string(data.size()) + "]}}";
  write_file(dir / "x.safetensors", length_of(json) + json + data);
  return read_safetensors(dir / "x.safetensors").at("x");
}

}  // namespace

TEST_CASE("safetensors: all our types come back bit for bit and in order") {
  const TempDir dir;
  TensorFile file;
  file.add("bytes", Tensor::of<uint8_t>({3}, std::vector<uint8_t>{1, 2, 255}));
  file.add("f32", Rng(1).normal({2, 3}));
  file.add("f64", Rng(2).normal({5}, DType::kFloat64));
  file.add("bf16", Rng(3).normal({7}).to(DType::kBFloat16));
  file.add("scalar", Tensor::full({}, -9, DType::kInt64));
  file.add("empty", Tensor::zeros({0, 4}));
  file.add("quote \" and Bär", Tensor::full({1}, 0.5));
  file.metadata = {{"spec", "{\"nc\": 2}\n"}, {"größe", "1"}};
  write_safetensors(dir / "a.safetensors", file);

  const TensorFile back = read_safetensors(dir / "a.safetensors");
  CHECK(back.metadata == file.metadata);
  REQUIRE(back.tensors.size() == file.tensors.size());
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    CHECK(back.tensors[i].first == file.tensors[i].first);
    CHECK(back.tensors[i].second.str() == file.tensors[i].second.str());
    CHECK(raw_bytes(back.tensors[i].second) == raw_bytes(file.tensors[i].second));
  }
  CHECK(back.find("missing") == nullptr);
  CHECK_THROWS_WITH_TEXT(back.at("missing"), ValueError, "there is no tensor \"missing\" among 7");
}

TEST_CASE("safetensors: the bytes written are those of the format") {
  const TempDir dir;
  TensorFile file;
  file.add("u", Tensor::of<uint8_t>({1}, std::vector<uint8_t>{7}));
  file.add("f", Tensor::of({1}, {1.0f}));
  file.metadata["k"] = "v";
  write_safetensors(dir / "a.safetensors", file);
  // The wider type lies first, the header keeps the order and is filled up to 8 bytes.
  std::string json =
      R"({"__metadata__":{"k":"v"},"u":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},)"
      R"("f":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  CHECK(read_file(dir / "a.safetensors") == length_of(json) + json + "\0\0\x80\x3f\x07"s);
}

TEST_CASE("safetensors: a file without tensors") {
  const TempDir dir;
  write_safetensors(dir / "a.safetensors", {});
  CHECK(read_file(dir / "a.safetensors") == "\x08\0\0\0\0\0\0\0{}      "s);
  CHECK(read_safetensors(dir / "a.safetensors").tensors.empty());
}

TEST_CASE("safetensors: other types are converted") {
  const auto check = [](const Tensor& tensor, DType dtype, double first, double second) {
    CHECK(tensor.dtype() == dtype);
    CHECK(tensor.at(0) == first);
    CHECK(tensor.at(1) == second);
  };
  check(read_one("F16", 2, "\x00\x3c\x00\xc0"s), DType::kFloat32, 1, -2);
  check(read_one("I32", 2, "\xff\xff\xff\xff\x01\x00\x00\x00"s), DType::kInt64, -1, 1);
  check(read_one("I16", 2, "\xff\xff\x01\x00"s), DType::kInt64, -1, 1);
  check(read_one("I8", 2, "\xff\x01"s), DType::kInt64, -1, 1);
  check(read_one("U32", 2, "\xff\xff\xff\xff\x01\x00\x00\x00"s), DType::kInt64, 4294967295.0, 1);
  check(read_one("U16", 2, "\xff\xff\x01\x00"s), DType::kInt64, 65535, 1);
  check(read_one("BOOL", 2, "\x01\x00"s), DType::kUInt8, 1, 0);
}

TEST_CASE("safetensors: reads the recorded reference") {
  YD_REFERENCE_OR_SKIP(path, "reference/train_n_v6.safetensors");
  const TensorFile file = read_safetensors(path);
  CHECK(file.at("images").dtype() == DType::kUInt8);
  CHECK(file.at("targets").size(1) == 6);
  CHECK(file.metadata.count("cases") == 1);
}
