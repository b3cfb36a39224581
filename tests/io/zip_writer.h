// SPDX-License-Identifier: MIT
// Archives for tests, written with libzip.
#pragma once

#include <zip.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "io/pickle_writer.h"

namespace ydistill::test {

using ZipEntries = std::vector<std::pair<std::string, std::string>>;  // name -> bytes

inline void write_zip(const std::filesystem::path& path, const ZipEntries& entries,
                      int method = ZIP_CM_STORE) {
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (zip == nullptr) throw std::runtime_error("zip_open failed");
  for (const auto& [name, bytes] : entries) {
    zip_source_t* source = zip_source_buffer(zip, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(zip, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) throw std::runtime_error("zip_file_add failed");
    zip_set_file_compression(zip, zip_uint64_t(index), method, 0);
  }
  if (zip_close(zip) != 0) throw std::runtime_error("zip_close failed");
}

/// What torch.save makes of one pickled object and its storages (key -> bytes).
inline void write_pt(const std::filesystem::path& path, const std::string& object,
                     const ZipEntries& storages = {}) {
  ZipEntries entries = {{"archive/data.pkl", pkl::program(object)}};
  for (const auto& [key, bytes] : storages) entries.emplace_back("archive/data/" + key, bytes);
  entries.emplace_back("archive/version", "3\n");
  write_zip(path, entries);
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace ydistill::test
