// SPDX-License-Identifier: MIT
// Folders and files for tests.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include <unistd.h>

namespace ydistill::test {

/// A new empty folder that goes with all it holds.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ydistill-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A file below the folder YDISTILL_REFERENCE names (reference/, weights/, data/), or nothing where
/// that is not set: then the case is skipped. Where YDISTILL_REFERENCE_PARTIAL is set, the folder
/// is known to hold only a part (scripts/gpu_check.sh), and a missing file is a reason to skip too.
inline std::optional<std::filesystem::path> reference_file(const std::string& name) {
  const char* root = std::getenv("YDISTILL_REFERENCE");
  if (root == nullptr || *root == '\0') return std::nullopt;
  const std::filesystem::path path = std::filesystem::path(root) / name;
  if (std::getenv("YDISTILL_REFERENCE_PARTIAL") && !std::filesystem::exists(path)) {
    return std::nullopt;
  }
  return path;
}

}  // namespace ydistill::test

/// Defines `variable` as the path of a reference file, or skips the case by name.
#define YD_REFERENCE_OR_SKIP(variable, name)                            \
  const auto variable##_found = ::ydistill::test::reference_file(name); \
  if (!variable##_found) YD_SKIP("no YDISTILL_REFERENCE with " name);   \
  const std::filesystem::path variable = *variable##_found
