// SPDX-License-Identifier: MIT
// The header is read as a stream of JSON events rather than into a tree: so duplicate names are
// noticed, and deep nesting costs nothing.
#include <ydistill/tensor/io/safetensors_header.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

struct TypeName {
  std::string_view name;
  StoredType type;
  int64_t bytes;
};
constexpr TypeName kTypes[] = {
    {"F64", StoredType::kF64, 8},   {"F32", StoredType::kF32, 4}, {"F16", StoredType::kF16, 2},
    {"BF16", StoredType::kBF16, 2}, {"I64", StoredType::kI64, 8}, {"I32", StoredType::kI32, 4},
    {"I16", StoredType::kI16, 2},   {"I8", StoredType::kI8, 1},   {"U32", StoredType::kU32, 4},
    {"U16", StoredType::kU16, 2},   {"U8", StoredType::kU8, 1},   {"BOOL", StoredType::kBool, 1},
};

/// Handles nlohmann's events; throws at everything unexpected.
class HeaderEvents {
 public:
  explicit HeaderEvents(const std::string& source) : source_(source) {}
  SafetensorsHeader take() { return std::move(header_); }

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("true or false"); }
  bool number_float(double, const std::string& text) {
    return unexpected("the number " + printable(text, 40));
  }
  bool number_integer(int64_t value) { return unexpected("the number " + std::to_string(value)); }
  bool number_unsigned(uint64_t value) {
    if (at_ != At::kSizes && at_ != At::kOffsets) {
      return unexpected("the number " + std::to_string(value));
    }
    if (value > uint64_t(INT64_MAX)) return unexpected("the number " + std::to_string(value));
    if (numbers_.size() >= 64) fail("\"{}\": {} has more than 64 numbers", name(), field_);
    numbers_.push_back(int64_t(value));
    return true;
  }
  bool string(std::string& value) {
    if (at_ == At::kMetadata) {
      if (!header_.metadata.emplace(field_, value).second) {
        fail("__metadata__ holds \"{}\" twice", printable(field_, 80));
      }
      return true;
    }
    if (at_ != At::kField || field_ != "dtype") return unexpected("a text");
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const TypeName& t) { return t.name == value; });
    if (type == std::end(kTypes)) {
      fail("\"{}\": dtype \"{}\" is not one of F64 F32 F16 BF16 I64 I32 I16 I8 U32 U16 U8 BOOL",
           name(), printable(value, 40));
    }
    tensor_.type = type->type;
    return true;
  }
  bool binary(nlohmann::json::binary_t&) { return unexpected("bytes"); }

  bool start_object(size_t) {
    if (at_ == At::kStart) {
      at_ = At::kName;
    } else if (at_ == At::kName && tensor_.name == "__metadata__") {
      at_ = At::kMetadata;
    } else if (at_ == At::kName) {
      at_ = At::kField;
      fields_.clear();
    } else {
      return unexpected("an object");
    }
    return true;
  }
  bool key(std::string& key) {
    if (at_ == At::kName) {
      if (key.empty()) fail("a tensor has an empty name");
      if (!names_.insert(key).second) fail("\"{}\" appears twice", printable(key, 80));
      tensor_ = StoredTensor{.name = key, .shape = {}};
      return true;
    }
    field_ = key;
    if (at_ == At::kField) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        fail("\"{}\": unknown key \"{}\", expected dtype, shape and data_offsets", name(),
             printable(key, 80));
      }
      if (!fields_.insert(key).second) fail("\"{}\": {} appears twice", name(), key);
    }
    return true;
  }
  bool end_object() {
    if (at_ == At::kField) {
      finish_tensor();
      at_ = At::kName;
    } else if (at_ == At::kMetadata) {
      at_ = At::kName;
    } else {
      at_ = At::kEnd;
    }
    return true;
  }
  bool start_array(size_t) {
    if (at_ != At::kField || field_ == "dtype") return unexpected("a list");
    at_ = field_ == "shape" ? At::kSizes : At::kOffsets;
    numbers_.clear();
    return true;
  }
  bool end_array() {
    if (at_ == At::kSizes) {
      try {
        tensor_.shape = Shape(std::span<const int64_t>(numbers_));
      } catch (const ShapeError& error) {
        fail("\"{}\": {}", name(), error.what());
      }
    } else {
      if (numbers_.size() != 2) {
        fail("\"{}\": data_offsets has {} numbers, expected 2", name(), numbers_.size());
      }
      tensor_.begin = numbers_[0];
      tensor_.end = numbers_[1];
    }
    at_ = At::kField;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) {
    fail("the header is not JSON (at byte {} of it)", position);
  }

 private:
  enum class At { kStart, kName, kMetadata, kField, kSizes, kOffsets, kEnd };

  std::string name() const { return printable(tensor_.name, 80); }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) const {
    throw FileError("{}: {}", source_, fmt::format(text, std::forward<Args>(args)...));
  }

  bool unexpected(const std::string& what) const {
    switch (at_) {
      case At::kMetadata:
        fail("__metadata__: \"{}\" is {}, expected a text", printable(field_, 80), what);
      case At::kField:
        fail("\"{}\": {} is {}, expected {}", name(), field_, what,
             field_ == "dtype" ? "a text" : "a list");
      case At::kSizes:
        fail("\"{}\": shape holds {}, expected sizes >= 0", name(), what);
      case At::kOffsets:
        fail("\"{}\": data_offsets holds {}, expected two offsets", name(), what);
      case At::kStart:
        fail("the header is {}, expected an object", what);
      default:
        break;
    }
    fail("\"{}\" is {}, expected an object", name(), what);
  }

  void finish_tensor() {
    if (fields_.size() != 3) fail("\"{}\": needs dtype, shape and data_offsets", name());
    if (tensor_.end < tensor_.begin) {
      fail("\"{}\": data_offsets [{}, {}] end before they begin", name(), tensor_.begin,
           tensor_.end);
    }
    const int64_t wanted = tensor_.shape.numel() * size_of(tensor_.type);  // Shape has a limit
    if (wanted != tensor_.end - tensor_.begin) {
      fail("\"{}\": shape {} takes {} bytes, data_offsets [{}, {}] hold {}", name(),
           tensor_.shape.str(), wanted, tensor_.begin, tensor_.end, tensor_.end - tensor_.begin);
    }
    header_.tensors.push_back(std::move(tensor_));
  }

  std::string source_;
  SafetensorsHeader header_;
  At at_ = At::kStart;
  StoredTensor tensor_;          // the one being read
  std::string field_;            // the last key below the top level
  std::set<std::string> names_;  // all names so far
  std::set<std::string> fields_;
  std::vector<int64_t> numbers_;
};

/// Checks that the tensors follow each other without gaps or overlaps and fill the data.
void check_cover(const SafetensorsHeader& header, int64_t data_bytes, const std::string& source) {
  std::vector<const StoredTensor*> by_offset;
  for (const StoredTensor& tensor : header.tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  int64_t covered = 0;
  for (const StoredTensor* tensor : by_offset) {
    const std::string name = printable(tensor->name, 80);
    if (tensor->end > data_bytes) {
      throw FileError("{}: \"{}\": data_offsets [{}, {}] leave the data of {} bytes", source, name,
                      tensor->begin, tensor->end, data_bytes);
    }
    if (tensor->begin < covered) {
      throw FileError("{}: \"{}\": data_offsets [{}, {}] overlap those of another tensor", source,
                      name, tensor->begin, tensor->end);
    }
    if (tensor->begin > covered) {
      throw FileError("{}: bytes {} to {} before \"{}\" belong to no tensor", source, covered,
                      tensor->begin, name);
    }
    covered = tensor->end;
  }
  if (covered != data_bytes) {
    throw FileError("{}: the tensors take {} bytes, the file holds {} of data", source, covered,
                    data_bytes);
  }
}

}  // namespace

int64_t size_of(StoredType type) {
  for (const TypeName& known : kTypes) {
    if (known.type == type) return known.bytes;
  }
  return 0;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, int64_t data_bytes,
                                           const std::string& source) {
  HeaderEvents events(source);
  nlohmann::json::sax_parse(json.begin(), json.end(), &events);
  SafetensorsHeader header = events.take();
  check_cover(header, data_bytes, source);
  return header;
}

}  // namespace ydistill
