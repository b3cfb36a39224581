// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/torch_tensors.h>

#include <cstring>
#include <optional>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/half.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {

namespace {

constexpr int64_t kElementsPerTask = 1 << 16;

enum class Element : uint8_t {
  kHalf,
  kBFloat16,
  kFloat,
  kDouble,
  kLong,
  kInt,
  kShort,
  kChar,
  kByte,
  kBool,
  kUntyped,  // bytes; the rebuilder names the type
};

struct ElementName {
  std::string_view name;
  Element element;
  int64_t bytes;
};

constexpr ElementName kStorages[] = {
    {"torch.HalfStorage", Element::kHalf, 2},
    {"torch.BFloat16Storage", Element::kBFloat16, 2},
    {"torch.FloatStorage", Element::kFloat, 4},
    {"torch.DoubleStorage", Element::kDouble, 8},
    {"torch.LongStorage", Element::kLong, 8},
    {"torch.IntStorage", Element::kInt, 4},
    {"torch.ShortStorage", Element::kShort, 2},
    {"torch.CharStorage", Element::kChar, 1},
    {"torch.ByteStorage", Element::kByte, 1},
    {"torch.BoolStorage", Element::kBool, 1},
    {"torch.UntypedStorage", Element::kUntyped, 1},
    {"torch.storage.UntypedStorage", Element::kUntyped, 1},
    {"torch.storage._UntypedStorage", Element::kUntyped, 1},
};

constexpr ElementName kDtypes[] = {
    {"torch.float16", Element::kHalf, 2},  {"torch.bfloat16", Element::kBFloat16, 2},
    {"torch.float32", Element::kFloat, 4}, {"torch.float64", Element::kDouble, 8},
    {"torch.int64", Element::kLong, 8},    {"torch.int32", Element::kInt, 4},
    {"torch.int16", Element::kShort, 2},   {"torch.int8", Element::kChar, 1},
    {"torch.uint8", Element::kByte, 1},    {"torch.bool", Element::kBool, 1},
};

template <size_t n>
const ElementName* find_element(const ElementName (&table)[n], const PickleDocument& document,
                                PickleRef ref) {
  for (const ElementName& known : table) {
    if (document.is_global(ref, known.name)) return &known;
  }
  return nullptr;
}

constexpr std::string_view kRebuilders[] = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
};

bool is_rebuilder(std::string_view name) {
  for (const std::string_view known : kRebuilders) {
    if (name == known) return true;
  }
  return false;
}

}  // namespace

/// Where a tensor's numbers are stored: element `offset` + sum(index * stride) of a storage.
struct TorchTensors::View {
  Element element = Element::kFloat;
  int64_t element_bytes = 0;
  std::string key;
  int64_t storage_elements = 0;
  int64_t offset = 0;
  std::vector<int64_t> strides;
  Shape shape;

  int64_t storage_bytes() const { return storage_elements * element_bytes; }

  bool is_dense() const {
    int64_t expected = 1;
    for (size_t axis = strides.size(); axis-- > 0;) {
      const int64_t size = shape.sizes()[axis];
      if (size != 1 && strides[axis] != expected) return false;
      expected *= size;
    }
    return true;
  }

  /// Copies the elements in row-major order, converted.
  template <class From, class To, class Convert>
  void gather(const std::byte* storage, To* to, Convert convert) const {
    const auto load = [&](int64_t at) {
      From value;
      std::memcpy(&value, storage + at * int64_t(sizeof(From)), sizeof(From));
      return convert(value);
    };
    const int64_t numel = shape.numel();
    if (is_dense()) {
      parallel_ranges(numel, kElementsPerTask, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) to[i] = load(offset + i);
      });
      return;
    }
    std::vector<int64_t> index(strides.size(), 0);
    int64_t at = offset;
    for (int64_t i = 0; i < numel; ++i) {
      to[i] = load(at);
      for (size_t axis = index.size(); axis-- > 0;) {
        const int64_t size = shape.sizes()[axis];
        if (++index[axis] < size) {
          at += strides[axis];
          break;
        }
        at -= strides[axis] * (size - 1);
        index[axis] = 0;
      }
    }
  }
};

void TorchTensors::fail(std::string_view name, const std::string& what) const {
  throw FileError("{}: {}: {}", archive_.name(), printable(name, 120), what);
}

bool TorchTensors::is_tensor(PickleRef ref) const {
  return is_rebuilder(document_.called(ref));
}

/// Removes the _rebuild_parameter* calls around the call that rebuilds the tensor itself.
PickleRef TorchTensors::unwrap(PickleRef ref) const {
  for (int layer = 0; layer < 8; ++layer) {
    const std::string_view name = document_.called(ref);
    if (name == "torch._utils._rebuild_parameter" ||
        name == "torch._utils._rebuild_parameter_with_state") {
      ref = document_.arg(ref, 0);
    } else {
      return ref;
    }
  }
  return ref;
}

std::vector<int64_t> TorchTensors::sizes_of(PickleRef ref, std::string_view what,
                                            std::string_view name) const {
  if (!document_.is_sequence(ref)) {
    fail(name, fmt::format("its {} is {}, expected a tuple", what, document_.describe(ref)));
  }
  std::vector<int64_t> sizes;
  for (const PickleRef item : document_.sequence(ref)) {
    const std::optional<int64_t> size = document_.integer(item);
    if (!size || *size < 0) {
      fail(name,
           fmt::format("its {} holds {}, expected numbers >= 0", what, document_.describe(item)));
    }
    sizes.push_back(*size);
    if (int(sizes.size()) > Shape::kMaxRank) {
      fail(name, fmt::format("has more than {} dimensions", Shape::kMaxRank));
    }
  }
  return sizes;
}

/// ('storage', type, key, location, number of elements)
void TorchTensors::read_storage_id(PickleRef ref, std::string_view name, View& view) const {
  if (document_[ref].kind != PickleKind::kPersistent) {
    fail(name, "its storage is " + document_.describe(ref) + ", expected a persistent id");
  }
  const std::span<const PickleRef> id = document_.sequence(document_[ref].items[0]);
  if (id.size() < 5 || document_.text(id[0]) != "storage" || !document_.text(id[2]) ||
      !document_.integer(id[4])) {
    fail(name, "its storage is not written as ('storage', type, key, location, size)");
  }
  const ElementName* type = find_element(kStorages, document_, id[1]);
  if (type == nullptr) {
    fail(name, "its storage has as its type " + document_.describe(id[1]) +
                   ", which is no storage known here");
  }
  view.element = type->element;
  view.element_bytes = type->bytes;
  view.key = *document_.text(id[2]);
  view.storage_elements = *document_.integer(id[4]);
  int64_t bytes = 0;
  if (view.storage_elements < 0 ||
      __builtin_mul_overflow(view.storage_elements, type->bytes, &bytes)) {
    fail(name, fmt::format("its storage claims {} elements", view.storage_elements));
  }
}

TorchTensors::View TorchTensors::view_of(PickleRef ref, std::string_view name) const {
  const PickleRef call = unwrap(ref);
  const std::string_view rebuilder = document_.called(call);
  if (!is_rebuilder(rebuilder)) {
    fail(name, "is " + document_.describe(call) + ", expected a tensor (nothing was called)");
  }
  // Arguments: (storage, offset, sizes, strides, ...); _rebuild_from_type_v2(function, type, args).
  const bool typed = rebuilder == "torch._tensor._rebuild_from_type_v2";
  if (typed && !document_.is_global(document_.arg(call, 0), "torch._utils._rebuild_tensor_v2")) {
    fail(name, "is rebuilt by " + document_.describe(document_.arg(call, 0)) +
                   ", expected torch._utils._rebuild_tensor_v2");
  }
  const std::span<const PickleRef> args =
      document_.sequence(typed ? document_.arg(call, 2) : document_[call].args);
  if (args.size() < 4) {
    fail(name, fmt::format("its rebuilder has {} arguments, expected 4", args.size()));
  }

  View view;
  read_storage_id(args[0], name, view);
  if (rebuilder == "torch._utils._rebuild_tensor_v3") {
    // Untyped storage: the dtype is the argument after requires_grad and the hooks.
    const PickleRef named = args.size() > 6 ? args[6] : kNoPickle;
    const ElementName* dtype = find_element(kDtypes, document_, named);
    if (dtype == nullptr) {
      fail(name, "its dtype is " + document_.describe(named) + ", which is not known here");
    }
    if (view.storage_bytes() % dtype->bytes != 0) {
      fail(name, fmt::format("its storage has {} bytes, no multiple of {}", view.storage_bytes(),
                             dtype->bytes));
    }
    view.storage_elements = view.storage_bytes() / dtype->bytes;
    view.element = dtype->element;
    view.element_bytes = dtype->bytes;
  }
  if (view.element == Element::kUntyped) fail(name, "its storage has no element type");

  const std::optional<int64_t> offset = document_.integer(args[1]);
  if (!offset || *offset < 0) {
    fail(name, "its storage offset is " + document_.describe(args[1]) + ", expected a number >= 0");
  }
  view.offset = *offset;
  const std::vector<int64_t> sizes = sizes_of(args[2], "shape", name);
  view.strides = sizes_of(args[3], "stride", name);
  if (sizes.size() != view.strides.size()) {
    fail(name, fmt::format("has {} sizes and {} strides", sizes.size(), view.strides.size()));
  }
  try {
    view.shape = Shape(std::span<const int64_t>(sizes));
  } catch (const ShapeError& error) {
    fail(name, error.what());
  }
  check_view(view, name);
  return view;
}

/// The last element that the view reads has to lie inside the storage.
void TorchTensors::check_view(const View& view, std::string_view name) const {
  if (view.shape.numel() == 0) return;
  int64_t last = view.offset;
  bool inside = true;
  for (size_t axis = 0; axis < view.strides.size(); ++axis) {
    int64_t span = 0;
    inside = inside &&
             !__builtin_mul_overflow(view.shape.sizes()[axis] - 1, view.strides[axis], &span) &&
             !__builtin_add_overflow(last, span, &last);
  }
  if (!inside || last >= view.storage_elements) {
    fail(name, fmt::format("shape {} with strides [{}] from element {} leaves its storage of {} "
                           "elements",
                           view.shape.str(), fmt::join(view.strides, ","), view.offset,
                           view.storage_elements));
  }
}

const std::vector<std::byte>& TorchTensors::storage(const View& view, std::string_view name) {
  const std::string entry = folder_ + "data/" + view.key;
  const auto check_size = [&](int64_t bytes) {
    if (bytes == view.storage_bytes()) return;
    fail(name, fmt::format("its storage takes {} bytes, '{}' has {}", view.storage_bytes(),
                           printable(entry, 80), bytes));
  };
  auto found = storages_.find(view.key);
  if (found == storages_.end()) {
    if (!archive_.has(entry)) {
      fail(name, "its numbers are missing: the archive has no '" + printable(entry, 80) + "'");
    }
    check_size(archive_.size(entry));
    found = storages_.emplace(view.key, archive_.read(entry)).first;
    stored_bytes_ += view.storage_bytes();
  }
  check_size(int64_t(found->second.size()));
  return found->second;
}

/// Many views of one storage, or a stride of 0, could ask for far more than the file holds.
void TorchTensors::account(const View& view, std::string_view name) {
  int64_t gathered = 0;
  const bool huge = __builtin_mul_overflow(view.shape.numel(), view.element_bytes, &gathered) ||
                    __builtin_add_overflow(gathered, gathered_bytes_, &gathered);
  const int64_t allowed = 4 * stored_bytes_ + (int64_t(64) << 20);
  if (huge || gathered > allowed) {
    fail(name, fmt::format("shape {} asks for far more than the {} bytes of the storages",
                           view.shape.str(), stored_bytes_));
  }
  gathered_bytes_ = gathered;
}

Tensor TorchTensors::read(PickleRef ref, std::string_view name) {
  const View view = view_of(ref, name);
  const std::byte* bytes = view.shape.numel() == 0 ? nullptr : storage(view, name).data();
  account(view, name);

  const auto gather = [&](auto from, auto to, auto convert) {
    using To = decltype(to);
    const Tensor tensor = Tensor::empty(view.shape, dtype_of<To>);
    view.gather<decltype(from)>(bytes, tensor.data<To>(), convert);
    return tensor;
  };
  const auto same = [](auto x) { return x; };
  const auto as_float = [](BFloat16 x) { return float(x); };
  const auto as_integer = [](auto x) { return int64_t(x); };
  switch (view.element) {
    case Element::kHalf:
      return gather(uint16_t(), float(), half_to_float);
    case Element::kBFloat16:
      return gather(BFloat16(), float(), as_float);
    case Element::kFloat:
      return gather(float(), float(), same);
    case Element::kDouble:
      return gather(double(), double(), same);
    case Element::kLong:
      return gather(int64_t(), int64_t(), same);
    case Element::kInt:
      return gather(int32_t(), int64_t(), as_integer);
    case Element::kShort:
      return gather(int16_t(), int64_t(), as_integer);
    case Element::kChar:
      return gather(int8_t(), int64_t(), as_integer);
    case Element::kByte:
    case Element::kBool:
      return gather(uint8_t(), int64_t(), as_integer);
    case Element::kUntyped:
      break;
  }
  fail(name, "its storage has no element type");
}

}  // namespace ydistill
