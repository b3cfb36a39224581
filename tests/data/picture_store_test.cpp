// SPDX-License-Identifier: MIT
#include <csignal>

#include <sys/resource.h>

#include <ydistill/data/picture_store.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

namespace fs = std::filesystem;

struct ThreePictures {
  TempDir dir, cache;
  std::shared_ptr<Dataset> data;
  ThreePictures() {
    write_yolo_set(dir.path(), {{40, 30}, {30, 40}, {20, 20}});
    data =
        std::make_shared<Dataset>(load_dataset({DataSource::Kind::kYolo, dir / "images", "", ""}));
  }
  std::shared_ptr<const Image> load(PictureStore& store, int64_t i) const {
    const Sample& sample = data->samples[size_t(i)];
    return store.load(i, sample.width / 2, sample.height / 2, Interpolation::kBilinear);
  }
};

}  // namespace

TEST_CASE("picture store: the disk gives back the bytes that were decoded") {
  const ThreePictures set;
  PictureStore plain(set.data, 0), store(set.data, 20 * 15 * 3, set.cache.path());
  for (int64_t i = 0; i < 3; ++i) set.load(store, i);
  CHECK(store.cached_bytes() == (20 * 15 + 15 * 20 + 10 * 10) * 3);  // the first in memory
  fs::remove_all(set.dir / "images");  // from here on nothing can be decoded
  for (int64_t i = 0; i < 3; ++i) REQUIRE(set.load(store, i));
  CHECK(set.load(store, 1)->height == 20);
  CHECK_FALSE(set.load(plain, 1));
  CHECK(store.findings().empty());
}

TEST_CASE("picture store: from memory and from disk come the same pictures") {
  const ThreePictures set;
  PictureStore memory(set.data, 1 << 20), disk(set.data, 0, set.cache.path());
  for (int round = 0; round < 2; ++round) {
    for (int64_t i = 0; i < 3; ++i) {
      CHECK(set.load(memory, i)->rgb == set.load(disk, i)->rgb);
    }
  }
}

TEST_CASE("picture store: its file has no name and so is never left behind") {
  const ThreePictures set;
  PictureStore store(set.data, 0, set.cache.path());
  set.load(store, 0);
  CHECK(fs::is_empty(set.cache.path()));
  CHECK_THROWS_WITH_TEXT(PictureStore(set.data, 0, set.dir / "nowhere"), FileError,
                         "nowhere: no file for decoded pictures can be made");
}

TEST_CASE("picture store: a full disk is said and pictures are decoded instead") {
  const ThreePictures set;
  PictureStore store(set.data, 0, set.cache.path());
  set.load(store, 0);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = 20 * 15 * 3 + 1;
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const bool loaded = set.load(store, 1) != nullptr && set.load(store, 1) != nullptr;
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  CHECK(loaded);
  CHECK(set.load(store, 0));
  REQUIRE(store.findings().size() == 1);
  CHECK(store.findings()[0].str().find(
            "train.cache: the file of decoded pictures cannot be written: ") == 0);
}

}  // namespace ydistill::test
