// SPDX-License-Identifier: MIT
// Valid files with bytes changed or cut: only errors of ours may come out, and memory stays small.
#include <sys/resource.h>

#include <filesystem>
#include <functional>
#include <string>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/pt.h>
#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/random.h>

#include "io/pt_fixtures.h"
#include "support/catch.h"
#include "support/files.h"

using namespace ydistill;
using namespace ydistill::test;

namespace {

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t(usage.ru_maxrss) * 1024;
}

/// One to four bytes changed, or the end cut off.
std::string damaged(const std::string& bytes, Rng& rng) {
  std::string out = bytes;
  if (rng.below(8) == 0) return out.substr(0, size_t(rng.below(int64_t(out.size()))));
  for (int64_t n = rng.below(4); n >= 0; --n) {
    char& at = out[size_t(rng.below(int64_t(out.size())))];
    const char extremes[] = {'\0', '\xff', '\x7f', '\x80'};
    at = rng.below(2) == 0 ? char(rng.below(256)) : extremes[rng.below(4)];
  }
  return out;
}

/// Returns how many of `rounds` damaged files were refused; the rest were read. `read_damaged`
/// writes `file` and reads it.
int count_refused(int rounds, const std::filesystem::path& file,
                  const std::function<void(Rng&)>& read_damaged) {
  int refused = 0;
  const int64_t before = peak_bytes();
  for (int round = 0; round < rounds; ++round) {
    Rng rng(1, 0, uint64_t(round));
    // Removed rather than overwritten: some file systems flush a file that is replaced.
    std::filesystem::remove(file);
    try {
      read_damaged(rng);
    } catch (const Error& error) {
      ++refused;
      if (std::string(error.what()).find('\n') != std::string::npos) FAIL(error.what());
    }
  }
  CHECK(peak_bytes() - before < int64_t(400) << 20);
  return refused;
}

}  // namespace

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
