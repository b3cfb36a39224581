// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/pickle_json.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 32;
constexpr int64_t kMaxValues = 100'000;
constexpr int64_t kMaxBytes = int64_t(16) << 20;

class Converter {
 public:
  Converter(const PickleDocument& document, const std::string& what)
      : document_(document), what_(what) {}

  Json convert(PickleRef ref, int depth) {
    if (depth > kMaxDepth) fail(fmt::format("is nested more than {} deep", kMaxDepth));
    if (++values_ > kMaxValues) fail(fmt::format("holds more than {} values", kMaxValues));
    switch (document_[ref].kind) {
      case PickleKind::kNone:
        return nullptr;
      case PickleKind::kBool:
        return document_[ref].integer != 0;
      case PickleKind::kString:
        return text(document_[ref].text);
      default:
        break;
    }
    if (document_.is_dict(ref)) return object(ref, depth);
    if (document_.is_sequence(ref)) {
      Json list = Json::array();
      for (const PickleRef item : document_.sequence(ref)) list.push_back(convert(item, depth + 1));
      return list;
    }
    if (const auto integer = document_.integer(ref)) return *integer;
    if (const auto number = document_.number(ref)) {
      if (!std::isfinite(*number)) fail("holds a number that is not finite");
      return *number;
    }
    fail("holds " + document_.describe(ref) + ", expected plain data (nothing was called)");
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw FileError("{} {}", what_, problem);
  }

  std::string text(const std::string& value) {
    bytes_ += int64_t(value.size());
    if (bytes_ > kMaxBytes) fail(fmt::format("holds more than {} bytes of text", kMaxBytes));
    return value;
  }

  Json object(PickleRef ref, int depth) {
    Json::object_t entries;
    std::map<std::string, size_t> places;  // the last value of a key counts
    for (const auto& [key, value] : document_.dict_entries(ref)) {
      const auto name = document_.text(key);
      const auto number = document_.integer(key);
      if (!name && !number) fail("has the key " + document_.describe(key) + ", expected a text");
      const std::string shown = name ? text(std::string(*name)) : std::to_string(*number);
      const auto [place, is_new] = places.emplace(shown, entries.size());
      if (is_new) entries.emplace_back(shown, nullptr);
      std::next(entries.begin(), int64_t(place->second))->second = convert(value, depth + 1);
    }
    return entries;
  }

  const PickleDocument& document_;
  const std::string& what_;
  int64_t values_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace

std::string pickle_to_json(const PickleDocument& document, PickleRef ref, const std::string& what) {
  return Converter(document, what).convert(ref, 0).dump();
}

}  // namespace ydistill
