// SPDX-License-Identifier: MIT
// The file: magic, count, then path, stamp and value of each picture as texts with their length,
// and a checksum over all before it. Numbers are in the machine's byte order: it is not portable.
#include <ydistill/data/label_cache.h>

#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text_file.h>

namespace ydistill::reading {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "ydistill labels 2\n";

uint64_t hash_of(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : bytes) hash = (hash ^ uint8_t(c)) * 0x100000001b3u;
  return hash;
}

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(uint64_t(value.size()));
    text_.append(value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// Every read fails after the end of the bytes.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  bool number(T& value) {
    if (rest_.size() < sizeof value) return false;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return true;
  }
  bool text(std::string& value) {
    uint64_t size = 0;
    if (!number(size) || size > rest_.size()) return false;
    value.assign(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return true;
  }
  /// Reads the number of following items, each of at least `bytes`.
  bool count(uint64_t& value, uint64_t bytes) {
    return number(value) && value <= rest_.size() / bytes;
  }
  bool is_at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// Size and modification time of a file; "-" if it does not exist.
std::string stamp_of(const fs::path& file) {
  std::error_code error;
  const uintmax_t size = fs::file_size(file, error);
  if (error) return "-";
  const auto time = fs::last_write_time(file, error);
  return error ? "-" : fmt::format("{} {}", size, time.time_since_epoch().count());
}

std::string value_of(const PictureReport& report) {
  Writer writer;
  writer.number(report.sample->width);
  writer.number(report.sample->height);
  writer.number(report.labels_ignored);
  writer.number(uint64_t(report.sample->labels.size()));
  for (const Label& label : report.sample->labels) {
    writer.number(label.class_id);
    for (const double number : {label.cx, label.cy, label.w, label.h}) writer.number(number);
    writer.number(uint64_t(label.polygon.size()));
    for (const auto& [x, y] : label.polygon) {
      writer.number(x);
      writer.number(y);
    }
  }
  writer.number(uint64_t(report.class_names.size()));
  for (const PictureReport::ClassName& named : report.class_names) {
    writer.text(named.name);
    writer.number(named.line);
  }
  return writer.take();
}

bool read_value(std::string_view bytes, PictureReport& report) {
  Reader reader(bytes);
  Sample sample;
  uint64_t count = 0;
  if (!reader.number(sample.width) || !reader.number(sample.height) ||
      !reader.number(report.labels_ignored) || !reader.count(count, 40)) {
    return false;
  }
  sample.labels.resize(count);
  for (Label& label : sample.labels) {
    uint64_t points = 0;
    if (!reader.number(label.class_id) || !reader.number(label.cx) || !reader.number(label.cy) ||
        !reader.number(label.w) || !reader.number(label.h) || !reader.count(points, 8)) {
      return false;
    }
    label.polygon.resize(points);
    for (auto& [x, y] : label.polygon) {
      if (!reader.number(x) || !reader.number(y)) return false;
    }
  }
  if (!reader.count(count, 16)) return false;
  report.class_names.resize(count);
  for (PictureReport::ClassName& named : report.class_names) {
    if (!reader.text(named.name) || !reader.number(named.line)) return false;
  }
  report.sample = std::move(sample);
  return reader.is_at_end();
}

}  // namespace

LabelCache::LabelCache(const fs::path& folder, const DataSource& source,
                       const std::string& context) {
  if (folder.empty()) return;
  std::error_code error;
  const std::string key =
      fmt::format("{}|{}|{}|{}", int(source.kind), fs::absolute(source.path, error).string(),
                  source.split, context);
  file_ = folder / fmt::format("labels-{:016x}", hash_of(key));
  read();
}

void LabelCache::read() {
  std::string bytes;
  try {
    bytes = read_text_file(file_);
  } catch (const FileError&) {
    return;  // none yet, or one that cannot be read
  }
  if (bytes.size() < kMagic.size() + sizeof(uint64_t) || !bytes.starts_with(kMagic)) return;
  const std::string_view body(bytes.data(), bytes.size() - sizeof(uint64_t));
  uint64_t sum = 0, count = 0;
  std::memcpy(&sum, bytes.data() + body.size(), sizeof sum);
  if (sum != hash_of(body)) return;
  Reader reader(body.substr(kMagic.size()));
  if (!reader.count(count, 24)) return;
  for (uint64_t i = 0; i < count; ++i) {
    std::string path;
    Entry entry;
    if (!reader.text(path) || !reader.text(entry.stamp) || !reader.text(entry.value)) {
      entries_.clear();
      return;
    }
    entries_.emplace(std::move(path), std::move(entry));
  }
}

std::string LabelCache::stamp(const fs::path& picture, const fs::path& labels) const {
  if (file_.empty()) return "";
  return fmt::format("{}|{}|{}", stamp_of(picture), labels.string(), stamp_of(labels));
}

bool LabelCache::find(const fs::path& picture, const std::string& stamp, PictureReport& report) {
  if (file_.empty()) return false;
  std::string value;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(picture.string());
    if (found == entries_.end() || found->second.stamp != stamp) return false;
    found->second.is_used = true;
    value = found->second.value;
  }
  PictureReport read;
  if (!read_value(value, read)) return false;
  read.sample->image = picture;
  report = std::move(read);
  return true;
}

void LabelCache::keep(const fs::path& picture, std::string stamp, const PictureReport& report) {
  if (file_.empty() || !report.sample || !report.findings.empty() || report.labels_dropped > 0) {
    return;
  }
  Entry entry{std::move(stamp), value_of(report), true};
  const std::lock_guard lock(mutex_);
  entries_[picture.string()] = std::move(entry);
  is_changed_ = true;
}

void LabelCache::save(std::vector<std::string>& notes) {
  if (file_.empty() || !is_changed_) return;
  Writer body;
  uint64_t count = 0;
  for (const auto& [path, entry] : entries_) {
    if (!entry.is_used) continue;  // no longer in the source
    body.text(path);
    body.text(entry.stamp);
    body.text(entry.value);
    ++count;
  }
  Writer head;
  head.number(count);
  std::string bytes = std::string(kMagic) + head.take() + body.take();
  const uint64_t sum = hash_of(bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  try {
    std::error_code error;
    fs::create_directories(file_.parent_path(), error);
    write_file_atomically(file_, bytes);
  } catch (const FileError& problem) {
    notes.push_back(std::string("the label cache is not kept: ") + problem.what());
  }
}

}  // namespace ydistill::reading
