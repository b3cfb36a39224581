// SPDX-License-Identifier: MIT
#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <thread>

#include <ydistill/data/dataset.h>
#include <ydistill/data/outline.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

DataSource yolo(const std::filesystem::path& path) {
  return {DataSource::Kind::kYolo, path, "", ""};
}

void write_picture(const std::filesystem::path& path, int64_t width = 40, int64_t height = 20) {
  std::filesystem::create_directories(path.parent_path());
  write_png(path, slope(width, height));
}

/// What becomes of one label file beside one picture.
Dataset with_labels(const std::string& text, std::vector<std::string> names = {"a", "b", "c"}) {
  const TempDir dir;
  write_picture(dir / "images/p.png");
  write_file(dir / "labels/p.txt", text);
  return load_dataset(yolo(dir / "images"), std::move(names));
}

/// A line that is dropped beside a good one, and why.
void check_dropped(const std::string& line, const std::string& reason) {
  INFO(line);
  const Dataset data = with_labels("1 0.5 0.5 0.25 0.5\n" + line + "\n");
  REQUIRE(data.samples.size() == 1);
  CHECK(data.samples[0].labels == std::vector<Label>{{1, 0.5, 0.5, 0.25, 0.5}});
  CHECK(data.labels_dropped == 1);
  REQUIRE(data.findings.size() == 1);
  const Finding& finding = data.findings[0];
  CHECK(finding.file.filename() == "p.txt");
  CHECK(finding.line == 2);
  CHECK(finding.effect == "label dropped");
  INFO(finding.reason);
  CHECK(finding.reason.find(reason) != std::string::npos);
}

/// While it lives no thread begins: each would get a larger stack than there are addresses.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&old_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, size_t(1) << 47);
    pthread_setattr_default_np(&huge);
    pthread_attr_destroy(&huge);
  }
  ~NoThreads() {
    pthread_setattr_default_np(&old_);
    pthread_attr_destroy(&old_);
  }

 private:
  pthread_attr_t old_{};
};

}  // namespace

TEST_CASE("yolo: where no threads can be had the calling one reads all pictures") {
  const TempDir dir;
  for (int i = 0; i < 5; ++i) write_picture(dir / fmt::format("images/{}.png", i));
  const NoThreads none;
  REQUIRE_THROWS_AS(std::thread([] {}).join(), std::system_error);
  CHECK(load_dataset(yolo(dir / "images")).samples.size() == 5);
}

TEST_CASE("yolo: reading is given up at the next picture once it is to stop") {
  const TempDir dir;
  for (int i = 0; i < 4; ++i) write_picture(dir / fmt::format("images/{}.png", i));
  write_file(dir / "set.yaml", "train: images\nnames: [x]\n");
  int asked = 0;
  for (const DataSource::Kind kind : {DataSource::Kind::kYolo, DataSource::Kind::kYaml}) {
    DataSource source = yolo(dir / "images");
    if (kind == DataSource::Kind::kYaml) source = {kind, dir / "set.yaml", "train", "", {}};
    source.stop = [&] { return ++asked > 1; };
    const NoThreads none;  // the calling thread, which asks, reads them all
    asked = 0;
    CHECK_THROWS_AS(load_dataset(source), StoppedError);
    CHECK(asked == 2);
    source.stop = [&] { return false; };
    CHECK(load_dataset(source).samples.size() == 4);
  }
}

TEST_CASE("yolo: a folder is searched with its subfolders in sorted order") {
  const TempDir dir;
  write_picture(dir / "images/b.png");
  write_picture(dir / "images/a/z.PNG", 30, 50);
  write_picture(dir / "images/a.png");
  write_file(dir / "images/notes.md", "no picture");
  write_file(dir / "labels/a/z.txt", "2 0.5 0.5 0.1 0.2\n0 0.25 0.5 0.5 1\n");
  const Dataset data = load_dataset(yolo(dir / "images"), {"x", "y", "z"});
  REQUIRE(data.samples.size() == 3);
  std::vector<std::string> order;
  for (const Sample& sample : data.samples) {
    order.push_back(std::filesystem::relative(sample.image, dir.path()).generic_string());
  }
  CHECK(std::is_sorted(order.begin(), order.end()));
  const auto z = std::find(order.begin(), order.end(), "images/a/z.PNG");
  REQUIRE(z != order.end());
  const Sample& sample = data.samples[size_t(z - order.begin())];
  CHECK(sample.width == 30);
  CHECK(sample.height == 50);
  CHECK(sample.labelled);
  CHECK(sample.labels == std::vector<Label>{{2, 0.5, 0.5, 0.1, 0.2}, {0, 0.25, 0.5, 0.5, 1}});
  CHECK(data.names == std::vector<std::string>{"x", "y", "z"});
  CHECK(data.findings.empty());
  CHECK(data.num_labels() == 2);
}

TEST_CASE("yolo: a list keeps its order and is relative to its own folder") {
  const TempDir dir;
  write_picture(dir / "set/images/one two.png");
  write_picture(dir / "set/images/größe.png");
  write_picture(dir / "absolute.png");
  write_file(dir / "set/labels/one two.txt", "0 0.5 0.5 0.5 0.5");
  write_file(dir / "set/labels/größe.txt", "1 0.5 0.5 0.5 0.5");
  // Byte order mark, Windows line ends, blank lines, blanks around, no end of line.
  write_file(dir / "set/list.txt",
             "\xef\xbb\xbf./images/one two.png\r\n\r\n  images/größe.png \r\n" +
                 (dir / "absolute.png").string());
  const Dataset data = load_dataset(yolo(dir / "set/list.txt"));
  REQUIRE(data.samples.size() == 3);
  CHECK(data.samples[0].labels.at(0).class_id == 0);
  CHECK(data.samples[1].labels.at(0).class_id == 1);
  CHECK(data.samples[2].image == dir / "absolute.png");
  CHECK(data.findings.empty());
  CHECK(data.names == std::vector<std::string>{"class0", "class1"});
}

TEST_CASE("yolo: links to folders are followed but loops and second ways are not") {
  const TempDir dir;
  write_picture(dir / "images/deep/a.png");
  write_picture(dir / "elsewhere/b.png");
  std::filesystem::create_directory_symlink("..", dir / "images/deep/up");
  std::filesystem::create_directory_symlink(dir / "images/deep", dir / "images/again");
  std::filesystem::create_directory_symlink(dir / "elsewhere", dir / "images/out");
  std::filesystem::create_symlink("self", dir / "images/self");
  std::filesystem::create_symlink("none.png", dir / "images/broken.png");
  const Dataset data = load_dataset(yolo(dir / "images"), {"x"});
  REQUIRE(data.samples.size() == 2);
  CHECK(data.samples[0].image == dir / "images/deep/a.png");
  CHECK(data.samples[1].image == dir / "images/out/b.png");
  const std::string all = all_findings(data.findings);
  INFO(all);
  CHECK(data.findings.size() == 3);
  CHECK(all.find("deep/up: links to ") != std::string::npos);
  CHECK(all.find("images/again: links to ") != std::string::npos);
  CHECK(all.find("which is read already (folder left out)") != std::string::npos);
  CHECK(all.find("there is no picture ") != std::string::npos);
}

TEST_CASE("yolo: labels are found by the last images component or beside the picture") {
  const TempDir dir;
  write_picture(dir / "images/x/images/p.png");
  write_file(dir / "images/x/labels/p.txt", "1 0.5 0.5 0.5 0.5");
  write_file(dir / "labels/x/images/p.txt", "2 0.5 0.5 0.5 0.5");
  CHECK(load_dataset(yolo(dir / "images")).samples.at(0).labels.at(0).class_id == 1);
  write_picture(dir / "flat/q.png");
  write_file(dir / "flat/q.txt", "3 0.5 0.5 0.5 0.5");
  CHECK(load_dataset(yolo(dir / "flat")).samples.at(0).labels.at(0).class_id == 3);
}

TEST_CASE("yolo: a missing or empty label file is a background picture") {
  const TempDir dir;
  write_picture(dir / "images/a.png");
  write_picture(dir / "images/b.png");
  write_file(dir / "labels/b.txt", "\n");
  const Dataset data = load_dataset(yolo(dir / "images"), {"x"});
  REQUIRE(data.samples.size() == 2);
  CHECK(data.num_labels() == 0);
  CHECK(data.samples[0].labelled);
  CHECK(data.findings.empty());
}

TEST_CASE("yolo: Windows line ends tabs a byte order mark and floats as classes are fine") {
  const Dataset data = with_labels(
      "\xef\xbb\xbf"
      "0\t0.5 0.5  0.25 +0.5\r\n2.0 1e-1 0.5 0.1 1.0\r\n");
  CHECK(data.findings.empty());
  CHECK(data.samples[0].labels ==
        std::vector<Label>{{0, 0.5, 0.5, 0.25, 0.5}, {2, 0.1, 0.5, 0.1, 1}});
}

TEST_CASE("yolo: a polygon becomes an outline and the box around it") {
  const Dataset data = with_labels("1 0.1 0.2 0.5 0.3 0.3 0.8\n2 0 0 1 0 1 1 0 1\n");
  CHECK(data.findings.empty());
  REQUIRE(data.samples[0].labels.size() == 2);
  const Label& label = data.samples[0].labels[0];
  CHECK(label.cx == Approx(0.3));
  CHECK(label.cy == Approx(0.5));
  CHECK(label.w == Approx(0.4));
  CHECK(label.h == Approx(0.6));
  CHECK(label.polygon == Polygon{{0.1f, 0.2f}, {0.5f, 0.3f}, {0.3f, 0.8f}});
  CHECK(data.samples[0].labels[1] == Label{2, 0.5, 0.5, 1, 1, {{0, 0}, {1, 0}, {1, 1}, {0, 1}}});
}

TEST_CASE("yolo: values out of range by rounding are clipped") {
  const Dataset data = with_labels("0 0.5 -0.0000005 0.25 1.0000005\n");
  CHECK(data.findings.empty());
  CHECK(data.samples[0].labels == std::vector<Label>{{0, 0.5, 0, 0.25, 1}});
}

TEST_CASE("yolo: bad lines are dropped and listed one by one") {
  check_dropped("0 0.5 0.5 0.25", "4 columns, expected 5");
  check_dropped("0 0.5 0.5 0.25 0.5 0.9", "6 columns, expected 5");
  check_dropped("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3", "8 columns");
  check_dropped("0 0.5 0.5 nan 0.5", "column 4: \"nan\" is not a finite number");
  check_dropped("0 0.5 0.5 inf 0.5", "column 4: \"inf\"");
  check_dropped("0 0.5 0.5 1e999 0.5", "column 4: \"1e999\"");
  check_dropped("cat 0.5 0.5 0.5 0.5", "column 1: \"cat\"");
  check_dropped("0 0,5 0.5 0.5 0.5", "column 2: \"0,5\"");
  check_dropped("0.5 0.5 0.5 0.5 0.5", "class 0.5 is not an integer");
  check_dropped("3 0.5 0.5 0.5 0.5", "class 3 is out of range, expected 0 to 2");
  check_dropped("-1 0.5 0.5 0.5 0.5", "class -1 is out of range");
  check_dropped("1e300 0.5 0.5 0.5 0.5", "is out of range");
  check_dropped("0 1.1 0.5 0.5 0.5", "column 2: 1.1 is outside 0 to 1");
  check_dropped("0 0.5 0.5 -0.5 0.5", "column 4: -0.5 is outside 0 to 1");
  check_dropped("0 0.5 0.5 0 0.5", "the box is 0 x 0.5, it has no area");
  check_dropped("0 0.1 0.1 0.5 0.1 0.9 0.1", "it has no area");
  check_dropped("1 0.5 0.5 0.25 0.5", "repeats an earlier line");
  check_dropped("\x01\x02", "column 1: \"\\x01\\x02\"");
}

TEST_CASE("yolo: without names class ids have a limit") {
  std::string rows;
  for (int id = 9; id <= 10009; id += 10) rows += fmt::format("{} 0.5 0.5 0.5 0.5\n", id);
  const Dataset data = with_labels(rows, {});
  CHECK(data.names.size() == 10000);
  CHECK(data.labels_dropped == 1);
}

TEST_CASE("yolo: bad pictures are dropped and listed") {
  const TempDir dir;
  write_picture(dir / "images/good.png");
  write_picture(dir / "images/small.png", 9, 100);
  write_file(dir / "images/text.jpg", "this is text");
  write_file(dir / "images/empty.png", "");
  write_file(dir / "images/other.webp", "RIFF");
  write_jpeg(dir / "images/half.jpg", noise(64, 64, 1));
  const std::string jpeg = read_file(dir / "images/half.jpg");
  write_file(dir / "images/half.jpg", jpeg.substr(0, jpeg.size() / 2));
  const Dataset data = load_dataset(yolo(dir / "images"), {"x"});
  CHECK(data.samples.size() == 1);
  CHECK(data.pictures_dropped == 5);
  REQUIRE(data.findings.size() == 5);
  const std::string all = all_findings(data.findings);
  INFO(all);
  CHECK(all.find("small.png: 9x100 pixels, expected at least 10 per side (picture dropped)\n") !=
        std::string::npos);
  CHECK(all.find("text.jpg: is no JPEG, PNG or BMP picture") != std::string::npos);
  CHECK(all.find("empty.png: is empty") != std::string::npos);
  CHECK(all.find("other.webp: is no JPEG, PNG or BMP picture") != std::string::npos);
  CHECK(all.find("half.jpg: the JPEG is cut short") != std::string::npos);
  CHECK(data.summary() ==
        "1 pictures, 0 labels, 1 classes; dropped: 5 pictures, 0 labels; ignored: 0 labels");
}

TEST_CASE("yolo: a listed picture that is missing is named with its line") {
  const TempDir dir;
  write_picture(dir / "a.png");
  write_file(dir / "list.txt", "a.png\nnone.png\n");
  const Dataset data = load_dataset(yolo(dir / "list.txt"), {"x"});
  CHECK(data.samples.size() == 1);
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].file.filename() == "list.txt");
  CHECK(data.findings[0].line == 2);
  CHECK(data.findings[0].reason.find("there is no picture ") == 0);
  CHECK(data.findings[0].reason.find("none.png") != std::string::npos);
}

TEST_CASE("yolo: sources without one usable picture are refused") {
  const TempDir dir;
  CHECK_THROWS_WITH_TEXT(load_dataset(yolo(dir / "none")), FileError,
                         "none: no such file or folder");
  CHECK_THROWS_WITH_TEXT(load_dataset(yolo(dir.path())), FileError, "no picture found");
  write_file(dir / "images/a.png", "x");
  write_file(dir / "images/b.png", "");
  CHECK_THROWS_WITH_TEXT(load_dataset(yolo(dir / "images")), FileError,
                         "no usable picture: 2 dropped, the first: ");
  CHECK_THROWS_WITH_TEXT(load_dataset(yolo(dir / "images")), FileError, "a.png: is no JPEG");
}

TEST_CASE("yolo: a label file that is a link to nowhere drops the picture, it is no empty one") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}, {40, 30}});
  std::filesystem::remove(dir / "labels/1.txt");
  std::filesystem::create_symlink("not there", dir / "labels/1.txt");
  const Dataset data = load_dataset(yolo(dir / "images"));
  CHECK(data.samples.size() == 1);
  CHECK(all_findings(data.findings).find("1.txt: the labels cannot be read (picture dropped)") !=
        std::string::npos);
}

TEST_CASE("yolo: labels in a folder that is a link to nowhere drop their pictures") {
  const TempDir dir;
  for (const char* name : {"a", "b/c", "b/d"}) {
    write_picture(dir / (std::string("images/") + name + ".png"));
  }
  write_file(dir / "labels/a.txt", "0 0.5 0.5 0.1 0.1\n");
  std::filesystem::create_symlink("not mounted", dir / "labels/b");
  const Dataset data = load_dataset(yolo(dir / "images"));
  CHECK(data.samples.size() == 1);
  CHECK(data.pictures_dropped == 2);
  CHECK(all_findings(data.findings).find("c.txt: the labels cannot be read (picture dropped)") !=
        std::string::npos);
}

TEST_CASE("yolo: a class id far above the others is refused where the classes have no names") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}, {40, 30}});
  write_file(dir / "labels/1.txt", "1 0.5 0.5 0.1 0.1\n9999 0.5 0.5 0.2 0.1\n");
  CHECK_THROWS_WITH_TEXT(load_dataset(yolo(dir / "images")), FileError,
                         "labels/1.txt: class 9999, but only 3 classes have labels; correct it");
  write_file(dir / "labels/1.txt", "999 0.5 0.5 0.1 0.1\n");
  CHECK(load_dataset(yolo(dir / "images")).names.size() == 1000);
}

TEST_CASE("yolo: hidden files and folders are not pictures of the set") {
  const TempDir dir;
  for (const char* name : {"a.png", "._a.png", ".ipynb_checkpoints/a-checkpoint.png"}) {
    write_picture(dir / "images" / name);
  }
  const Dataset data = load_dataset(yolo(dir / "images"));
  CHECK(data.samples.size() == 1);
  CHECK(data.findings.empty());
}

TEST_CASE("yolo: a name given twice is refused") {
  CHECK_THROWS_WITH_TEXT(with_labels("", {"x", "y", "x"}), ValueError, "\"x\" is there twice");
}

TEST_CASE("yolo: sizes are those of the upright picture") {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", slope(40, 20));
  write_file(dir / "images/turned.jpg", with_orientation(read_file(dir / "a.jpg"), 6, true));
  const Dataset data = load_dataset(yolo(dir / "images"));
  CHECK(data.samples.at(0).width == 20);
  CHECK(data.samples.at(0).height == 40);
}

}  // namespace ydistill::test
