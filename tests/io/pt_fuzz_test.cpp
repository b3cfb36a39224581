// SPDX-License-Identifier: MIT
// Valid files with bytes changed or cut: only errors of ours may come out, and memory stays small.
#include <filesystem>
#include <string>

#include <ydistill/tensor/io/pt.h>
#include <ydistill/tensor/io/safetensors.h>

#include "io/pt_fixtures.h"
#include "support/damage.h"

using namespace ydistill;
using namespace ydistill::test;

TEST_CASE("fuzz: damaged archives") {
  const TempDir dir;
  write_pt(dir / "m.pt", pkl::dict({{"model", tiny_model()}}), tiny_storages());
  const std::string whole = read_file(dir / "m.pt");
  const int refused = count_refused(3000, dir / "x.pt", [&](Rng& rng) {
    write_file(dir / "x.pt", damaged(whole, rng));
    read_pt(dir / "x.pt", PtWeights::kEma);
  });
  CHECK(refused > 1000);
}

TEST_CASE("fuzz: damaged pickles in sound archives") {
  const TempDir dir;
  const std::string whole = pkl::program(pkl::dict({{"model", tiny_model()}}));
  const int refused = count_refused(3000, dir / "x.pt", [&](Rng& rng) {
    ZipEntries entries = {{"a/data.pkl", damaged(whole, rng)}};
    for (const auto& [key, bytes] : tiny_storages()) entries.emplace_back("a/data/" + key, bytes);
    write_zip(dir / "x.pt", entries);
    read_pt(dir / "x.pt", PtWeights::kEma);
  });
  CHECK(refused > 1000);
}

TEST_CASE("fuzz: damaged safetensors") {
  const TempDir dir;
  TensorFile file;
  file.add("a.weight", Rng(1).uniform({4, 3}, -1, 1));
  file.add("b", Tensor::full({5}, 3, DType::kInt64));
  file.metadata["spec"] = "{}";
  write_safetensors(dir / "a.safetensors", file);
  const std::string whole = read_file(dir / "a.safetensors");
  const int refused = count_refused(4000, dir / "x.safetensors", [&](Rng& rng) {
    write_file(dir / "x.safetensors", damaged(whole, rng));
    read_safetensors(dir / "x.safetensors");
  });
  CHECK(refused > 1000);
}
