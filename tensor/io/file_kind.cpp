// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/file_kind.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string_view>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

using namespace std::string_view_literals;

std::string read_start(const std::filesystem::path& path) {
  const std::string name = printable(path.string());
  std::error_code error;
  if (!std::filesystem::exists(path, error)) throw FileError("{}: does not exist", name);
  if (!std::filesystem::is_regular_file(path, error)) {
    throw FileError("{}: is not a regular file", name);
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) throw FileError("{}: cannot be read", name);
  std::string start(512, '\0');
  in.read(start.data(), int64_t(start.size()));
  start.resize(size_t(in.gcount()));
  return start;
}

bool is_plain_text(std::string_view start) {
  return std::all_of(start.begin(), start.end(), [](char c) {
    return uint8_t(c) >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

}  // namespace

std::string why_not_zip(const std::filesystem::path& path) {
  const std::string start = read_start(path);
  std::string lower = start;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  const auto text_begins_with = [&](std::string_view prefix) {
    const size_t first = lower.find_first_not_of(" \t\r\n");
    return first != std::string::npos && std::string_view(lower).substr(first).starts_with(prefix);
  };

  if (start.starts_with("PK\x03\x04"sv) || start.starts_with("PK\x05\x06"sv)) return "";
  if (start.empty()) return "is empty";
  if (start.starts_with("version https://git-lfs")) {
    return "is a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'";
  }
  if (text_begins_with("<!doctype") || text_begins_with("<html") || text_begins_with("<?xml")) {
    return "is a web page, not a checkpoint; the download went wrong";
  }
  // torch.save before 1.6 begins with a pickle of the number 0x1950a86a20f9469cfc6c.
  const bool is_pickle = start.size() > 2 && start[0] == '\x80' && uint8_t(start[1]) <= 5;
  if (is_pickle && start.find("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv) < 16) {
    return "is a checkpoint of the form before PyTorch 1.6; load it and torch.save it again with a "
           "newer PyTorch";
  }
  if (is_pickle) return "is a bare pickle, not a checkpoint of torch.save";
  if (start.size() > 262 && std::string_view(start).substr(257, 5) == "ustar") {
    return "is a tar archive, a very old form of checkpoint; torch.save it again with a newer "
           "PyTorch";
  }
  if (start.starts_with("\x1f\x8b"sv)) return "is gzip data; unpack it first";
  if (start.size() > 9 && start[8] == '{') return "looks like safetensors, not like a .pt file";
  if (is_plain_text(start)) return "is a text file, not a checkpoint";
  return "is no zip archive, which a checkpoint of torch.save is (since PyTorch 1.6)";
}

}  // namespace ydistill
