// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/safetensors.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/half.h>
#include <ydistill/tensor/io/safetensors_header.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

constexpr int64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

class Input {
 public:
  explicit Input(const std::filesystem::path& path) : name_(printable(path.string())) {
    std::error_code error;
    if (!std::filesystem::exists(path, error)) throw FileError("{}: does not exist", name_);
    if (!std::filesystem::is_regular_file(path, error)) {
      throw FileError("{}: is not a regular file", name_);
    }
    size_ = int64_t(std::filesystem::file_size(path, error));
    in_.open(path, std::ios::binary);
    if (error || !in_) throw FileError("{}: cannot be read", name_);
  }

  const std::string& name() const { return name_; }
  int64_t size() const { return size_; }
  void read(int64_t offset, void* to, int64_t nbytes) {
    if (nbytes == 0) return;
    in_.seekg(offset);
    in_.read(static_cast<char*>(to), nbytes);
    if (in_.gcount() != nbytes) {
      throw FileError("{}: reading {} bytes at {} failed", name_, nbytes, offset);
    }
  }

 private:
  std::string name_;
  int64_t size_ = 0;
  std::ifstream in_;
};

template <class From>
From load(const std::byte* bytes) {
  From value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <class From>
Tensor widen(const Shape& shape, const std::vector<std::byte>& bytes) {
  const Tensor tensor = Tensor::empty(shape, DType::kInt64);
  int64_t* to = tensor.data<int64_t>();
  for (int64_t i = 0; i < shape.numel(); ++i) {
    to[i] = int64_t(load<From>(bytes.data() + i * int64_t(sizeof(From))));
  }
  return tensor;
}

Tensor widen_half(const Shape& shape, const std::vector<std::byte>& bytes) {
  const Tensor tensor = Tensor::empty(shape, DType::kFloat32);
  float* to = tensor.data<float>();
  for (int64_t i = 0; i < shape.numel(); ++i) {
    to[i] = half_to_float(load<uint16_t>(bytes.data() + i * 2));
  }
  return tensor;
}

Tensor read_tensor(Input& in, int64_t data_begin, const StoredTensor& stored) {
  const auto as_is = [&](DType dtype) {
    const Tensor tensor = Tensor::empty(stored.shape, dtype);
    in.read(data_begin + stored.begin, tensor.raw(), tensor.nbytes());
    return tensor;
  };
  const auto bytes = [&] {
    std::vector<std::byte> read(size_t(stored.end - stored.begin));
    in.read(data_begin + stored.begin, read.data(), int64_t(read.size()));
    return read;
  };
  switch (stored.type) {
    case StoredType::kF64:
      return as_is(DType::kFloat64);
    case StoredType::kF32:
      return as_is(DType::kFloat32);
    case StoredType::kBF16:
      return as_is(DType::kBFloat16);
    case StoredType::kI64:
      return as_is(DType::kInt64);
    case StoredType::kU8:
    case StoredType::kBool:
      return as_is(DType::kUInt8);
    case StoredType::kF16:
      return widen_half(stored.shape, bytes());
    case StoredType::kI32:
      return widen<int32_t>(stored.shape, bytes());
    case StoredType::kI16:
      return widen<int16_t>(stored.shape, bytes());
    case StoredType::kI8:
      return widen<int8_t>(stored.shape, bytes());
    case StoredType::kU32:
      return widen<uint32_t>(stored.shape, bytes());
    case StoredType::kU16:
      return widen<uint16_t>(stored.shape, bytes());
  }
  return {};
}

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "F32";
    case DType::kFloat64:
      return "F64";
    case DType::kBFloat16:
      return "BF16";
    case DType::kUInt8:
      return "U8";
    case DType::kInt64:
      return "I64";
  }
  return "?";
}

void check_writable(const TensorFile& file, const std::string& path) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : file.tensors) {
    const std::string shown = printable(name, 80);
    if (name.empty() || name == "__metadata__") {
      throw ValueError("{}: a tensor cannot be called \"{}\"", path, shown);
    }
    if (!is_utf8(name)) throw ValueError("{}: the name \"{}\" is not UTF-8", path, shown);
    if (!names.insert(name).second) throw ValueError("{}: \"{}\" is given twice", path, shown);
    if (!tensor.defined()) throw ValueError("{}: \"{}\" is an undefined tensor", path, shown);
  }
  for (const auto& [key, value] : file.metadata) {
    if (!is_utf8(key) || !is_utf8(value)) {
      throw ValueError("{}: metadata \"{}\" is not UTF-8", path, printable(key, 80));
    }
  }
}

}  // namespace

void TensorFile::add(std::string name, Tensor tensor) {
  tensors.emplace_back(std::move(name), std::move(tensor));
}

const Tensor* TensorFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == tensors.end() ? nullptr : &found->second;
}

const Tensor& TensorFile::at(std::string_view name) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr) {
    throw ValueError("there is no tensor \"{}\" among {}", printable(name, 80), tensors.size());
  }
  return *tensor;
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  Input in(path);
  if (in.size() < 8) {
    throw FileError("{}: has {} bytes, a safetensors file has at least 8", in.name(), in.size());
  }
  uint64_t header_bytes = 0;
  in.read(0, &header_bytes, 8);
  const uint64_t rest = uint64_t(in.size() - 8);
  if (header_bytes > rest || header_bytes > uint64_t(kMaxHeaderBytes)) {
    throw FileError(
        "{}: is cut short or no safetensors file: its header claims {} bytes, the file holds {} "
        "and {} are allowed",
        in.name(), header_bytes, rest, kMaxHeaderBytes);
  }
  std::string json(size_t(header_bytes), '\0');
  in.read(8, json.data(), int64_t(header_bytes));
  const int64_t data_begin = 8 + int64_t(header_bytes);
  SafetensorsHeader header = parse_safetensors_header(json, in.size() - data_begin, in.name());

  TensorFile file;
  file.metadata = std::move(header.metadata);
  file.tensors.reserve(header.tensors.size());
  for (const StoredTensor& stored : header.tensors) {
    file.add(stored.name, read_tensor(in, data_begin, stored));
  }
  return file;
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file) {
  check_writable(file, printable(path.string()));
  std::vector<size_t> order(file.tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return size_of(file.tensors[a].second.dtype()) > size_of(file.tensors[b].second.dtype());
  });
  std::vector<int64_t> begin(order.size());
  int64_t data_bytes = 0;
  for (const size_t i : order) {
    begin[i] = data_bytes;
    data_bytes += file.tensors[i].second.nbytes();
  }

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& [name, tensor] = file.tensors[i];
    // Not operator[]: it would search all earlier names.
    header.get_ref<nlohmann::ordered_json::object_t&>().emplace_back(
        name, nlohmann::ordered_json{{"dtype", format_name(tensor.dtype())},
                                     {"shape", std::vector<int64_t>(tensor.shape().sizes().begin(),
                                                                    tensor.shape().sizes().end())},
                                     {"data_offsets", {begin[i], begin[i] + tensor.nbytes()}}});
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (int64_t(json.size()) > kMaxHeaderBytes) {
    throw ValueError("{}: the header would take {} bytes, {} are allowed", printable(path.string()),
                     json.size(), kMaxHeaderBytes);
  }

  AtomicFile out(path);
  const uint64_t header_bytes = json.size();
  out.write(std::as_bytes(std::span(&header_bytes, 1)));
  out.write(json);
  for (const size_t i : order) {
    const Tensor& tensor = file.tensors[i].second;
    if (tensor.nbytes() > 0) out.write({tensor.raw(), size_t(tensor.nbytes())});
  }
  out.commit();
}

}  // namespace ydistill
