// SPDX-License-Identifier: MIT
// Replaces zip_archive.cpp in builds without libzip.
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/zip_archive.h>

namespace ydistill {

struct ZipArchive::Handle {};

ZipArchive::ZipArchive(const std::filesystem::path& path, const ZipLimits&) {
  throw FileError(
      "{}: this build cannot read .pt files: it was configured with YDISTILL_PT=OFF; convert the "
      "file to safetensors with a build that can",
      printable(path.string()));
}
ZipArchive::~ZipArchive() = default;
bool ZipArchive::has(const std::string&) const {
  return false;
}
int64_t ZipArchive::size(const std::string&) const {
  return 0;
}
std::vector<std::byte> ZipArchive::read(const std::string&) {
  return {};
}

}  // namespace ydistill
