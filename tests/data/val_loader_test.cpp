// SPDX-License-Identifier: MIT
#include <algorithm>

#include <ydistill/data/loader.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

struct PictureSet {
  TempDir dir;
  std::shared_ptr<Dataset> data;

  explicit PictureSet(const std::vector<std::pair<int64_t, int64_t>>& sizes) {
    write_yolo_set(dir.path(), sizes);
    data =
        std::make_shared<Dataset>(load_dataset({DataSource::Kind::kYolo, dir / "images", "", ""}));
  }
  std::filesystem::path picture(int i) const {
    return dir / ("images/" + std::to_string(i) + ".png");
  }
};

ValLoaderOptions small_options(int workers, int64_t batch = 2) {
  ValLoaderOptions options;
  options.image_size = 64;
  options.batch = batch;
  options.workers = workers;
  return options;
}

std::vector<Batch> all_of(ValLoader& loader) {
  std::vector<Batch> all;
  Batch batch;
  loader.start();
  while (loader.next(batch)) all.push_back(batch);
  return all;
}

}  // namespace

TEST_CASE("val loader: pictures are sorted by shape and batches fit theirs") {
  // height / width: 2, 0.5, 1, 0.75, 1.5
  const PictureSet set({{40, 80}, {100, 50}, {64, 64}, {80, 60}, {60, 90}});
  ValLoader loader(set.data, small_options(2));
  CHECK(loader.num_batches() == 3);
  const std::vector<Batch> batches = all_of(loader);
  REQUIRE(batches.size() == 3);
  CHECK(batches[0].indices == std::vector<int64_t>{1, 3});
  CHECK(batches[1].indices == std::vector<int64_t>{2, 4});
  CHECK(batches[2].indices == std::vector<int64_t>{0});
  // ceil(ratio * 64 / 32 + 0.5) * 32. Flat: height by the largest ratio 0.75, ceil(2) strides.
  CHECK(batches[0].images.shape() == Shape({2, 64, 96, 3}));
  // From square to narrow: both sides whole, ceil(2.5) strides.
  CHECK(batches[1].images.shape() == Shape({2, 96, 96, 3}));
  // Narrow: width by 1 / 2, ceil(1.5) strides.
  CHECK(batches[2].images.shape() == Shape({1, 96, 64, 3}));
}

TEST_CASE("val loader: a square picture at 640 is laid into 672") {
  const PictureSet set({{50, 50}});
  ValLoaderOptions options;
  options.workers = 0;
  ValLoader loader(set.data, options);
  const std::vector<Batch> batches = all_of(loader);
  REQUIRE(batches.size() == 1);
  CHECK(batches[0].images.shape() == Shape({1, 672, 672, 3}));
  options.extra_strides = 0;
  ValLoader tight(set.data, options);
  CHECK(all_of(tight)[0].images.shape() == Shape({1, 640, 640, 3}));
}

TEST_CASE("val loader: square batches keep the order of the dataset") {
  const PictureSet set({{40, 80}, {100, 50}, {64, 64}});
  ValLoaderOptions options = small_options(1);
  options.form = BatchForm::kSquare;
  ValLoader loader(set.data, options);
  const std::vector<Batch> batches = all_of(loader);
  REQUIRE(batches.size() == 2);
  CHECK(batches[0].indices == std::vector<int64_t>{0, 1});
  CHECK(batches[0].images.shape() == Shape({2, 64, 64, 3}));
}

TEST_CASE("val loader: targets and letterboxes lead back to the labels") {
  const PictureSet set({{40, 80}, {100, 51}, {64, 64}, {83, 60}, {200, 300}});
  for (const BatchForm form : {BatchForm::kRectangular, BatchForm::kSquare}) {
    ValLoaderOptions options = small_options(2);
    options.form = form;
    ValLoader loader(set.data, options);
    int labels = 0;
    for (const Batch& batch : all_of(loader)) {
      REQUIRE(batch.letterboxes.size() == batch.indices.size());
      const double height = double(batch.images.size(1)), width = double(batch.images.size(2));
      REQUIRE(batch.targets.size(0) == int64_t(batch.indices.size()));
      for (int64_t i = 0; i < batch.targets.size(0); ++i) {
        const float* row = batch.targets.data<float>() + 6 * i;
        const size_t slot = size_t(row[0]);
        const Sample& sample = set.data->samples[size_t(batch.indices[slot])];
        CHECK(int64_t(row[1]) == batch.indices[slot]);
        const Letterbox& plan = batch.letterboxes[slot];
        CHECK(plan.picture_width == sample.width);
        const CornerBox box =
            to_picture(plan, {(row[2] - row[4] / 2) * width, (row[3] - row[5] / 2) * height,
                              (row[2] + row[4] / 2) * width, (row[3] + row[5] / 2) * height});
        const double w = double(sample.width), h = double(sample.height);
        // float32 of fractions: 1e-7 of the input, and ratios down to 64 / 300.
        CHECK(box.x1 == Approx(w * 0.25).margin(1e-3));
        CHECK(box.x2 == Approx(w * 0.75).margin(1e-3));
        CHECK(box.y1 == Approx(h * 0.1).margin(1e-3));
        CHECK(box.y2 == Approx(h * 0.7).margin(1e-3));
        ++labels;
      }
    }
    CHECK(labels == 5);
  }
}

TEST_CASE("val loader: the pixels are those of the letterbox") {
  const PictureSet set({{100, 51}});
  ValLoader loader(set.data, small_options(0));
  const Batch batch = all_of(loader).at(0);
  std::vector<uint8_t> wanted(size_t(batch.images.numel()));
  apply_letterbox(read_image(set.picture(0)), batch.letterboxes[0], wanted.data());
  CHECK(std::equal(wanted.begin(), wanted.end(), batch.images.data<uint8_t>()));
}

TEST_CASE("val loader: the number of workers and the cache change nothing") {
  const PictureSet set({{40, 80}, {100, 50}, {64, 64}, {80, 60}, {60, 90}});
  std::vector<std::string> alone;
  ValLoader plain(set.data, small_options(0));
  for (const Batch& batch : all_of(plain)) alone.push_back(bytes_of(batch));
  for (const int workers : {1, 3}) {
    ValLoaderOptions options = small_options(workers);
    options.cache_bytes = 30000;
    ValLoader loader(set.data, options);
    for (int pass = 0; pass < 2; ++pass) {
      std::vector<std::string> all;
      for (const Batch& batch : all_of(loader)) all.push_back(bytes_of(batch));
      CHECK(all == alone);
    }
  }
}

TEST_CASE("val loader: an unreadable picture is listed and left out") {
  const PictureSet set({{64, 64}, {64, 64}, {64, 64}, {64, 64}, {64, 64}});
  std::filesystem::remove(set.picture(0));
  std::filesystem::remove(set.picture(4));
  for (const int workers : {0, 2}) {
    ValLoader loader(set.data, small_options(workers));
    const std::vector<Batch> batches = all_of(loader);
    REQUIRE(batches.size() == 2);  // the third held picture 4 alone
    CHECK(batches[0].indices == std::vector<int64_t>{1});
    CHECK(batches[0].images.shape() == Shape({1, 96, 96, 3}));
    CHECK(batches[0].letterboxes.size() == 1);
    REQUIRE(batches[0].targets.shape() == Shape({1, 6}));
    CHECK(batches[0].targets.at(0) == 0);
    CHECK(batches[0].targets.at(1) == 1);
    CHECK(batches[1].indices == std::vector<int64_t>{2, 3});
    REQUIRE(loader.findings().size() == 2);
    CHECK(loader.findings()[1].str().find("4.png: no such picture (picture left out)") !=
          std::string::npos);
  }
}

TEST_CASE("val loader: when no picture can be read it says so") {
  const PictureSet set({{64, 64}, {40, 40}});
  for (int i = 0; i < 2; ++i) std::filesystem::remove(set.picture(i));
  ValLoader loader(set.data, small_options(1));
  Batch batch;
  CHECK(!loader.next(batch));
  loader.start();
  CHECK_THROWS_WITH_TEXT(loader.next(batch), FileError, "2 left out, the first: ");
}

TEST_CASE("val loader: a pass over some of the batches may find no picture readable") {
  const PictureSet set({{40, 80}, {100, 50}, {64, 64}, {80, 60}, {60, 90}});
  for (int i = 0; i < 5; ++i) std::filesystem::remove(set.picture(i));
  ValLoader loader(set.data, small_options(1));
  Batch batch;
  loader.start(0, 2);
  CHECK_FALSE(loader.next(batch));
  CHECK(loader.findings().size() == 4);
  loader.start(0, 3);
  CHECK_THROWS_AS(loader.next(batch), FileError);
}

TEST_CASE("val loader: a pass over some of the batches gives those") {
  const PictureSet set({{40, 80}, {100, 50}, {64, 64}, {80, 60}, {60, 90}});
  ValLoader loader(set.data, small_options(1));
  const std::vector<Batch> all = all_of(loader);
  REQUIRE(all.size() == 3);
  loader.start(1, 3);
  Batch batch;
  for (size_t i = 1; i < 3; ++i) {
    REQUIRE(loader.next(batch));
    CHECK(bytes_of(batch) == bytes_of(all[i]));
  }
  CHECK_FALSE(loader.next(batch));
  loader.start(2, 2);
  CHECK_FALSE(loader.next(batch));  // nothing was to be read, so nothing is wrong
  for (const auto& [begin, end] : {std::pair(-1, 2), std::pair(2, 1), std::pair(0, 4)}) {
    CHECK_THROWS_AS(loader.start(begin, end), ValueError);
  }
}

TEST_CASE("val loader: impossible options are refused") {
  const PictureSet set({{64, 64}});
  ValLoaderOptions options;
  options.image_size = 100;
  CHECK_THROWS_WITH_TEXT(ValLoader(set.data, options), ValueError, "a multiple of the stride 32");
  options = {};
  options.batch = 0;
  CHECK_THROWS_WITH_TEXT(ValLoader(set.data, options), ValueError, "batch 0");
  CHECK_THROWS_WITH_TEXT(ValLoader(nullptr, ValLoaderOptions()), ValueError, "no pictures");
}

}  // namespace ydistill::test
