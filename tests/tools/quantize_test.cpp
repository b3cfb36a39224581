// SPDX-License-Identifier: MIT
// `ydistill quantize`, and what other commands do with what it writes.
#include <ydistill/tensor/cpu_level.h>

#include "tools/command_setup.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

TEST_CASE("command: quantize writes weights that run in 8 bits and in float32") {
  const Setup setup;
  const Outcome made =
      setup.run("quantize tiny.safetensors q.safetensors --pictures train/images --size 64");
  INFO(made.err);
  REQUIRE(made.code == 0);
  CHECK(made.out.empty());
  CHECK(made.err.find("q.safetensors: custom, calibrated for int8: ") != std::string::npos);
  CHECK(made.err.find(" convolutions, 8 pictures\n") != std::string::npos);
  CHECK(made.err.find(" objects in float32, ") != std::string::npos);
  for (const char* precision : {"int8", "fp32", "auto"}) {
    const Outcome found = setup.run(
        std::string("detect --weights q.safetensors --source val/images --size 64 --conf 0.0001 "
                    "--json --out o --precision ") +
        precision);
    INFO(found.err);
    CHECK(found.code == 0);
    CHECK(found.out.find("\"score\"") != std::string::npos);
  }
  const Outcome chosen = setup.run("val cfg.json model.weights=q.safetensors val.image_size=64");
  CHECK((chosen.err.find("on cpu in int8 by A") != std::string::npos) ==
        (cpu_amx() == Amx::kTiles || (cpu_amx() == Amx::kNone && cpu_has_int8_dots())));
  const Outcome val =
      setup.run("val cfg.json model.weights=q.safetensors precision=int8 val.image_size=64");
  INFO(val.err);
  CHECK(val.code == 0);
  CHECK(val.err.find("on cpu in int8") != std::string::npos);
  const Outcome memory =
      setup.run("info --memory --weights q.safetensors --precision int8 --size 64");
  CHECK(memory.code == 0);
  CHECK(memory.out.find("in int8") != std::string::npos);
  CHECK(setup.run("info q.safetensors").out.find("int8        calibrated") != std::string::npos);
  CHECK(setup.run("info tiny.safetensors").out.find("int8") == std::string::npos);
  // Others take it as the weights that it was, and convert keeps the ranges.
  CHECK(setup.run("convert q.safetensors again.safetensors").code == 0);
  CHECK(setup
            .run("detect --weights again.safetensors --source val/images --size 64 --out o "
                 "--precision int8")
            .code == 0);
  CHECK(setup.run("export q.safetensors q.onnx --size 64").code == 0);
  CHECK(setup.run("export q.safetensors q8.onnx --size 64 --int8").code == 0);
  CHECK(fs::file_size(setup.dir / "q8.onnx") <
        fs::file_size(setup.dir / "q.onnx"));  // tiny: names count
}

TEST_CASE("command: quantize --bytes writes a smaller file that every command takes") {
  const Setup setup;
  const std::string args = "tiny.safetensors q.safetensors --pictures train/images --size 64";
  REQUIRE(setup.run("quantize " + args).code == 0);
  const auto large = fs::file_size(setup.dir / "q.safetensors");
  REQUIRE(setup.run("quantize --bytes " + args).code == 0);
  CHECK(fs::file_size(setup.dir / "q.safetensors") < large * 2 / 3);  // tiny: names count
  for (const char* precision : {"int8", "fp32"}) {
    const Outcome val = setup.run(
        std::string("val cfg.json model.weights=q.safetensors val.image_size=64 precision=") +
        precision);
    INFO(val.err);
    CHECK(val.code == 0);
  }
  CHECK(setup.run("convert q.safetensors again.safetensors").code == 0);
  CHECK(fs::file_size(setup.dir / "again.safetensors") > large * 9 / 10);
  CHECK(setup.run("export q.safetensors q8.onnx --size 64 --int8").code == 0);
  CHECK(setup.run("train cfg.json model.weights=q.safetensors train.epochs=1").code == 0);
}

TEST_CASE(
    "command: quantize of a training's state writes its weights alone, and training goes on") {
  const Setup setup;
  REQUIRE(setup.run("train cfg.json run.dir=runs").code == 0);
  const std::string weights = "runs/exp/weights/";
  REQUIRE(setup
              .run("quantize " + weights +
                   "last.safetensors q.safetensors --pictures train/images "
                   "--size 64")
              .code == 0);
  const Checkpoint made = load_checkpoint(setup.dir / "q.safetensors", PtWeights::kEma);
  CHECK(made.metadata.count("train_state") == 0);
  CHECK_FALSE(made.calibration.empty());
  const Checkpoint best =
      load_checkpoint(setup.dir / (weights + "best.safetensors"), PtWeights::kEma);
  CHECK(made.tensors.size() == best.tensors.size());
  // What is trained further is no longer what was measured.
  REQUIRE(setup.run("train cfg.json model.weights=q.safetensors run.dir=runs run.name=next").code ==
          0);
  CHECK(load_checkpoint(setup.dir / "runs/next/weights/best.safetensors", PtWeights::kEma)
            .calibration.empty());
}

TEST_CASE(
    "command: quantize goes on without pictures that cannot be read and takes as many as asked") {
  const Setup setup;
  write_file(setup.dir / "train/images/broken.png", "no picture");
  const Outcome some = setup.run(
      "quantize tiny.safetensors q.safetensors --pictures train/images --size 64 --threads 1");
  CHECK(some.code == 0);
  CHECK(some.err.find("broken.png: ") != std::string::npos);
  CHECK(some.err.find(" convolutions, 8 pictures\n") != std::string::npos);
  const Outcome few = setup.run(
      "quantize tiny.safetensors q.safetensors --pictures val/images --size 64 --count 3");
  CHECK(few.err.find(" convolutions, 3 pictures\n") != std::string::npos);
}

TEST_CASE("command: quantize refuses in one line and writes nothing") {
  const Setup setup;
  const std::string quantize = "quantize tiny.safetensors ";
  check_refused(setup.run(quantize + "q.onnx --pictures val/images"), 2,
                "q.onnx: the file to write must end in .safetensors");
  check_refused(setup.run(quantize + "tiny.safetensors --pictures val/images"), 2,
                "tiny.safetensors: is the input file; name another file to write");
  check_refused(setup.run(quantize + "q.safetensors"), 2, "--pictures is required");
  check_refused(setup.run(quantize + "q.safetensors --pictures none"), 1, "none: no such picture");
  check_refused(setup.run(quantize + "q.safetensors --pictures val/images --size 65"), 2,
                "quantize: --size: must be a multiple of 16, got 65");
  check_refused(setup.run(quantize + "q.safetensors --pictures val/images --count 0"), 2,
                "--count: ");
  check_refused(setup.run(quantize + "cfg.json/q.safetensors --pictures val/images"), 1,
                "cfg.json");
  check_refused(setup.run(quantize + "none/q.safetensors --pictures val/images"), 1,
                "none/q.safetensors: there is no folder none");
  check_refused(setup.run("quantize none.safetensors q.safetensors --pictures val/images"), 1,
                "none.safetensors: no such file");
  std::string plain = tiny_graph();
  plain.replace(plain.find("[8, 6, 2, 2]"), 12, "[8, 3, 2]");
  Model model(graph_from_json(plain));
  model.initialise(1);
  save_checkpoint(setup.dir / "plain.safetensors",
                  {model.spec(), {"wide", "high"}, export_weights(model), {}, ""});
  const Outcome stem =
      setup.run("quantize plain.safetensors q.safetensors --pictures val/images --size 64");
  check_refused(stem, 1, "int8: model.0: 3 input channels, a multiple of 4 wanted");
  write_file(setup.dir / "broken/a.png", "no picture");
  const Outcome broken = setup.run(quantize + "q.safetensors --pictures broken");
  CHECK(broken.code == 1);
  CHECK(broken.err.find("none of the pictures could be read") != std::string::npos);
  CHECK_FALSE(fs::exists(setup.dir / "q.safetensors"));
}

TEST_CASE("command: int8 where it does not belong is refused in one line") {
  const Setup setup;
  check_refused(setup.run("detect --weights tiny.safetensors --source val/images --size 64 --out o "
                          "--precision int8"),
                2, "\"int8\" needs calibrated weights, as `ydistill quantize` writes");
  CHECK_FALSE(fs::exists(setup.dir / "o"));
  check_refused(setup.run("export tiny.safetensors q.onnx --int8"), 2,
                "export: --int8 needs calibrated weights");
  CHECK_FALSE(fs::exists(setup.dir / "q.onnx"));
  const Outcome train = setup.run("train cfg.json precision=int8");
  CHECK(train.code == 2);
  CHECK(train.err.find("\"int8\" is for detection and validation; here use") != std::string::npos);
  const Outcome val = setup.run("val cfg.json model.weights=tiny.safetensors precision=int8");
  CHECK(val.code == 2);
  CHECK(val.err.find("needs calibrated weights") != std::string::npos);
}

}  // namespace
}  // namespace ydistill
