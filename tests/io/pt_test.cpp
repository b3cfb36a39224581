// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/pt.h>

#include <string>

#include <ydistill/tensor/error.h>

#include "io/pt_fixtures.h"
#include "support/catch.h"
#include "support/files.h"

using namespace ydistill;
using namespace ydistill::test;
using namespace std::string_literals;

namespace {

std::vector<double> values(const Tensor& tensor) {
  std::vector<double> out;
  for (int64_t i = 0; i < tensor.numel(); ++i) out.push_back(tensor.at(i));
  return out;
}

using Numbers = std::vector<double>;

/// Reads a state dict of the one tensor `x`.
Tensor read_one(const std::string& tensor, const ZipEntries& storages) {
  const TempDir dir;
  write_pt(dir / "one.pt", pkl::ordered_dict({{"x", tensor}}), storages);
  const PtCheckpoint checkpoint = read_pt(dir / "one.pt", PtWeights::kModel);
  REQUIRE(checkpoint.tensors.size() == 1);
  return checkpoint.tensors[0].second;
}

template <class T>
Tensor read_typed(const std::string& type, const std::vector<T>& numbers) {
  const int64_t n = int64_t(numbers.size());
  return read_one(pkl::tensor(pkl::storage(type, "0", n), 0, {n}, {1}), {{"0", bytes_of(numbers)}});
}

}  // namespace

TEST_CASE("pt: a module is walked in the order of a state dict") {
  const TempDir dir;
  write_pt(dir / "m.pt",
           pkl::dict({{"epoch", pkl::integer(-1)}, {"model", tiny_model()}, {"ema", pkl::none()}}),
           tiny_storages());
  const PtCheckpoint c = read_pt(dir / "m.pt", PtWeights::kEma);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : c.tensors) names.push_back(name);
  CHECK(names == std::vector<std::string>{"model.0.conv.weight", "model.0.bn.weight",
                                          "model.0.bn.running_var",
                                          "model.0.bn.num_batches_tracked", "model.1.anchors"});
  CHECK(c.find("model.0.conv.weight")->str() == "float32 [2,3,1,1]");
  CHECK(values(*c.find("model.0.conv.weight")) == Numbers{1, 2, 3, 4, 5, 6});
  CHECK(values(*c.find("model.0.bn.weight")) == Numbers{5, 6});
  CHECK(values(*c.find("model.0.bn.running_var")) == Numbers{1, 4});
  CHECK(c.find("model.0.bn.num_batches_tracked")->str() == "int64 []");
  CHECK(c.find("model.1.grid") == nullptr);
  CHECK(c.modules[0] == std::pair<std::string, std::string>("", "models.yolo.Model"));
  CHECK(c.modules[2] == std::pair<std::string, std::string>("model.0", "models.common.Conv"));
  CHECK(c.modules.size() == 6);
  CHECK(c.class_names == std::vector<std::string>{"cat", "dog"});
  CHECK(c.spec_json == R"({"nc":2,"head":["nc"]})");
  CHECK(c.strides == Numbers{8});
  CHECK(c.epoch == -1);
  CHECK(c.source == "model");
}

TEST_CASE("pt: a running checkpoint holds two models and either can be had") {
  const TempDir dir;
  ZipEntries storages = tiny_storages("m", 1);
  for (const auto& entry : tiny_storages("e", 2)) storages.push_back(entry);
  const std::string optimizer = pkl::dict(
      {{"state", pkl::tensor(pkl::storage("FloatStorage", "not in the file", 9), 0, {9}, {1})}});
  write_pt(dir / "last.pt",
           pkl::dict({{"epoch", pkl::integer(3)},
                      {"best_fitness", pkl::call("numpy.core.multiarray", "_reconstruct", ")")},
                      {"model", tiny_model("m")},
                      {"ema", tiny_model("e")},
                      {"updates", pkl::integer(12)},
                      {"optimizer", optimizer}}),
           storages);
  const PtCheckpoint ema = read_pt(dir / "last.pt", PtWeights::kEma);
  CHECK(ema.source == "ema");
  CHECK(ema.epoch == 3);
  CHECK(ema.find("model.0.bn.num_batches_tracked")->item() == 2);
  const PtCheckpoint model = read_pt(dir / "last.pt", PtWeights::kModel);
  CHECK(model.source == "model");
  CHECK(model.find("model.0.bn.num_batches_tracked")->item() == 1);
}

TEST_CASE("pt: the one model there is serves both wishes") {
  const TempDir dir;
  write_pt(dir / "e.pt", pkl::dict({{"model", pkl::none()}, {"ema", tiny_model()}}),
           tiny_storages());
  CHECK(read_pt(dir / "e.pt", PtWeights::kModel).source == "ema");
  write_pt(dir / "bare.pt", tiny_model(), tiny_storages());
  CHECK(read_pt(dir / "bare.pt", PtWeights::kEma).source == "model");
  write_pt(dir / "pair.pt", pkl::dict({{"ema", pkl::tuple({tiny_model(), pkl::integer(5)})}}),
           tiny_storages());
  CHECK(read_pt(dir / "pair.pt", PtWeights::kEma).tensors.size() == 5);
}

TEST_CASE("pt: state dicts are read wherever they are") {
  const TempDir dir;
  const ZipEntries storages = {{"0", bytes_of(std::vector<float>{1, 2})}};
  const std::string state = pkl::ordered_dict(
      {{"a.weight", pkl::tensor(pkl::storage("FloatStorage", "0", 2), 0, {2}, {1})}});
  write_pt(dir / "bare.pt", state, storages);
  write_pt(dir / "wrapped.pt", pkl::dict({{"epoch", pkl::integer(2)}, {"state_dict", state}}),
           storages);
  write_pt(dir / "model.pt", pkl::dict({{"model", state}, {"names", pkl::list({pkl::text("a")})}}),
           storages);
  const PtCheckpoint bare = read_pt(dir / "bare.pt", PtWeights::kModel);
  CHECK(bare.source == "state_dict");
  CHECK(bare.modules.empty());
  CHECK(values(*bare.find("a.weight")) == Numbers{1, 2});
  const PtCheckpoint wrapped = read_pt(dir / "wrapped.pt", PtWeights::kModel);
  CHECK(wrapped.source == "state_dict");
  CHECK(wrapped.epoch == 2);
  const PtCheckpoint model = read_pt(dir / "model.pt", PtWeights::kModel);
  CHECK(model.source == "model");
  CHECK(model.class_names == std::vector<std::string>{"a"});
}

TEST_CASE("pt: class names may be a dictionary in any order") {
  const TempDir dir;
  const std::string names = "}(K\x01"s + pkl::text("dog") + "K\x00"s + pkl::text("cat") + "u";
  write_pt(dir / "m.pt", tiny_model("", {{"names", names}}), tiny_storages());
  CHECK(read_pt(dir / "m.pt", PtWeights::kModel).class_names ==
        std::vector<std::string>{"cat", "dog"});
}

TEST_CASE("pt: every storage type") {
  const auto check = [](const Tensor& tensor, DType dtype, const Numbers& expected) {
    CHECK(tensor.dtype() == dtype);
    CHECK(values(tensor) == expected);
  };
  check(read_typed<uint16_t>("HalfStorage", {0x3c00, 0xc000}), DType::kFloat32, {1, -2});
  check(read_typed<uint16_t>("BFloat16Storage", {0x3f80, 0xc000}), DType::kFloat32, {1, -2});
  check(read_typed<float>("FloatStorage", {0.1f}), DType::kFloat32, {double(0.1f)});
  check(read_typed<double>("DoubleStorage", {0.1}), DType::kFloat64, {0.1});
  check(read_typed<int64_t>("LongStorage", {-5}), DType::kInt64, {-5});
  check(read_typed<int32_t>("IntStorage", {-5}), DType::kInt64, {-5});
  check(read_typed<int16_t>("ShortStorage", {-5}), DType::kInt64, {-5});
  check(read_typed<int8_t>("CharStorage", {-5}), DType::kInt64, {-5});
  check(read_typed<uint8_t>("ByteStorage", {200}), DType::kInt64, {200});
  check(read_typed<uint8_t>("BoolStorage", {0, 1}), DType::kInt64, {0, 1});
}

TEST_CASE("pt: untyped storages take the type of the rebuilder") {
  const std::string tensor =
      pkl::call("torch._utils", "_rebuild_tensor_v3",
                pkl::tuple({pkl::storage("UntypedStorage", "0", 8), pkl::integer(0),
                            pkl::integers({2}), pkl::integers({1}), pkl::boolean(false),
                            pkl::ordered_dict({}), pkl::global("torch", "int32")}));
  CHECK(values(read_one(tensor, {{"0", bytes_of(std::vector<int32_t>{3, -4})}})) == Numbers{3, -4});
}

TEST_CASE("pt: tensors with attributes and torch.Size as shape") {
  const std::string size = pkl::call("torch", "Size", pkl::tuple({pkl::integers({2})}));
  const std::string arguments =
      pkl::tuple({pkl::storage("FloatStorage", "0", 2), pkl::integer(0), size, pkl::integers({1})});
  const std::string tensor = pkl::call(
      "torch._tensor", "_rebuild_from_type_v2",
      pkl::tuple({pkl::global("torch._utils", "_rebuild_tensor_v2"), pkl::global("torch", "Tensor"),
                  arguments, pkl::dict({{"tag", pkl::integer(1)}})}));
  CHECK(values(read_one(tensor, {{"0", bytes_of(std::vector<float>{3, 4})}})) == Numbers{3, 4});
}

TEST_CASE("pt: views are gathered dense") {
  const ZipEntries storages = {{"0", bytes_of(std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})}};
  const std::string storage = pkl::storage("FloatStorage", "0", 10);
  const auto view = [&](int64_t offset, const std::vector<int64_t>& sizes,
                        const std::vector<int64_t>& strides) {
    return values(read_one(pkl::tensor(storage, offset, sizes, strides), storages));
  };
  CHECK(view(1, {2, 3}, {4, 1}) == Numbers{1, 2, 3, 5, 6, 7});
  CHECK(view(0, {3, 2}, {1, 3}) == Numbers{0, 3, 1, 4, 2, 5});   // transposed
  CHECK(view(7, {2, 2}, {1, 0}) == Numbers{7, 7, 8, 8});         // expanded
  CHECK(view(9, {1, 1}, {INT64_MAX, INT64_MAX}) == Numbers{9});  // a step never taken
  CHECK(view(4, {}, {}) == Numbers{4});
  CHECK(view(99, {0, 3}, {3, 1}) == Numbers{});
}
