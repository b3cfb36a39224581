// SPDX-License-Identifier: MIT
#include <ydistill/data/picture_list.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill::reading {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolderLeftOut = "folder left out";

class FolderWalk {
 public:
  explicit FolderWalk(const fs::path& root) : root_(root) {
    read(root, nullptr);
    // Links come last: if a folder is reached both ways, its own path is used.
    for (size_t i = 0; i < links_.size(); ++i) {
      const fs::path link = links_[i];
      read(link, &link);
    }
    std::sort(list_.pictures.begin(), list_.pictures.end(),
              [](const auto& a, const auto& b) { return a.path.native() < b.path.native(); });
  }

  PictureList take() { return std::move(list_); }

 private:
  void read(const fs::path& folder, const fs::path* link) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (!error && !seen_.insert(real).second) {
      if (link == nullptr) return;
      list_.findings.push_back(
          {folder, 0, fmt::format("links to {}, which is read already", printable(real.string())),
           kFolderLeftOut});
      return;
    }
    std::vector<fs::directory_entry> entries;
    fs::directory_iterator at(folder, error);
    for (; !error && at != fs::directory_iterator(); at.increment(error)) entries.push_back(*at);
    if (error) {
      if (folder == root_) throw FileError("{}: {}", printable(folder.string()), error.message());
      list_.findings.push_back({folder, 0, "cannot be read: " + error.message(), kFolderLeftOut});
    }
    std::sort(entries.begin(), entries.end());
    for (const fs::directory_entry& entry : entries) {
      // Hidden ones are copies of editors and systems (.ipynb_checkpoints, ._a.jpg).
      if (entry.path().filename().native().starts_with('.')) continue;
      if (entry.is_directory(error)) {
        if (entry.is_symlink(error)) {
          links_.push_back(entry.path());
        } else {
          read(entry.path(), nullptr);
        }
      } else if (has_picture_suffix(entry.path()) || has_foreign_picture_suffix(entry.path())) {
        // Unsupported formats are dropped later, with a finding.
        list_.pictures.push_back({entry.path(), root_, 0});
      }
    }
  }

  const fs::path& root_;
  PictureList list_;
  std::set<fs::path> seen_;  // canonical paths
  std::vector<fs::path> links_;
};

PictureList read_list(const fs::path& file) {
  PictureList list;
  const std::string text = read_text(file);
  int64_t line = 0;
  for (const std::string_view row : split_lines(text)) {
    ++line;
    const std::string_view name = trim(row);
    if (name.empty()) continue;
    list.pictures.push_back({(file.parent_path() / fs::path(name)).lexically_normal(), file, line});
  }
  return list;
}

}  // namespace

PictureList list_pictures(const fs::path& source) {
  std::error_code error;
  if (!fs::is_directory(source, error)) return read_list(source);
  return FolderWalk(source).take();
}

std::string lower_suffix(const fs::path& path) {
  std::string suffix = path.extension().string();
  for (char& c : suffix) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return suffix;
}

bool has_picture_suffix(const fs::path& path) {
  const std::string suffix = lower_suffix(path);
  return suffix == ".jpg" || suffix == ".jpeg" || suffix == ".png" || suffix == ".bmp";
}

bool has_foreign_picture_suffix(const fs::path& path) {
  constexpr std::array<std::string_view, 9> kForeign{".webp", ".tif", ".tiff", ".gif", ".mpo",
                                                     ".dng",  ".pfm", ".heic", ".avif"};
  return std::find(kForeign.begin(), kForeign.end(), lower_suffix(path)) != kForeign.end();
}

}  // namespace ydistill::reading
