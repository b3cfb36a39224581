// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/zip_archive.h>

#include <zip.h>

#include <algorithm>
#include <unordered_map>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/file_kind.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

struct Entry {
  zip_uint64_t index = 0;
  uint64_t size = 0;    // unpacked, as declared
  uint64_t packed = 0;  // bytes in the archive, as declared
  uint16_t method = 0;
  bool encrypted = false;
};

std::string text_of(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

}  // namespace

struct ZipArchive::Handle {
  zip_t* zip = nullptr;
  std::unordered_map<std::string, Entry> entries;
  ~Handle() {
    if (zip != nullptr) zip_discard(zip);
  }
};

ZipArchive::ZipArchive(const std::filesystem::path& path, const ZipLimits& limits)
    : name_(printable(path.string())), limits_(limits), handle_(std::make_unique<Handle>()) {
  const std::string reason = why_not_zip(path);
  if (!reason.empty()) throw FileError("{}: {}", name_, reason);
  file_bytes_ = int64_t(std::filesystem::file_size(path));
  int code = 0;
  handle_->zip = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (handle_->zip == nullptr) {
    throw FileError("{}: is cut short or damaged: its zip directory cannot be read ({}, {} bytes)",
                    name_, text_of(code), file_bytes_);
  }
  const zip_int64_t count = zip_get_num_entries(handle_->zip, 0);
  if (count > limits_.max_entries) {
    throw FileError("{}: has {} entries, {} are allowed", name_, count, limits_.max_entries);
  }
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    constexpr zip_uint64_t kNeeded =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(handle_->zip, zip_uint64_t(i), ZIP_FL_ENC_RAW, &stat) != 0 ||
        (stat.valid & kNeeded) != kNeeded) {
      throw FileError("{}: is damaged: entry {} of its zip directory cannot be read", name_, i);
    }
    const Entry entry{.index = zip_uint64_t(i),
                      .size = stat.size,
                      .packed = stat.comp_size,
                      .method = stat.comp_method,
                      .encrypted = (stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 &&
                                   stat.encryption_method != ZIP_EM_NONE};
    entries_.push_back(stat.name);
    if (!handle_->entries.emplace(entries_.back(), entry).second) {
      throw FileError("{}: holds '{}' twice", name_, printable(entries_.back(), 80));
    }
  }
}

ZipArchive::~ZipArchive() = default;

bool ZipArchive::has(const std::string& entry) const {
  return handle_->entries.contains(entry);
}

int64_t ZipArchive::size(const std::string& entry) const {
  const auto found = handle_->entries.find(entry);
  if (found == handle_->entries.end()) {
    throw FileError("{}: has no entry '{}'", name_, printable(entry, 80));
  }
  return int64_t(std::min<uint64_t>(found->second.size, uint64_t(INT64_MAX)));
}

std::vector<std::byte> ZipArchive::read(const std::string& entry) {
  const int64_t size = this->size(entry);
  const Entry& at = handle_->entries.at(entry);
  const std::string shown = printable(entry, 80);
  if (at.encrypted) throw FileError("{}: '{}' is encrypted", name_, shown);
  if (at.method != ZIP_CM_STORE && at.method != ZIP_CM_DEFLATE) {
    throw FileError("{}: '{}' is packed by method {}, expected 0 (stored) or 8 (deflated)", name_,
                    shown, at.method);
  }
  if (at.packed > uint64_t(file_bytes_) || (at.method == ZIP_CM_STORE && at.packed != at.size)) {
    throw FileError("{}: '{}' claims {} bytes ({} packed) in an archive of {}", name_, shown,
                    at.size, at.packed, file_bytes_);
  }
  if (size > limits_.max_entry_bytes) {
    throw FileError("{}: '{}' unpacks to {} bytes, {} are allowed", name_, shown, size,
                    limits_.max_entry_bytes);
  }
  const int64_t allowed = limits_.free_bytes + file_bytes_ * limits_.max_ratio;
  if (size > allowed - unpacked_bytes_) {
    throw FileError(
        "{}: looks like a zip bomb: with '{}' ({} bytes from {}) it unpacks to {} bytes, {} are "
        "allowed for an archive of {}",
        name_, shown, size, at.packed, unpacked_bytes_ + size, allowed, file_bytes_);
  }
  unpacked_bytes_ += size;

  struct Closer {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
  };
  const std::unique_ptr<zip_file_t, Closer> file(zip_fopen_index(handle_->zip, at.index, 0));
  if (!file) {
    throw FileError("{}: '{}' cannot be opened: {}", name_, shown, zip_strerror(handle_->zip));
  }
  // Try to read one byte more than declared: only reading to the end also checks the checksum.
  std::vector<std::byte> bytes(size_t(size) + 1);
  size_t filled = 0;
  while (filled < bytes.size()) {
    const zip_int64_t got = zip_fread(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0) {
      throw FileError("{}: '{}' is damaged after {} of {} bytes: {}", name_, shown, filled, size,
                      zip_file_strerror(file.get()));
    }
    if (got == 0) break;
    filled += size_t(got);
  }
  if (filled != size_t(size)) {
    throw FileError("{}: '{}' claims {} bytes and unpacks to {}", name_, shown, size,
                    filled > size_t(size) ? "more" : std::to_string(filled));
  }
  bytes.resize(size_t(size));
  return bytes;
}

}  // namespace ydistill
