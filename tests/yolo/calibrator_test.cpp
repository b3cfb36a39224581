// SPDX-License-Identifier: MIT
// Ranges of activations from pictures, and networks that run on bytes with them.
#include <ydistill/layers/focus.h>
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/layers/upsample.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/inference.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support/catch.h"
#include "support/files.h"
#include "support/worst.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

Tensor random_pictures(const Shape& shape, uint64_t seed) {
  const Tensor images = Tensor::empty(shape, DType::kUInt8);
  Rng rng(seed);
  for (auto& v : images.span<uint8_t>()) v = uint8_t(rng.below(256));
  return images;
}

Checkpoint tiny_checkpoint() {
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(3);
  return {model.spec(), {"wide", "high"}, export_weights(model), {}, ""};
}

NetworkCalibration calibrated(const Checkpoint& checkpoint, const Tensor& images) {
  const auto model = build_inference_model(checkpoint, {});
  Calibrator calibrator(*model);
  calibrator.add(images);
  return calibrator.result();
}

std::vector<Tensor> logits_of(const Checkpoint& checkpoint, Precision precision,
                              const Tensor& images) {
  const auto model = build_inference_model(checkpoint, {Device::cpu(), precision});
  return Inference(*model).logits(images);
}

TEST_CASE("calibration: what is read as one tensor is one group") {
  Model model(graph_by_name("yolov5s", 80));
  std::vector<std::vector<std::string>> groups = model.groups_by_reader();
  size_t convs = 0;
  for (auto& group : groups) {
    convs += group.size();
    std::sort(group.begin(), group.end());
  }
  CHECK(convs == 57);
  const auto has = [&](std::vector<std::string> group) {
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  };
  CHECK(has({"model.0"}));
  CHECK(has({"model.2.cv2", "model.2.m.0.cv2"}));  // cv3 reads both
  CHECK(has({"model.4.m.0.cv2"}));                 // read by the next bottleneck alone
  CHECK(has({"model.10", "model.21", "model.6.cv3"}));
  CHECK(has({"model.14", "model.18", "model.4.cv3"}));
  CHECK(groups.size() == 57 - 8 - 4);  // a tie in each C3, and one a concatenation
}

TEST_CASE("calibration: a range holds what came but for rare large numbers") {
  const Checkpoint checkpoint = tiny_checkpoint();
  const auto model = build_inference_model(checkpoint, {});
  const Tensor images = random_pictures({2, 64, 96, 3}, 1);
  std::map<std::string, std::vector<float>> seen;
  model->observe_convs([&](const std::string& conv, const Tensor&, const Tensor& y) {
    seen[conv].insert(seen[conv].end(), y.span<float>().begin(), y.span<float>().end());
  });
  Inference(*model).logits(images);
  model->observe_convs({});
  const NetworkCalibration ranges = calibrated(checkpoint, images);
  REQUIRE(ranges.size() == seen.size());  // the heads too
  int64_t cut_off = 0;
  for (const auto& group : model->groups_by_reader()) {
    float low = 0, high = 0;
    int64_t beyond = 0, all = 0;
    for (const std::string& conv : group) {
      CHECK(ranges.at(conv).low == ranges.at(group[0]).low);
      CHECK(ranges.at(conv).high == ranges.at(group[0]).high);
      for (const float x : seen.at(conv)) {
        low = std::min(low, x);
        high = std::max(high, x);
        beyond += x > ranges.at(conv).high;
        ++all;
      }
    }
    INFO(group[0]);
    CHECK(ranges.at(group[0]).low == low);
    CHECK(ranges.at(group[0]).high <= 1.01 * high);
    CHECK(double(beyond) <= 0.02 * double(all));
    cut_off += beyond;
  }
  CHECK(cut_off > 0);
}

TEST_CASE("calibration: the same ranges whichever way pictures are divided into batches") {
  const Checkpoint checkpoint = tiny_checkpoint();
  const Tensor images = random_pictures({3, 64, 64, 3}, 2);
  const auto model = build_inference_model(checkpoint, {});
  Calibrator one_by_one(*model);
  for (int64_t i = 0; i < 3; ++i) one_by_one.add(images.slice(i, i + 1));
  const NetworkCalibration expected = calibrated(checkpoint, images);
  for (const auto& [conv, range] : one_by_one.result()) {
    CHECK(range.low == Approx(expected.at(conv).low).epsilon(1e-5));
    CHECK(range.high == Approx(expected.at(conv).high).epsilon(1e-5));
  }
}

TEST_CASE("calibration: NaN is told with the convolution that gave it") {
  Checkpoint checkpoint = tiny_checkpoint();
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (name == "model.3.bn.running_var") tensor.data<float>()[2] = -1;
  }
  CHECK_THROWS_WITH_TEXT(calibrated(checkpoint, random_pictures({1, 32, 32, 3}, 4)), NotFiniteError,
                         "calibration: model.3 gives NaN or infinity");
}

TEST_CASE("calibration: outputs that are zero throughout have a range all the same") {
  Checkpoint checkpoint = tiny_checkpoint();
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (name == "model.4.bn.weight" || name == "model.4.bn.bias") tensor.fill(0);
  }
  const Tensor images = random_pictures({1, 64, 64, 3}, 4);
  checkpoint.calibration = calibrated(checkpoint, images);
  CHECK(checkpoint.calibration.at("model.4").high > 0);
  CHECK(all_finite(logits_of(checkpoint, Precision::kInt8, images)[0]));
}

TEST_CASE("int8: a network's logits are those in float32 up to the rounding of its activations") {
  Checkpoint checkpoint = tiny_checkpoint();
  const Tensor images = random_pictures({2, 64, 96, 3}, 5);
  checkpoint.calibration = calibrated(checkpoint, images);
  const auto expected = logits_of(checkpoint, Precision::kFp32, images);
  const auto got = logits_of(checkpoint, Precision::kInt8, images);
  REQUIRE(got.size() == expected.size());
  for (size_t k = 0; k < got.size(); ++k) {
    REQUIRE(got[k].shape() == expected[k].shape());
    CHECK(got[k].dtype() == DType::kFloat32);
    double square = 0, wanted = 0;
    for (int64_t i = 0; i < got[k].numel(); ++i) {
      const double mean = expected[k].at(i) - expected[k].at(i % 7);  // what differs over places
      square += std::pow(got[k].at(i) - expected[k].at(i), 2);
      wanted += mean * mean;
    }
    CHECK(std::sqrt(square / wanted) < 0.1);
  }
}

TEST_CASE("int8: weights kept as bytes give what the weights that they were made of give") {
  const test::TempDir dir;
  Checkpoint checkpoint = tiny_checkpoint();
  Rng rng(4);
  for (auto& [name, tensor] : checkpoint.tensors) {
    const auto is = [&, &key = name](const char* part) {
      return key.find(part) != std::string::npos;
    };
    if (is(".bn.weight")) tensor = rng.uniform(tensor.shape(), -2, 2);
    if (is("running_var")) tensor = rng.uniform(tensor.shape(), 0.5, 2);
    if (is(".bn.bias") || is("running_mean")) tensor = rng.uniform(tensor.shape(), -0.5, 0.5);
  }
  const Tensor images = random_pictures({2, 64, 64, 3}, 5);
  checkpoint.calibration = calibrated(checkpoint, images);
  const auto floats = dir / "floats.safetensors", bytes = dir / "bytes.safetensors";
  save_checkpoint(floats, checkpoint);
  const auto model = build_model(checkpoint);
  model->round_to_bytes(checkpoint.calibration);
  Checkpoint rounded = checkpoint;
  rounded.tensors = export_weights(*model);
  save_checkpoint(bytes, rounded, StoredWeights::kBytes);
  CHECK(std::filesystem::file_size(bytes) < std::filesystem::file_size(floats) / 2);

  const Checkpoint read = load_checkpoint(bytes, PtWeights::kEma);
  REQUIRE(read.tensors.size() == checkpoint.tensors.size());
  for (size_t i = 0; i < read.tensors.size(); ++i) {
    CHECK(read.tensors[i].first == checkpoint.tensors[i].first);
    CHECK(read.tensors[i].second.shape() == checkpoint.tensors[i].second.shape());
  }
  // The same bytes of weights and the same biases, up to the rounding of float32, which now and
  // then moves an activation to the neighbouring byte.
  const auto mean_difference = [&](Precision precision, const Checkpoint& other) {
    const auto a = logits_of(checkpoint, Precision::kInt8, images);
    const auto b = logits_of(other, precision, images);
    double sum = 0, count = 0;
    for (size_t k = 0; k < a.size(); ++k) {
      for (int64_t i = 0; i < a[k].numel(); ++i) sum += std::abs(a[k].at(i) - b[k].at(i));
      count += double(a[k].numel());
    }
    return sum / count;
  };
  const double in_floats = mean_difference(Precision::kFp32, checkpoint);
  CHECK(in_floats > 0);
  CHECK(mean_difference(Precision::kInt8, read) < 0.02 * in_floats);
  // Of files alone, rounded without the biases' correction, float32 makes something worse.
  save_checkpoint(bytes, checkpoint, StoredWeights::kBytes);
  const Checkpoint uncorrected = load_checkpoint(bytes, PtWeights::kEma);
  const auto off_in_float32 = [&](const Checkpoint& other) {
    const auto a = logits_of(checkpoint, Precision::kFp32, images);
    const auto b = logits_of(other, Precision::kFp32, images);
    double sum = 0;
    for (int64_t i = 0; i < a[0].numel(); ++i) sum += std::abs(a[0].at(i) - b[0].at(i));
    return sum;
  };
  CHECK(off_in_float32(read) < 0.9 * off_in_float32(uncorrected));
}

TEST_CASE("int8: bytes of weights whose scales do not belong to them are refused by name") {
  const test::TempDir dir;
  const auto path = dir / "w.safetensors";
  const Checkpoint checkpoint = tiny_checkpoint();
  save_checkpoint(path, checkpoint, StoredWeights::kBytes);
  const TensorFile whole = read_safetensors(path);
  const auto refuse = [&](const auto& change, const std::string& why) {
    TensorFile file = whole;
    change(file);
    write_safetensors(path, file);
    INFO(why);
    CHECK_THROWS_WITH_TEXT(load_checkpoint(path, PtWeights::kEma), FileError, why);
  };
  const auto index_of = [&](const std::string& name) {
    size_t i = 0;
    while (whole.tensors.at(i).first != name) ++i;
    return i;
  };
  const size_t scales = index_of("model.1.conv.weight.scales");
  const size_t bytes = index_of("model.1.conv.weight.bytes");
  refuse([&](TensorFile& f) { f.tensors.erase(f.tensors.begin() + int64_t(scales)); },
         "model.1.conv.weight.scales: missing, must be float32 [16]");
  refuse([&](TensorFile& f) { f.tensors[scales].second = Tensor::zeros({3}); },
         "model.1.conv.weight.scales: ");
  refuse([&](TensorFile& f) { f.tensors[bytes].second = Tensor::zeros({16}, DType::kUInt8); },
         "model.1.conv.weight.bytes: ");
  refuse([&](TensorFile& f) { f.tensors[scales].second = Tensor::full({16}, -1); },
         "model.1.conv.weight.scales: a scale is -1, must be at least 0");
  refuse(
      [&](TensorFile& f) {
        f.tensors[bytes].second = Tensor::zeros(f.tensors[bytes].second.shape(), DType::kUInt8);
      },
      "model.1.conv.weight.bytes: a byte is 0, must be 1..255");
  refuse(
      [&](TensorFile& f) {
        f.add("model.1.conv.weight", Tensor::zeros({16, 8, 3, 3}));
      },
      "model.1.conv.weight: is there twice");
}

TEST_CASE("int8: prepared in place a network keeps its bytes alone and does nothing but infer") {
  Checkpoint checkpoint = tiny_checkpoint();
  const Tensor images = random_pictures({1, 32, 32, 3}, 6);
  checkpoint.calibration = calibrated(checkpoint, images);
  Model beside(checkpoint.spec);
  load_all_weights(beside, checkpoint.tensors);
  beside.prepare_inference();
  beside.prepare_int8(checkpoint.calibration);
  const auto in_place = build_inference_model(checkpoint, {Device::cpu(), Precision::kInt8});
  CHECK(in_place->activations() == DType::kUInt8);
  CHECK_FALSE(in_place->parameters().values().defined());
  CHECK(in_place->parameters().num_elements() == beside.parameters().num_elements());
  CHECK(in_place->int8_bytes() > in_place->parameters().num_elements() * 9 / 10);
  CHECK(in_place->int8_bytes() < in_place->parameters().num_elements() * 4);  // padding, here much
  const auto a = Inference(beside).logits(images), b = Inference(*in_place).logits(images);
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(std::memcmp(a[i].raw(), b[i].raw(), size_t(a[i].nbytes())) == 0);
  }
  CHECK_THROWS_WITH_TEXT(in_place->forward(images, ForwardMode::kTrain), ValueError,
                         "it can only infer");
  CHECK_THROWS_WITH_TEXT(beside.forward(images, ForwardMode::kTrain), ValueError,
                         "it was prepared for int8, it can only infer");
  CHECK_THROWS_WITH_TEXT(beside.prepare_inference(), ValueError, "it was prepared for int8");
  CHECK_THROWS_WITH_TEXT(beside.prepare_int8(checkpoint.calibration), ValueError,
                         "it was prepared for int8");
  CHECK_THROWS_WITH_TEXT(export_weights(*in_place), ValueError, "it can only infer");
  CHECK_THROWS_WITH_TEXT(Calibrator(beside), ValueError, "takes a model in float32 on the CPU");
}

TEST_CASE("int8: ranges that are missing or do not go together are named") {
  Checkpoint checkpoint = tiny_checkpoint();
  const Compute int8{Device::cpu(), Precision::kInt8};
  CHECK_THROWS_WITH_TEXT(build_inference_model(checkpoint, int8), ValueError,
                         "the calibration of model.0 is missing");
  const NetworkCalibration good = calibrated(checkpoint, random_pictures({1, 32, 32, 3}, 7));
  checkpoint.calibration = good;
  checkpoint.calibration["model.2.cv2"].high += 1;
  CHECK_THROWS_WITH_TEXT(build_inference_model(checkpoint, int8), ValueError,
                         "model.2.m.0.cv2 and model.2.cv2 are read as one tensor");
  checkpoint.calibration = good;
  checkpoint.calibration["model.3"].high += 1;
  CHECK_THROWS_WITH_TEXT(build_inference_model(checkpoint, int8), ValueError,
                         "what model.7 reads as one tensor has several ranges");
  checkpoint.calibration = good;
  checkpoint.calibration["model.0"].high = 1e-60;
  checkpoint.calibration["model.0"].low = 0;
  CHECK_THROWS_WITH_TEXT(build_inference_model(checkpoint, int8), ValueError,
                         "int8: the calibration of model.0: quantization: the range 0 to 1e-60");
  checkpoint.calibration = good;
  checkpoint.calibration["model.3"] = {0, 0, good.at("model.3").input_means};
  CHECK_THROWS_WITH_TEXT(build_inference_model(checkpoint, int8), ValueError,
                         "the calibration of model.3 has no range");
  // A model that was refused goes on in float32.
  const Tensor images = random_pictures({1, 32, 32, 3}, 7);
  const auto refused = build_inference_model(checkpoint, {});
  CHECK_THROWS_AS(refused->prepare_int8(checkpoint.calibration), ValueError);
  const auto before = logits_of(checkpoint, Precision::kFp32, images);
  const auto after = Inference(*refused).logits(images);
  CHECK(std::memcmp(before[0].raw(), after[0].raw(), size_t(before[0].nbytes())) == 0);
  Model unprepared(checkpoint.spec);
  CHECK_THROWS_WITH_TEXT(unprepared.prepare_int8(good), ValueError,
                         "prepare_inference() must come before inference");
  checkpoint.calibration = good;
  checkpoint.calibration["model.3"].input_means.pop_back();
  CHECK_THROWS_WITH_TEXT(build_inference_model(checkpoint, int8), ShapeError,
                         "int8: model.3: 15 means of input channels, 16 wanted");
  const auto model = build_inference_model(checkpoint, {});
  CHECK_THROWS_WITH_TEXT(Calibrator(*model).result(), ValueError, "no picture was added");
}

TEST_CASE("int8: after the first picture no memory is taken any more") {
  Checkpoint checkpoint = tiny_checkpoint();
  const Tensor images = random_pictures({2, 64, 64, 3}, 8);
  checkpoint.calibration = calibrated(checkpoint, images);
  const auto model = build_inference_model(checkpoint, {Device::cpu(), Precision::kInt8});
  Inference inference(*model);
  const auto arena = Arena::create();
  const ArenaScope scope(arena);
  inference.logits(images);
  const int64_t blocks = heap_blocks_taken(), most = arena->peak_bytes();
  for (int i = 0; i < 3; ++i) inference.logits(images);
  CHECK(heap_blocks_taken() == blocks);
  CHECK(arena->peak_bytes() == most);
  CHECK(memory_of_inference(*model, images.shape()).arena_bytes == most);
}

TEST_CASE("int8: pooling and upsampling and focus of bytes are those of the same numbers") {
  const Tensor bytes = random_pictures({2, 6, 10, 3}, 9);
  const Tensor floats = Tensor::empty(bytes.shape());
  for (int64_t i = 0; i < bytes.numel(); ++i) floats.data<float>()[i] = float(bytes.at(i));
  const auto check_same = [](const Tensor& got, const Tensor& expected, double times) {
    REQUIRE(got.shape() == expected.shape());
    REQUIRE(got.dtype() == DType::kUInt8);
    for (int64_t i = 0; i < got.numel(); ++i) {
      REQUIRE(got.at(i) == std::round(expected.at(i) * times));
    }
  };
  check_same(pyramid_pool(Var(bytes)).value(), pyramid_pool(Var(floats)).value(), 1);
  check_same(upsample2x(Var(bytes)).value(), upsample2x(Var(floats)).value(), 1);
  check_same(focus_input(bytes, DType::kUInt8), focus_input(bytes), 255);
  check_same(scaled_input(bytes, DType::kUInt8), scaled_input(bytes), 255);
}

TEST_CASE("int8: where it is chosen depends on the weights and the machine") {
  const bool is_fast = cpu_amx() == Amx::kTiles || (cpu_amx() == Amx::kNone && cpu_has_int8_dots());
  CHECK((choose_inference_compute("cpu", "auto", true).precision == Precision::kInt8) == is_fast);
  CHECK(choose_inference_compute("cpu", "auto", false) == choose_compute("cpu", "auto"));
  CHECK(choose_inference_compute("cpu", "fp32", true).precision == Precision::kFp32);
  for (const char* device : {"cpu", "auto"}) {
    const Compute compute = choose_inference_compute(device, "int8", true);
    CHECK(compute.precision == Precision::kInt8);
    CHECK(compute.device.is_cpu());
    CHECK(describe(compute).starts_with("cpu in int8"));
  }
  CHECK_THROWS_WITH_TEXT(choose_inference_compute("cpu", "int8", false), ConfigError,
                         "needs calibrated weights, as `ydistill quantize` writes them");
  CHECK_THROWS_WITH_TEXT(choose_inference_compute("cpu", "int4", true), ConfigError,
                         "\"bf16\" or \"int8\", got \"int4\"");
  CHECK_THROWS_WITH_TEXT(choose_compute("cpu", "int8"), ConfigError,
                         "is for detection and validation");
}

TEST_CASE("checkpoint: a calibration is kept to the last bit and a damaged one told by name") {
  const test::TempDir dir;
  Checkpoint checkpoint = tiny_checkpoint();
  checkpoint.calibration = calibrated(checkpoint, random_pictures({1, 32, 32, 3}, 10));
  save_checkpoint(dir / "a.safetensors", checkpoint);
  const Checkpoint loaded = load_checkpoint(dir / "a.safetensors", PtWeights::kEma);
  CHECK(loaded.calibration == checkpoint.calibration);
  Checkpoint without = loaded;
  without.calibration.clear();
  save_checkpoint(dir / "b.safetensors", without);
  CHECK(load_checkpoint(dir / "b.safetensors", PtWeights::kEma).calibration.empty());

  TensorFile file = read_safetensors(dir / "a.safetensors");
  for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
           {"[1]", "metadata `calibration`: no JSON object"},
           {"{", "metadata `calibration`: no JSON object"},
           {R"({"c": 3})", "c: an object with a list of numbers \"input_means\" wanted"},
           {R"({"c": {"input_means": [1, "x"]}})", "c: an object with a list of numbers"},
           {R"({"c": {"input_means": [1], "range": [2, 1]}})", "c: \"range\": two numbers wanted"},
           {R"({"c": {"input_means": [1], "range": [0]}})", "c: \"range\": two numbers wanted"},
           {R"({"c": {"input_means": [1e999], "range": [0, 1]}})", "metadata `calibration`: "}}) {
    file.metadata["calibration"] = text;
    write_safetensors(dir / "c.safetensors", file);
    CHECK_THROWS_WITH_TEXT(load_checkpoint(dir / "c.safetensors", PtWeights::kEma), FileError,
                           expected);
  }
}

}  // namespace
}  // namespace ydistill
