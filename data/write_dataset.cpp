// SPDX-License-Identifier: MIT
#include <ydistill/data/write_dataset.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <set>
#include <system_error>
#include <utility>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/data/dataset_writer.h>
#include <ydistill/data/image.h>
#include <ydistill/data/picture_list.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/new_file.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace writing {

namespace fs = std::filesystem;

PixelBox pixel_box(const Label& label, const Sample& sample) {
  const double w = double(sample.width), h = double(sample.height);
  return {w * (label.cx - label.w / 2), h * (label.cy - label.h / 2), w * (label.cx + label.w / 2),
          h * (label.cy + label.h / 2)};
}

bool has_outline(const Label& label) {
  if (label.polygon.size() < 3) return false;
  const auto [low_x, high_x] = std::minmax_element(label.polygon.begin(), label.polygon.end(),
                                                   [](auto& a, auto& b) { return a[0] < b[0]; });
  const auto [low_y, high_y] = std::minmax_element(label.polygon.begin(), label.polygon.end(),
                                                   [](auto& a, auto& b) { return a[1] < b[1]; });
  return (*high_x)[0] > (*low_x)[0] && (*high_y)[1] > (*low_y)[1];
}

std::string pixels(double value) {
  const double rounded = std::round(value * 1000) / 1000;
  return fmt::format("{:.12g}", rounded == 0 ? 0.0 : rounded);  // no -0
}

void write_text(const fs::path& file, const std::string& text) {
  make_folder(file.parent_path());
  write_new_file(file, text);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw FileError("{}: the folder cannot be made: {}", printable(folder.string()),
                    error.message());
  }
}

fs::path picture_folder(DatasetFormat format, const std::string& split) {
  return format == DatasetFormat::kVoc ? fs::path("JPEGImages") : fs::path("images") / split;
}

}  // namespace writing

namespace {

namespace fs = std::filesystem;

/// A new folder that is removed again unless it is renamed to its target.
class FolderInTheMaking {
 public:
  explicit FolderInTheMaking(const fs::path& place)
      : place_(place), path_(place.string() + fmt::format(".part{}", ::getpid())) {
    std::error_code error;
    if (fs::exists(fs::symlink_status(place, error))) {
      throw FileError("{}: already exists; name a new folder", printable(place.string()));
    }
    fs::create_directories(path_, error);
    if (error) throw FileError("{}: {}", printable(place.string()), error.message());
  }
  ~FolderInTheMaking() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  FolderInTheMaking(const FolderInTheMaking&) = delete;
  FolderInTheMaking& operator=(const FolderInTheMaking&) = delete;

  const fs::path& path() const { return path_; }
  void finish() {
    std::error_code error;
    fs::rename(path_, place_, error);
    if (error) throw FileError("{}: {}", printable(place_.string()), error.message());
    path_.clear();
  }

 private:
  const fs::path place_;
  fs::path path_;
};

/// Blanks and control characters become _, for lists with one name per line; so does invalid UTF-8,
/// for JSON and XML.
std::string plain_stem(const fs::path& picture) {
  std::string stem = picture.stem().string();
  const bool is_text = is_utf8(stem);
  for (char& c : stem) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 127 || (byte > 127 && !is_text)) c = '_';
  }
  return stem;
}

std::string suffix_of(const fs::path& picture) {
  if (reading::has_picture_suffix(picture)) return picture.extension().string();
  switch (probe_image(picture).format) {
    case PictureFormat::kJpeg:
      return ".jpg";
    case PictureFormat::kPng:
      return ".png";
    case PictureFormat::kBmp:
      return ".bmp";
  }
  return "";
}

std::vector<writing::NamedSplit> name_samples(std::span<const DatasetSplit> splits,
                                              DatasetFormat format) {
  std::vector<writing::NamedSplit> named;
  std::set<std::string> taken;
  for (const DatasetSplit& split : splits) {
    named.push_back({split.name, split.data, {}});
    for (const Sample& sample : split.data->samples) {
      if (!sample.labelled && format != DatasetFormat::kYolo) continue;
      const std::string wanted = plain_stem(sample.image);
      std::string stem = wanted;
      for (int i = 2; !taken.insert(stem).second; ++i) stem = fmt::format("{}_{}", wanted, i);
      named.back().samples.push_back({&sample, stem, suffix_of(sample.image)});
    }
  }
  return named;
}

void transfer_picture(const fs::path& from, const fs::path& to, PictureTransfer transfer) {
  std::error_code error;
  const char* what = "";
  switch (transfer) {
    case PictureTransfer::kCopy:
      copy_to_new_file(from, to);
      return;
    case PictureTransfer::kHardLink:
      what = "hard-linked";
      fs::create_hard_link(fs::canonical(from, error), to, error);
      break;
    case PictureTransfer::kSymbolicLink:
      what = "linked";
      fs::create_symlink(fs::absolute(from, error), to, error);
      break;
  }
  if (error) {
    throw FileError("{}: cannot be {} to {}: {}", printable(from.string()), what,
                    printable(to.string()), error.message());
  }
}

/// Words that YAML, JSON or scripts read as a value and not as a name.
bool is_value_word(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  constexpr std::array kWords{"null", "none", "nan", "true", "false", "yes", "no", "on", "off"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

void check_splits(std::span<const DatasetSplit> splits, DatasetFormat format) {
  std::vector<std::string> names;
  for (const DatasetSplit& split : splits) {
    names.push_back(split.name);
    if (split.data->names != splits.front().data->names) {
      throw ValueError("write_dataset: the splits have different class names");
    }
  }
  check_split_names(names, format);
}

}  // namespace

void check_split_names(std::span<const std::string> names, DatasetFormat format) {
  if (names.empty()) throw ValueError("write_dataset: no split");
  std::set<std::string> seen;
  for (const std::string& name : names) {
    const bool is_word = !name.empty() && name.front() != '.' &&
                         std::all_of(name.begin(), name.end(), [](unsigned char c) {
                           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
                         });
    if (!is_word) {
      throw ValueError("write_dataset: split \"{}\", letters, digits, -, _ and . wanted",
                       printable(name, 40));
    }
    if (is_value_word(name)) {
      throw ValueError(
          "write_dataset: split \"{}\": YAML and JSON read that as a value; a name like train "
          "wanted",
          name);
    }
    if (format == DatasetFormat::kYolo) {
      for (const char* key : {"path", "names", "nc", "download"}) {
        if (name != key) continue;
        throw ValueError(
            "write_dataset: split \"{}\": data.yaml has a key of that name; call the split "
            "otherwise",
            key);
      }
    }
    if (!seen.insert(name).second) {
      throw ValueError("write_dataset: the split \"{}\" is given twice", name);
    }
  }
}

void write_dataset(std::span<const DatasetSplit> splits, DatasetFormat format,
                   PictureTransfer transfer, const fs::path& out,
                   const std::function<bool()>& stop) {
  check_splits(splits, format);
  FolderInTheMaking folder(out.has_filename() ? out : out.parent_path());
  const std::vector<writing::NamedSplit> named = name_samples(splits, format);
  for (const writing::NamedSplit& split : named) {
    const fs::path pictures = folder.path() / writing::picture_folder(format, split.name);
    writing::make_folder(pictures);
    const auto take = [&](int64_t i) {
      const writing::NamedSample& sample = split.samples[size_t(i)];
      transfer_picture(sample.sample->image, pictures / sample.file_name(), transfer);
    };
    reading::for_each_picture(int64_t(split.samples.size()), take, stop);
  }
  switch (format) {
    case DatasetFormat::kYolo:
      writing::write_yolo(named, folder.path());
      break;
    case DatasetFormat::kVoc:
      writing::write_voc(named, folder.path());
      break;
    case DatasetFormat::kCoco:
      writing::write_coco(named, folder.path());
      break;
  }
  folder.finish();
}

}  // namespace ydistill
