// SPDX-License-Identifier: MIT
#include <ydistill/tools/picture_files.h>

#include <fmt/ranges.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <new>
#include <set>
#include <string_view>
#include <system_error>

#include <ydistill/data/picture_list.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tools/for_all.h>

namespace ydistill::tools {
namespace {

namespace fs = std::filesystem;

bool is_film(const fs::path& file) {
  constexpr std::array<std::string_view, 10> kFilms{".mp4",  ".avi", ".mov", ".mkv", ".webm",
                                                    ".mpeg", ".mpg", ".m4v", ".wmv", ".y4m"};
  return std::find(kFilms.begin(), kFilms.end(), reading::lower_suffix(file)) != kFilms.end();
}

/// What a folder contains besides pictures that can be read.
struct Rest {
  int64_t files = 0;  ///< pictures and videos of kinds that are not read
  std::set<std::string> suffixes;
  bool has_folders = false;

  std::string str() const {
    return fmt::format("{} {} left out, of kinds that are not read ({})", files,
                       files == 1 ? "file is" : "files are", fmt::join(suffixes, ", "));
  }
};

PictureFiles pictures_in(const fs::path& folder) {
  PictureFiles found;
  Rest rest;
  std::error_code error, ignored;
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const fs::path& path = at->path();
    if (path.filename().native().starts_with('.')) continue;  // hidden, as in data sets
    if (at->is_directory(ignored)) {
      rest.has_folders = true;
    } else if (reading::has_picture_suffix(path)) {  // dangling links too: reading reports them
      found.paths.push_back(path);
    } else if (reading::has_foreign_picture_suffix(path) || is_film(path)) {
      ++rest.files;
      rest.suffixes.insert(reading::lower_suffix(path));
    }
  }
  const std::string name = printable(folder.string());
  if (error) throw FileError("{}: {}", name, error.message());
  if (found.paths.empty()) {
    throw FileError("{}: no picture in this folder, expected .jpg, .jpeg, .png or .bmp{}{}", name,
                    rest.files > 0 ? "; " + rest.str() : "",
                    rest.has_folders ? "; folders in it are not searched" : "");
  }
  if (rest.files > 0) found.left_out = fmt::format("{}: {}", name, rest.str());
  return found;
}

}  // namespace

PictureFiles pictures_of(const std::string& source) {
  PictureFiles found;
  std::error_code ignored;
  if (fs::is_directory(source, ignored)) {
    found = pictures_in(source);
  } else if (is_film(source) && fs::exists(source, ignored)) {
    throw FileError("{}: a video; see `ydistill video --help`", printable(source));
  } else if (fs::exists(source, ignored)) {
    found.paths.emplace_back(source);
  } else {
    glob_t matched = {};
    if (glob(source.c_str(), 0, nullptr, &matched) == 0) {
      for (size_t i = 0; i < matched.gl_pathc; ++i) found.paths.emplace_back(matched.gl_pathv[i]);
    }
    globfree(&matched);
  }
  if (found.paths.empty()) {
    throw FileError("{}: no such picture or folder, and no file matches it as a pattern",
                    printable(source));
  }
  std::sort(found.paths.begin(), found.paths.end());
  return found;
}

std::vector<ReadPicture> read_pictures(std::span<const fs::path> paths) {
  std::vector<ReadPicture> pictures(paths.size());
  const auto read = [&](size_t i) {
    pictures[i].path = paths[i];
    try {
      pictures[i].image = read_image(paths[i]);
    } catch (const FileError& problem) {
      pictures[i].problem = problem.what();
    }
  };
  // Decoding takes more memory than its result: there may be too little for several at once, but
  // enough for one.
  std::vector<uint8_t> needs_more(paths.size(), 0);
  for_all(paths.size(), [&](size_t i) {
    try {
      read(i);
    } catch (const std::bad_alloc&) {
      needs_more[i] = 1;
    }
  });
  for (size_t i = 0; i < paths.size(); ++i) {
    if (needs_more[i] != 0) read(i);
  }
  return pictures;
}

std::span<const fs::path> read_together(std::span<const fs::path> paths, size_t batch) {
  constexpr int64_t kMostPixels = int64_t(128) << 20;
  const auto pixels_of = [](const fs::path& path) -> int64_t {
    try {
      const ImageInfo info = probe_image(path);
      return info.width * info.height;
    } catch (const FileError&) {
      return 0;  // reported when it is read
    }
  };
  const auto threads = size_t(num_threads());
  size_t count = 0;
  for (int64_t pixels = 0; count < paths.size() && (count == 0 || count < threads);) {
    const size_t end = std::min(count + batch, paths.size());
    for (size_t i = count; i < end; ++i) pixels += pixels_of(paths[i]);
    if (count > 0 && pixels > kMostPixels) break;
    count = end;
  }
  return paths.first(count);
}

}  // namespace ydistill::tools
