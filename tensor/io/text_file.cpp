// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/text_file.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {

std::string read_text_file(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  const std::string name = printable(path.string());
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) throw FileError("{}: no such file", name);
  if (fs::is_directory(status)) throw FileError("{}: expected a file, found a folder", name);
  if (fs::is_character_file(status) || fs::is_block_file(status)) {  // may have no end
    throw FileError("{}: expected a file, found a device", name);
  }
  const auto fail = [&](int code) {
    throw FileError("{}: cannot be read: {}", name, std::generic_category().message(code));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) fail(errno);
  std::string text;
  std::array<char, 1 << 16> piece;
  while (const size_t count = std::fread(piece.data(), 1, piece.size(), file.get())) {
    text.append(piece.data(), count);
  }
  if (std::ferror(file.get()) != 0) fail(errno);
  return text;
}

}  // namespace ydistill
