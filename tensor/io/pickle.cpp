// SPDX-License-Identifier: MIT
// Reading the nodes of a pickle. None of these functions follows more than a fixed number of
// references, so cycles cannot trap them.
#include <ydistill/tensor/io/pickle.h>

#include <cstring>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/half.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

template <class T>
T load(const std::string& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace

bool PickleDocument::is_global(PickleRef ref, std::string_view dotted_name) const {
  return ref != kNoPickle && nodes_[ref].kind == PickleKind::kGlobal &&
         nodes_[ref].text == dotted_name;
}

bool PickleDocument::is_call_of(PickleRef ref, std::string_view dotted_name) const {
  return called(ref) == dotted_name;
}

std::string_view PickleDocument::called(PickleRef ref) const {
  if (ref == kNoPickle || nodes_[ref].kind != PickleKind::kCall) return {};
  const PickleNode& callable = nodes_[nodes_[ref].callable];
  return callable.kind == PickleKind::kGlobal ? std::string_view(callable.text)
                                              : std::string_view();
}

PickleRef PickleDocument::arg(PickleRef call, size_t i) const {
  if (call == kNoPickle || nodes_[call].kind != PickleKind::kCall) return kNoPickle;
  const PickleNode& args = nodes_[nodes_[call].args];
  return args.kind == PickleKind::kTuple && i < args.items.size() ? args.items[i] : kNoPickle;
}

bool PickleDocument::is_dict(PickleRef ref) const {
  if (ref == kNoPickle) return false;
  if (nodes_[ref].kind == PickleKind::kDict) return true;
  const std::string_view name = called(ref);
  return name == "collections.OrderedDict" || name == "collections.defaultdict" ||
         name == "builtins.dict" || name == "__builtin__.dict";
}

std::vector<std::pair<PickleRef, PickleRef>> PickleDocument::dict_entries(PickleRef ref) const {
  std::vector<std::pair<PickleRef, PickleRef>> entries;
  if (!is_dict(ref)) return entries;
  // OrderedDict([[key, value], ...]), as older protocols write it.
  for (const PickleRef pair : sequence(arg(ref, 0))) {
    const std::span<const PickleRef> items = sequence(pair);
    if (items.size() == 2) entries.emplace_back(items[0], items[1]);
  }
  const std::vector<PickleRef>& own = nodes_[ref].entries;
  for (size_t i = 0; i + 1 < own.size(); i += 2) entries.emplace_back(own[i], own[i + 1]);
  return entries;
}

size_t PickleDocument::dict_length(PickleRef ref) const {
  return is_dict(ref) ? sequence(arg(ref, 0)).size() + nodes_[ref].entries.size() / 2 : 0;
}

PickleRef PickleDocument::get(PickleRef dict, std::string_view key) const {
  PickleRef found = kNoPickle;
  for (const auto& [name, value] : dict_entries(dict)) {
    if (text(name) == key) found = value;
  }
  return found;
}

std::span<const PickleRef> PickleDocument::sequence(PickleRef ref) const {
  if (ref == kNoPickle) return {};
  const PickleNode* node = &nodes_[ref];
  const std::string_view name = called(ref);
  if (name == "builtins.set" || name == "__builtin__.set" || name == "torch.Size") {
    const PickleRef items = arg(ref, 0);
    if (items == kNoPickle) return {};
    node = &nodes_[items];
  }
  const bool holds = node->kind == PickleKind::kTuple || node->kind == PickleKind::kList ||
                     node->kind == PickleKind::kSet;
  return holds ? std::span<const PickleRef>(node->items) : std::span<const PickleRef>();
}

bool PickleDocument::is_sequence(PickleRef ref) const {
  if (ref == kNoPickle) return false;
  const PickleKind kind = nodes_[ref].kind;
  const std::string_view name = called(ref);
  return kind == PickleKind::kTuple || kind == PickleKind::kList || kind == PickleKind::kSet ||
         name == "builtins.set" || name == "__builtin__.set" || name == "torch.Size";
}

std::optional<std::string_view> PickleDocument::text(PickleRef ref) const {
  if (ref == kNoPickle || nodes_[ref].kind != PickleKind::kString) return std::nullopt;
  return nodes_[ref].text;
}

std::optional<int64_t> PickleDocument::integer(PickleRef ref) const {
  if (ref == kNoPickle) return std::nullopt;
  const PickleNode& node = nodes_[ref];
  if (node.kind == PickleKind::kInt || node.kind == PickleKind::kBool) return node.integer;
  const std::optional<NumpyScalar> scalar = numpy_scalar(ref);
  if (scalar && scalar->is_integer) return scalar->integer;
  return std::nullopt;
}

std::optional<double> PickleDocument::number(PickleRef ref) const {
  if (ref == kNoPickle) return std::nullopt;
  const PickleNode& node = nodes_[ref];
  switch (node.kind) {
    case PickleKind::kBool:
    case PickleKind::kInt:
      return double(node.integer);
    case PickleKind::kBigInt:
    case PickleKind::kFloat:
      return node.number;
    default:
      break;
  }
  const std::optional<NumpyScalar> scalar = numpy_scalar(ref);
  return scalar ? std::optional<double>(scalar->number) : std::nullopt;
}

/// Bytes, also in the form of protocol 2: _codecs.encode('text', 'latin1').
std::optional<std::string> PickleDocument::bytes(PickleRef ref) const {
  if (ref == kNoPickle) return std::nullopt;
  if (nodes_[ref].kind == PickleKind::kBytes) return nodes_[ref].text;
  if (!is_call_of(ref, "_codecs.encode") || text(arg(ref, 1)) != "latin1") return std::nullopt;
  const std::optional<std::string_view> source = text(arg(ref, 0));
  if (!source) return std::nullopt;
  std::string out;
  for (size_t i = 0; i < source->size(); ++i) {
    const uint8_t byte = uint8_t((*source)[i]);
    if (byte < 0x80) {
      out += char(byte);
    } else if ((byte & 0xfe) == 0xc2 && i + 1 < source->size()) {  // U+0080 to U+00FF
      out += char((byte << 6) | (uint8_t((*source)[++i]) & 0x3f));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

/// numpy.core.multiarray.scalar(dtype('f8'), bytes), little-endian.
std::optional<PickleDocument::NumpyScalar> PickleDocument::numpy_scalar(PickleRef ref) const {
  const std::string_view name = called(ref);
  if (name != "numpy.core.multiarray.scalar" && name != "numpy._core.multiarray.scalar") {
    return std::nullopt;
  }
  const PickleRef dtype = arg(ref, 0);
  const std::optional<std::string> data = bytes(arg(ref, 1));
  if (!is_call_of(dtype, "numpy.dtype") || !data) return std::nullopt;
  const PickleRef state = nodes_[dtype].state;
  const std::span<const PickleRef> state_items = sequence(state);
  if (state_items.size() > 1 && text(state_items[1]) == ">") return std::nullopt;
  const std::string_view code = text(arg(dtype, 0)).value_or("");

  NumpyScalar scalar;
  const auto integer = [&](auto type) {
    if (data->size() != sizeof type) return false;
    scalar.is_integer = true;
    scalar.integer = int64_t(load<decltype(type)>(*data));
    scalar.number = double(scalar.integer);
    return true;
  };
  bool known = false;
  if (code == "f8" && data->size() == 8) {
    scalar.number = load<double>(*data);
    known = true;
  } else if (code == "f4" && data->size() == 4) {
    scalar.number = double(load<float>(*data));
    known = true;
  } else if (code == "f2" && data->size() == 2) {
    scalar.number = double(half_to_float(load<uint16_t>(*data)));
    known = true;
  } else if (code == "i8") {
    known = integer(int64_t());
  } else if (code == "i4") {
    known = integer(int32_t());
  } else if (code == "i2") {
    known = integer(int16_t());
  } else if (code == "i1") {
    known = integer(int8_t());
  } else if (code == "u1" || code == "b1") {
    known = integer(uint8_t());
  } else if (code == "u2") {
    known = integer(uint16_t());
  } else if (code == "u4") {
    known = integer(uint32_t());
  }
  return known ? std::optional<NumpyScalar>(scalar) : std::nullopt;
}

std::string PickleDocument::describe(PickleRef ref) const {
  if (ref == kNoPickle) return "nothing";
  const PickleNode& node = nodes_[ref];
  switch (node.kind) {
    case PickleKind::kNone:
      return "None";
    case PickleKind::kBool:
      return node.integer != 0 ? "True" : "False";
    case PickleKind::kInt:
      return fmt::format("the number {}", node.integer);
    case PickleKind::kBigInt:
    case PickleKind::kFloat:
      return fmt::format("the number {}", node.number);
    case PickleKind::kString:
      return fmt::format("the text '{}'", printable(node.text, 80));
    case PickleKind::kBytes:
      return fmt::format("{} bytes", node.text.size());
    case PickleKind::kTuple:
      return fmt::format("a tuple of {}", node.items.size());
    case PickleKind::kList:
      return fmt::format("a list of {}", node.items.size());
    case PickleKind::kSet:
      return fmt::format("a set of {}", node.items.size());
    case PickleKind::kDict:
      return fmt::format("a dict of {}", node.entries.size() / 2);
    case PickleKind::kGlobal:
      return fmt::format("the global '{}'", printable(node.text, 120));
    case PickleKind::kPersistent:
      return "a persistent object";
    case PickleKind::kCall:
      break;
  }
  const PickleNode& callable = nodes_[node.callable];
  if (callable.kind != PickleKind::kGlobal) return "a call of something that is no global";
  return fmt::format("a call of '{}'", printable(callable.text, 120));
}

}  // namespace ydistill
