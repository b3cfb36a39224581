// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include <ydistill/data/loader.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

/// Seven pictures of all shapes; class = index.
struct SevenPictures {
  TempDir dir;
  std::shared_ptr<Dataset> data;

  SevenPictures() {
    write_yolo_set(dir.path(),
                   {{80, 60}, {60, 80}, {64, 64}, {40, 20}, {100, 90}, {33, 47}, {70, 70}});
    data =
        std::make_shared<Dataset>(load_dataset({DataSource::Kind::kYolo, dir / "images", "", ""}));
  }
  std::filesystem::path picture(int i) const {
    return dir / ("images/" + std::to_string(i) + ".png");
  }
};

TrainLoaderOptions small_options(int workers) {
  TrainLoaderOptions options;
  options.image_size = 64;
  options.batch = 3;
  options.seed = 11;
  options.workers = workers;
  return options;
}

/// The rest of an epoch as bytes, one text a batch.
std::vector<std::string> rest_of(TrainLoader& loader) {
  std::vector<std::string> all;
  Batch batch;
  while (loader.next(batch)) all.push_back(bytes_of(batch));
  return all;
}

std::vector<std::string> epoch_of(TrainLoader& loader, int64_t epoch, int64_t first_batch = 0) {
  loader.start_epoch(epoch, first_batch);
  return rest_of(loader);
}

std::vector<int64_t> indices_of(TrainLoader& loader, int64_t epoch) {
  std::vector<int64_t> all;
  Batch batch;
  loader.start_epoch(epoch);
  while (loader.next(batch)) all.insert(all.end(), batch.indices.begin(), batch.indices.end());
  return all;
}

}  // namespace

TEST_CASE(
    "train loader: the shares of several loaders are the batches of one, picture for picture") {
  const SevenPictures set;  // in batches of 3, 3 and 1
  TrainLoader whole(set.data, small_options(1));
  std::vector<Batch> batches;
  whole.start_epoch(2);
  for (Batch batch; whole.next(batch);) batches.push_back(batch);
  REQUIRE(batches.size() == 3);
  const auto pixels = [](const Batch& batch, int64_t slot) {
    const int64_t n = batch.images.nbytes() / batch.images.size(0);
    return std::string(reinterpret_cast<const char*>(batch.images.raw()) + slot * n, size_t(n));
  };
  for (const int64_t shares : {1, 2, 3, 5}) {
    for (int64_t share = 0; share < shares; ++share) {
      INFO("share " << share << " of " << shares);
      TrainLoaderOptions options = small_options(1);
      options.share = share;
      options.shares = shares;
      TrainLoader loader(set.data, options);
      CHECK(loader.batches_per_epoch() == 3);
      loader.start_epoch(2);
      for (const Batch& all : batches) {
        Batch own;
        REQUIRE(loader.next(own));
        const int64_t n = all.images.size(0);
        const int64_t count = share < n ? (n - share + shares - 1) / shares : 1;
        REQUIRE(own.images.size(0) == count);
        for (int64_t slot = 0; slot < count; ++slot) {
          const int64_t place = (share + slot * shares) % n;
          CHECK(own.indices[size_t(slot)] == all.indices[size_t(place)]);
          CHECK(pixels(own, slot) == pixels(all, place));
        }
      }
      Batch none;
      CHECK_FALSE(loader.next(none));
    }
  }
  for (const auto& [share, shares] : {std::pair(2, 2), std::pair(-1, 2), std::pair(0, 0)}) {
    TrainLoaderOptions options = small_options(0);
    options.share = share;
    options.shares = shares;
    CHECK_THROWS_AS(TrainLoader(set.data, options), ValueError);
  }
}

TEST_CASE("train loader: the memory of a batch is used again once nobody holds it, not before") {
  const SevenPictures set;
  for (const int workers : {0, 2}) {
    TrainLoaderOptions options = small_options(workers);
    options.batch = 1;
    TrainLoader loader(set.data, options);
    const std::vector<std::string> expected = epoch_of(loader, 0);
    std::set<const void*> places;
    std::vector<Batch> held;
    loader.start_epoch(0);
    for (Batch batch; loader.next(batch);) places.insert(batch.images.data<uint8_t>());
    CHECK(int64_t(places.size()) <= kBatchesAlive);
    loader.start_epoch(0);
    for (Batch batch; loader.next(batch);) held.push_back(batch);
    for (size_t i = 0; i < held.size(); ++i) CHECK(bytes_of(held[i]) == expected[i]);
  }
}

TEST_CASE("train loader: batches have the promised shapes and the last one is smaller") {
  const SevenPictures set;
  TrainLoader loader(set.data, small_options(2));
  CHECK(loader.batches_per_epoch() == 3);
  Batch batch;
  CHECK(!loader.next(batch));
  loader.start_epoch(0);
  std::vector<int64_t> sizes;
  while (loader.next(batch)) {
    const int64_t count = batch.images.size(0);
    sizes.push_back(count);
    CHECK(batch.images.shape() == Shape({count, 64, 64, 3}));
    CHECK(batch.images.dtype() == DType::kUInt8);
    CHECK(batch.targets.size(1) == 6);
    CHECK(int64_t(batch.indices.size()) == count);
    CHECK(batch.labelled == std::vector<uint8_t>(size_t(count), 1));
    CHECK(batch.letterboxes.empty());
    double last_picture = 0;
    for (int64_t i = 0; i < batch.targets.size(0); ++i) {
      const float* row = batch.targets.data<float>() + 6 * i;
      CHECK(row[0] >= last_picture);
      last_picture = row[0];
      CHECK(row[0] < float(count));
      CHECK(row[1] < 7);
      for (int c = 2; c < 6; ++c) CHECK((row[c] > 0 && row[c] < 1));
    }
  }
  CHECK(sizes == std::vector<int64_t>{3, 3, 1});
  CHECK(!loader.next(batch));
}

TEST_CASE("train loader: the number of workers changes nothing") {
  const SevenPictures set;
  TrainLoader alone(set.data, small_options(0));
  const auto epoch_0 = epoch_of(alone, 0), epoch_1 = epoch_of(alone, 1);
  for (const int workers : {1, 3}) {
    for (const int64_t cache_bytes : {int64_t(0), int64_t(20000), int64_t(1) << 20}) {
      TrainLoaderOptions options = small_options(workers);
      options.cache_bytes = cache_bytes;
      TrainLoader loader(set.data, options);
      CHECK(epoch_of(loader, 0) == epoch_0);
      CHECK(epoch_of(loader, 1) == epoch_1);
      CHECK(epoch_of(loader, 0) == epoch_0);
      CHECK(loader.cached_bytes() <= cache_bytes);
      CHECK((loader.cached_bytes() > 0) == (cache_bytes > 0));
    }
  }
}

TEST_CASE("train loader: epochs and seeds differ") {
  const SevenPictures set;
  TrainLoader loader(set.data, small_options(0));
  TrainLoaderOptions options = small_options(0);
  options.seed = 12;
  TrainLoader other(set.data, options);
  const auto first = epoch_of(loader, 0);
  CHECK(first != epoch_of(loader, 1));
  CHECK(first != epoch_of(other, 0));
}

TEST_CASE("train loader: an epoch can be continued in the middle") {
  const SevenPictures set;
  for (const int workers : {0, 2}) {
    TrainLoader loader(set.data, small_options(workers));
    const auto whole = epoch_of(loader, 4);
    REQUIRE(whole.size() == 3);
    CHECK(epoch_of(loader, 4, 1) == std::vector<std::string>(whole.begin() + 1, whole.end()));
    CHECK(epoch_of(loader, 4, 3).empty());
  }
}

TEST_CASE("train loader: shuffled epochs are permutations and file order is that of the dataset") {
  const SevenPictures set;
  TrainLoader loader(set.data, small_options(1));
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    std::vector<int64_t> order = indices_of(loader, epoch);
    orders.insert(order);
    std::sort(order.begin(), order.end());
    CHECK(order == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6});
  }
  CHECK(orders.size() == 4);
  TrainLoaderOptions options = small_options(1);
  options.order = Order::kFile;
  TrainLoader in_order(set.data, options);
  CHECK(indices_of(in_order, 3) == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("train loader: it stops cleanly in the middle of an epoch") {
  const SevenPictures set;
  Batch batch;
  for (int taken = 0; taken < 3; ++taken) {
    TrainLoader loader(set.data, small_options(3));
    loader.start_epoch(0);
    for (int i = 0; i < taken; ++i) CHECK(loader.next(batch));
    loader.start_epoch(1);  // drops what is left
    CHECK(loader.next(batch));
  }
}

TEST_CASE("train loader: an unreadable picture is listed and replaced") {
  const SevenPictures set;
  const std::string png = read_file(set.picture(2));
  write_file(set.picture(2), png.substr(0, png.size() / 2));
  TrainLoaderOptions options = small_options(0);
  options.order = Order::kFile;
  TrainLoader loader(set.data, options);
  const auto alone = epoch_of(loader, 0);
  CHECK(indices_of(loader, 0) == std::vector<int64_t>{0, 1, 3, 3, 4, 5, 6});
  REQUIRE(loader.findings().size() == 1);
  const std::string text = loader.findings()[0].str();
  INFO(text);
  CHECK(text.find("2.png: the PNG is cut short") != std::string::npos);
  CHECK(text.find("(picture left out)") != std::string::npos);
  options.workers = 3;
  TrainLoader threaded(set.data, options);
  CHECK(epoch_of(threaded, 0) == alone);
  CHECK(threaded.findings().size() == 1);
}

TEST_CASE("train loader: a picture that changed its size is left out") {
  const SevenPictures set;
  write_png(set.picture(6), noise(30, 30, 1));
  TrainLoaderOptions options = small_options(2);
  options.order = Order::kFile;
  TrainLoader loader(set.data, options);
  CHECK(indices_of(loader, 0) == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 0});
  CHECK(all_findings(loader.findings()).find("has 30x30 pixels now, 70x70 when") !=
        std::string::npos);
}

TEST_CASE("train loader: when no picture can be read it says so") {
  const SevenPictures set;
  for (int i = 0; i < 7; ++i) std::filesystem::remove(set.picture(i));
  for (const int workers : {0, 2}) {
    TrainLoader loader(set.data, small_options(workers));
    loader.start_epoch(0);
    Batch batch;
    CHECK_THROWS_WITH_TEXT(loader.next(batch), FileError,
                           "no labelled picture can be read any more: 7 left out, the first");
    CHECK(!loader.next(batch));
    CHECK(loader.findings().size() == 7);
  }
}

/// Makes the images of a batch of plans as a GPU does, with the "device" in the CPU's memory.
void render_plans(Batch& batch, DevicePictures& pictures) {
  const SamplePlan& first = batch.plans.front();
  const int64_t count = int64_t(batch.plans.size());
  const Tensor packed = Tensor::empty({count, DevicePictures::packed_bytes(first)}, DType::kUInt8);
  for (int64_t i = 0; i < count; ++i) {
    pictures.pack(batch.plans[size_t(i)], packed.data<uint8_t>() + i * packed.size(1));
  }
  batch.images = Tensor::empty({count, first.height, first.width, 3}, DType::kUInt8);
  gather_samples(packed, first.room, batch.images);
}

TEST_CASE("train loader: plans make the images that it makes itself, and pictures are read once") {
  for (const int workers : {0, 3}) {
    const SevenPictures set;
    TrainLoaderOptions options = small_options(workers);
    TrainLoader plain(set.data, options);
    const auto epoch_0 = epoch_of(plain, 0), epoch_1 = epoch_of(plain, 1);
    const auto pictures = std::make_shared<DevicePictures>(*set.data, 64, Device::cpu());
    options.device_pictures = pictures;
    TrainLoader planned(set.data, options);
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
      planned.start_epoch(epoch);
      std::vector<std::string> got;
      Batch batch;
      while (planned.next(batch)) {
        CHECK(!batch.images.defined());
        CHECK(batch.plans.size() == batch.indices.size());
        render_plans(batch, *pictures);
        got.push_back(bytes_of(batch));
      }
      CHECK(got == (epoch == 0 ? epoch_0 : epoch_1));
      for (int i = 0; i < 7; ++i) {
        CHECK(pictures->has(i));
        std::filesystem::remove(set.picture(i));
      }
    }
    CHECK(planned.findings().empty());
  }
}

TEST_CASE("train loader: the first batches of a run come rendered where that is asked for") {
  const SevenPictures set;
  TrainLoaderOptions options = small_options(2);
  TrainLoader plain(set.data, options);
  const auto pictures = std::make_shared<DevicePictures>(*set.data, 64, Device::cpu());
  options.device_pictures = pictures;
  options.rendered_batches = 2;
  TrainLoader planned(set.data, options);
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    const auto wanted = epoch_of(plain, epoch);
    planned.start_epoch(epoch);
    Batch batch;
    for (size_t i = 0; planned.next(batch); ++i) {
      CHECK(batch.plans.size() == batch.indices.size());
      REQUIRE(batch.images.defined() == (epoch == 0 && i < 2));
      if (batch.images.defined()) CHECK(bytes_of(batch) == wanted[i]);
      render_plans(batch, *pictures);
      CHECK(bytes_of(batch) == wanted[i]);
    }
  }
}

TEST_CASE("train loader: unlabelled pictures keep to themselves") {
  const SevenPictures set;
  for (const size_t i : {1, 4}) {
    set.data->samples[i].labelled = false;
    set.data->samples[i].labels.clear();
  }
  TrainLoader loader(set.data, small_options(2));
  Batch batch;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    loader.start_epoch(epoch);
    while (loader.next(batch)) {
      for (size_t slot = 0; slot < batch.indices.size(); ++slot) {
        const bool labelled = batch.indices[slot] != 1 && batch.indices[slot] != 4;
        CHECK(bool(batch.labelled[slot]) == labelled);
      }
      for (int64_t i = 0; i < batch.targets.size(0); ++i) {
        CHECK(batch.labelled[size_t(batch.targets.at(6 * i))] == 1);
      }
    }
  }
}

TEST_CASE("train loader: an unlabelled picture that comes again in an epoch is another sample") {
  const SevenPictures set;
  set.data->samples[1].labelled = false;
  set.data->samples[1].labels.clear();
  TrainLoaderOptions options = small_options(0);
  options.batch = 4;
  const auto bytes_at = [](const Batch& batch, size_t slot) {
    const int64_t bytes = batch.images.numel() / batch.images.size(0);
    const auto* pixels = batch.images.data<uint8_t>() + int64_t(slot) * bytes;
    return std::string(pixels, pixels + bytes);
  };
  const auto samples_of_one = [&](TrainLoader& loader) {
    std::vector<std::string> samples;
    Batch batch;
    loader.start_epoch(0);
    while (loader.next(batch)) {
      for (size_t slot = 0; slot < batch.indices.size(); ++slot) {
        if (batch.indices[slot] == 1) samples.push_back(bytes_at(batch, slot));
      }
    }
    return samples;
  };
  TrainLoader without(set.data, options);
  options.unlabelled_share = 0.5;
  TrainLoader with_share(set.data, options);
  const std::vector<std::string> first = samples_of_one(without);
  const std::vector<std::string> all = samples_of_one(with_share);
  REQUIRE(first.size() == 1);
  REQUIRE(all.size() == 6);   // beside as many labelled ones
  CHECK(all[0] == first[0]);  // as before
  CHECK(std::set<std::string>(all.begin(), all.end()).size() == all.size());
  CHECK(samples_of_one(with_share) == all);
}

TEST_CASE("train loader: mosaics end with the epoch they are closed in") {
  const SevenPictures set;
  TrainLoaderOptions options = small_options(2);
  TrainLoader open(set.data, options);
  options.mosaic_epochs = 2;
  TrainLoader closing(set.data, options);
  options.augment.mosaic = 0;
  TrainLoader without(set.data, options);
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    CHECK(epoch_of(closing, epoch) == epoch_of(epoch < 2 ? open : without, epoch));
    CHECK(epoch_of(closing, epoch, 1) == epoch_of(epoch < 2 ? open : without, epoch, 1));
  }
}

TEST_CASE("train loader: with multi-scale a batch's side is a function of seed, epoch and number") {
  const SevenPictures set;
  TrainLoaderOptions options = small_options(0);
  options.batch = 1;
  options.multi_scale = 0.5;
  TrainLoader loader(set.data, options);
  std::set<int64_t> sides;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    loader.start_epoch(epoch);
    std::vector<int64_t> of_epoch;
    Batch batch;
    while (loader.next(batch)) {
      CHECK(batch.images.size(1) == batch.images.size(2));
      of_epoch.push_back(batch.images.size(1));
    }
    sides.insert(of_epoch.begin(), of_epoch.end());
    loader.start_epoch(epoch, 4);
    REQUIRE(loader.next(batch));
    CHECK(batch.images.size(1) == of_epoch[4]);
  }
  // 64 (1 -+ 0.5), and below the next stride of 32: randrange(32, 128) // 32 * 32
  CHECK(sides == std::set<int64_t>{32, 64, 96});
}

TEST_CASE("train loader: multi-scale resizes the sample that there would be, labels and all") {
  const SevenPictures set;
  TrainLoaderOptions options = small_options(0);
  options.batch = 7;
  options.order = Order::kFile;
  options.augment = {};
  options.augment.scale = options.augment.translate = options.augment.mosaic = 0;
  options.augment.hsv_h = options.augment.hsv_s = options.augment.hsv_v = 0;
  TrainLoader plain(set.data, options);
  options.multi_scale = 0.5;
  TrainLoader scaled(set.data, options);
  Batch before, after;
  for (int64_t epoch = 0;; ++epoch) {  // one with half the side
    REQUIRE(epoch < 100);
    scaled.start_epoch(epoch);
    REQUIRE(scaled.next(after));
    plain.start_epoch(epoch);
    REQUIRE(plain.next(before));
    CHECK(std::equal(before.targets.raw(), before.targets.raw() + before.targets.nbytes(),
                     after.targets.raw()));
    if (after.images.size(1) == 32) break;
  }
  // Half the side: every pixel is the mean of four, up to the rounding of 1/2 each.
  const uint8_t* from = before.images.data<uint8_t>();
  const uint8_t* to = after.images.data<uint8_t>();
  int largest = 0;
  for (int64_t n = 0; n < 7; ++n) {
    for (int64_t y = 0; y < 32; ++y) {
      for (int64_t x = 0; x < 32; ++x) {
        for (int64_t c = 0; c < 3; ++c) {
          const auto at = [&](int64_t u, int64_t v) {
            return int(from[((n * 64 + 2 * y + v) * 64 + 2 * x + u) * 3 + c]);
          };
          const int mean = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4;
          largest = std::max(largest, std::abs(mean - to[((n * 32 + y) * 32 + x) * 3 + c]));
        }
      }
    }
  }
  CHECK(largest <= 1);
}

TEST_CASE("train loader: in a frame that no other picture fits a replacement is stretched") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{64, 64}, {64, 64}, {64, 16}});
  const auto data =
      std::make_shared<Dataset>(load_dataset({DataSource::Kind::kYolo, dir / "images", "", ""}));
  write_file(dir / "images/2.png", "no picture any more");
  TrainLoaderOptions options = small_options(0);
  options.batch = 1;
  options.stride = 16;
  options.form = BatchForm::kRectangular;
  TrainLoader loader(data, options);
  loader.start_epoch(0);
  Batch batch;
  int batches = 0, flat = 0;
  while (loader.next(batch)) {
    ++batches;
    CHECK(batch.indices[0] != 2);
    if (batch.images.size(1) < batch.images.size(2)) ++flat;
  }
  CHECK(batches == 3);
  CHECK(flat == 1);
  CHECK(loader.findings().size() == 1);
}

TEST_CASE("train loader: rectangular batches are sorted by shape and as flat as they allow") {
  const SevenPictures set;
  TrainLoaderOptions options = small_options(2);
  options.form = BatchForm::kRectangular;
  options.stride = 16;
  options.augment.translate = options.augment.scale = 0;
  TrainLoader loader(set.data, options);
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<int64_t> order;
    std::vector<Shape> shapes;
    Batch batch;
    loader.start_epoch(epoch);
    while (loader.next(batch)) {
      order.insert(order.end(), batch.indices.begin(), batch.indices.end());
      shapes.push_back(batch.images.shape());
    }
    // height / width: 3: 0.5, 0: 0.75, 4: 0.9 | 2: 1, 6: 1, 1: 1.33 | 5: 1.42
    CHECK(order == std::vector<int64_t>{3, 0, 4, 2, 6, 1, 5});
    // 0.9 of 64 is 57.6, four strides; 1/1.42 of 64 is 44.9, three strides.
    CHECK(shapes == std::vector<Shape>{{3, 64, 64, 3}, {3, 64, 64, 3}, {1, 64, 48, 3}});
  }
  options.batch = 2;
  TrainLoader pairs(set.data, options);
  pairs.start_epoch(0);
  Batch batch;
  REQUIRE(pairs.next(batch));
  CHECK(batch.images.shape() == Shape({2, 48, 64, 3}));  // 0.75 of 64
}

TEST_CASE("train loader: a rectangular batch has room for a size that is rounded up") {
  const TempDir dir;
  // 640 / 212 * 159 is 480, and a little more in floating point: the picture is loaded with 481.
  write_yolo_set(dir.path(), {{212, 159}, {212, 159}, {160, 120}, {160, 120}});
  const auto data =
      std::make_shared<Dataset>(load_dataset({DataSource::Kind::kYolo, dir / "images", "", ""}));
  TrainLoaderOptions options = small_options(0);
  options.image_size = 640;
  options.batch = 4;
  options.form = BatchForm::kRectangular;
  TrainLoader loader(data, options);
  loader.start_epoch(0);
  Batch batch;
  REQUIRE(loader.next(batch));
  CHECK(batch.images.shape() == Shape({4, 512, 640, 3}));
  CHECK(std::set(batch.indices.begin(), batch.indices.end()).size() == 4);
}

TEST_CASE("train loader: an unreadable picture is replaced by one that its batch has room for") {
  const SevenPictures set;
  TrainLoaderOptions options = small_options(0);
  options.form = BatchForm::kRectangular;
  options.stride = 16;
  options.batch = 2;
  std::filesystem::remove(set.picture(0));  // 80 x 60: 64 x 48 in a batch of 48 rows
  TrainLoader loader(set.data, options);
  CHECK(indices_of(loader, 0) == std::vector<int64_t>{3, 3, 4, 2, 6, 1, 5});
}

TEST_CASE("train loader: drawn by weight pictures come as often as their weights say") {
  const SevenPictures set;
  TrainLoader loader(set.data, small_options(0));
  loader.set_picture_weights({0, 1, 0, 0, 3, 0, 0});
  std::array<int, 7> counts{};
  std::set<std::string> samples;
  for (int64_t epoch = 0; epoch < 100; ++epoch) {
    for (const int64_t index : indices_of(loader, epoch)) ++counts[size_t(index)];
    for (const std::string& bytes : epoch_of(loader, epoch)) samples.insert(bytes);
  }
  CHECK(samples.size() == 300);  // a picture that comes again gets other random numbers
  CHECK(counts[1] + counts[4] == 700);
  CHECK(std::abs(counts[4] - 525) < 4 * 12);  // standard deviation 11.5
  loader.set_picture_weights({});
  TrainLoader plain(set.data, small_options(0));
  CHECK(epoch_of(loader, 3) == epoch_of(plain, 3));
  CHECK_THROWS_WITH_TEXT(loader.set_picture_weights({1, 2}), ValueError,
                         "2 picture weights for 7 pictures");
  CHECK_THROWS_WITH_TEXT(loader.set_picture_weights({1, 1, 1, -1, 1, 1, 1}), ValueError,
                         "a picture weight of -1");
}

TEST_CASE("train loader: pictures drawn by weight stand where labelled ones do") {
  const SevenPictures set;
  for (const size_t i : {1, 4}) {
    set.data->samples[i].labelled = false;
    set.data->samples[i].labels.clear();
  }
  TrainLoader loader(set.data, small_options(0));
  loader.set_picture_weights({0, 5, 1, 0, 5, 0, 1});
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    std::multiset<int64_t> others;
    std::vector<int64_t> unlabelled;
    for (const int64_t index : indices_of(loader, epoch)) {
      if (index == 1 || index == 4) {
        unlabelled.push_back(index);
      } else {
        others.insert(index);
      }
    }
    std::sort(unlabelled.begin(), unlabelled.end());
    CHECK(unlabelled == std::vector<int64_t>{1, 4});
    CHECK(others.count(2) + others.count(6) == 5);
  }
}

/// With everything on: `kind` 0 multi-scale and weights, 1 rectangular and multi-scale.
TrainLoaderOptions full_options(int workers, int kind) {
  TrainLoaderOptions options = small_options(workers);
  options.multi_scale = 0.5;
  options.stride = 16;
  options.augment.perspective = 0.0005;
  options.augment.mixup = options.augment.mosaic9 = options.augment.copy_paste = 0.5;
  if (kind == 1) options.form = BatchForm::kRectangular;
  return options;
}

void give_outlines(Dataset& dataset) {
  for (Sample& sample : dataset.samples) {
    for (Label& label : sample.labels) {
      const float x = float(label.cx), y = float(label.cy), r = float(label.w / 2);
      label.polygon = {{x - r, y}, {x, y - r}, {x + r, y}, {x, y + r}};
    }
  }
}

TEST_CASE(
    "train loader: with all options on neither workers nor plans nor a resume change a byte") {
  for (const int kind : {0, 1}) {
    const SevenPictures set;
    give_outlines(*set.data);
    const auto weighted = [&](TrainLoader& loader) {
      if (kind == 0) loader.set_picture_weights({1, 2, 3, 4, 5, 6, 7});
    };
    TrainLoader alone(set.data, full_options(0, kind));
    weighted(alone);
    const auto pictures = std::make_shared<DevicePictures>(*set.data, 64, Device::cpu());
    TrainLoaderOptions options = full_options(3, kind);
    TrainLoader threaded(set.data, options);
    weighted(threaded);
    options.device_pictures = pictures;
    TrainLoader planned(set.data, options);
    weighted(planned);
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      INFO("kind " << kind << ", epoch " << epoch);
      const auto whole = epoch_of(alone, epoch);
      REQUIRE(whole.size() == 3);
      CHECK(epoch_of(threaded, epoch) == whole);
      CHECK(epoch_of(threaded, epoch, 1) ==
            std::vector<std::string>(whole.begin() + 1, whole.end()));
      planned.start_epoch(epoch);
      Batch batch;
      for (size_t i = 0; planned.next(batch); ++i) {
        render_plans(batch, *pictures);
        CHECK(bytes_of(batch) == whole[i]);
      }
    }
  }
}

TEST_CASE("train loader: batches live on the heap whatever arena is open") {
  const SevenPictures set;
  const auto arena = Arena::create(int64_t(1) << 20);
  const ArenaScope scope(arena);
  for (const int workers : {0, 2}) {
    TrainLoader loader(set.data, small_options(workers));
    loader.start_epoch(0);
    Batch batch;
    CHECK(loader.next(batch));
    CHECK(arena->bytes_in_use() == 0);
  }
}

TEST_CASE("train loader: waiting is counted from the start of the epoch") {
  const SevenPictures set;
  TrainLoader loader(set.data, small_options(0));
  CHECK(loader.seconds_waited() == 0);
  epoch_of(loader, 0);
  CHECK(loader.seconds_waited() > 0);
  loader.start_epoch(1);
  CHECK(loader.seconds_waited() == 0);
}

TEST_CASE("train loader: impossible options are refused") {
  const SevenPictures set;
  const auto refused = [&](auto change, const std::string& text) {
    TrainLoaderOptions options = small_options(0);
    change(options);
    CHECK_THROWS_WITH_TEXT(TrainLoader(set.data, options), ValueError, text);
  };
  refused([](auto& o) { o.batch = 0; }, "batch 0, at least 1 wanted");
  refused([](auto& o) { o.image_size = 0; }, "image size 0");
  refused([](auto& o) { o.workers = -1; }, "-1 workers");
  refused([](auto& o) { o.cache_bytes = -1; }, "a cache of -1 bytes");
  refused([](auto& o) { o.augment.scale = 2; }, "augment.scale");
  refused([](auto& o) { o.augment.mixup = 2; }, "augment.mixup");
  refused([](auto& o) { o.augment.perspective = 0.01; }, "augment.perspective: 0.01, 0 to 0.001");
  refused([](auto& o) { o.multi_scale = 1; }, "multi-scale 1, 0 to 0.9 wanted");
  refused(
      [](auto& o) {
        o.multi_scale = 0.5;
        o.stride = 48;
      },
      "image size 64, a multiple of the stride 48");
  refused(
      [](auto& o) {
        o.form = BatchForm::kRectangular;
        o.unlabelled_share = 0.5;
      },
      "rectangular batches cannot hold");
  CHECK_THROWS_WITH_TEXT(TrainLoader(std::make_shared<Dataset>(), small_options(0)), ValueError,
                         "no pictures");
  TrainLoader loader(set.data, small_options(0));
  CHECK_THROWS_WITH_TEXT(loader.start_epoch(0, 4), ValueError, "from batch 4, an epoch has 3");
  CHECK_THROWS_WITH_TEXT(loader.start_epoch(-1), ValueError, "epoch -1");
}

}  // namespace ydistill::test
