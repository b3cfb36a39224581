// SPDX-License-Identifier: MIT
// Walks a checkpoint's pickle. Module trees are read from what torch.nn.Module keeps in its state:
// _parameters, _buffers, _non_persistent_buffers_set, _modules. Objects of a pickle may be shared
// and even contain themselves, so the steps and the depth of the walk are limited.
#include <ydistill/tensor/io/pt.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <span>
#include <unordered_set>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/pickle.h>
#include <ydistill/tensor/io/pickle_json.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/torch_tensors.h>
#include <ydistill/tensor/io/zip_archive.h>

namespace ydistill {
namespace {

constexpr int kMaxModuleDepth = 64;
constexpr int64_t kMaxSteps = 10'000'000;
constexpr size_t kMaxNameBytes = 1000;
constexpr int64_t kMaxAllNameBytes = 64'000'000;
constexpr size_t kMaxClassNames = 100'000;

class CheckpointReader {
 public:
  CheckpointReader(ZipArchive& archive, const PickleDocument& document, const std::string& folder)
      : archive_(archive), document_(document), tensors_(document, archive, folder) {}

  PtCheckpoint read(PtWeights prefer) {
    const PickleRef weights = choose(prefer);
    if (is_module(weights)) {
      walk_module(weights, "", 0);
    } else {
      walk_state_dict(weights);
    }
    if (result_.tensors.empty()) fail("holds no weights");
    read_facts(weights);
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw FileError("{}: {}", archive_.name(), what);
  }

  void count(size_t steps) {
    steps_ += int64_t(steps);
    if (steps_ > kMaxSteps) {
      fail(fmt::format("its modules take more than {} steps to walk", kMaxSteps));
    }
  }

  bool is_module(PickleRef ref) {
    if (ref == kNoPickle || document_[ref].kind != PickleKind::kCall) return false;
    const PickleRef state = document_[ref].state;
    count(2 * document_.dict_length(state));
    return state != kNoPickle && document_.get(state, "_parameters") != kNoPickle &&
           document_.get(state, "_modules") != kNoPickle;
  }

  /// A dictionary with at least one tensor in it.
  bool is_state_dict(PickleRef ref) const {
    const auto entries = document_.dict_entries(ref);
    return std::any_of(entries.begin(), entries.end(),
                       [&](const auto& entry) { return tensors_.is_tensor(entry.second); });
  }

  /// The module or state dict to read; stores in result_.source where it was found.
  PickleRef choose(PtWeights prefer) {
    const PickleRef root = document_.root();
    if (is_module(root)) {
      result_.source = "model";
      return root;
    }
    if (!document_.is_dict(root)) {
      fail("holds " + document_.describe(root) +
           ", expected a checkpoint dictionary, a module or a state dict (nothing was called)");
    }
    const bool ema_first = prefer == PtWeights::kEma;
    for (const char* key : {ema_first ? "ema" : "model", ema_first ? "model" : "ema", "state_dict",
                            "model_state_dict"}) {
      PickleRef value = document_.get(root, key);
      if (value == kNoPickle || document_.is_none(value)) continue;
      // Some YOLOv5 releases stored a tuple (ema, updates).
      const bool is_tuple = document_[value].kind == PickleKind::kTuple;
      if (is_tuple && !document_.sequence(value).empty()) value = document_.sequence(value)[0];
      const bool plain = std::string_view(key).ends_with("state_dict");
      if (is_module(value) || is_state_dict(value)) {
        result_.source = plain ? "state_dict" : key;
        return value;
      }
      if (tensors_.is_tensor(value)) break;  // a state dict with an entry of this name
      fail(fmt::format("'{}' is {}, expected a module or a state dict (nothing was called)", key,
                       document_.describe(value)));
    }
    if (!is_state_dict(root)) fail("holds no weights: " + keys_of(root));
    result_.source = "state_dict";
    return root;
  }

  std::string keys_of(PickleRef dict) const {
    std::string keys;
    for (const auto& [key, value] : document_.dict_entries(dict)) {
      if (keys.size() > 200) return "its keys are " + keys + ", ...";
      keys += (keys.empty() ? "" : ", ") +
              printable(document_.text(key).value_or(document_.describe(key)), 40);
    }
    return keys.empty() ? "it is an empty dictionary" : "its keys are " + keys;
  }

  std::string key_text(PickleRef key, const std::string& where) const {
    const std::optional<std::string_view> text = document_.text(key);
    if (!text) {
      fail(fmt::format("{} has the key {}, expected a name", printable(where, 120),
                       document_.describe(key)));
    }
    return std::string(*text);
  }

  static std::string join(const std::string& prefix, const std::string& name) {
    return prefix.empty() ? name : prefix + "." + name;
  }

  void add_tensor(const std::string& name, PickleRef ref) {
    if (name.size() > kMaxNameBytes) fail("a name is too long: " + printable(name, 120));
    if (!names_.insert(name).second) fail("'" + printable(name, 120) + "' appears twice");
    result_.tensors.emplace_back(name, tensors_.read(ref, name));
  }

  void walk_state_dict(PickleRef dict) {
    for (const auto& [key, value] : document_.dict_entries(dict)) {
      count(1);
      add_tensor(key_text(key, "the state dict"), value);
    }
  }

  /// The entries of one of a module's own dictionaries, such as _parameters; empty if it has none.
  std::vector<std::pair<PickleRef, PickleRef>> own_dict(PickleRef ref, const std::string& module,
                                                        std::string_view what) {
    if (ref == kNoPickle || document_.is_none(ref)) return {};
    if (!document_.is_dict(ref)) {
      fail(fmt::format("{}: its {} is {}, expected a dictionary (nothing was called)",
                       module.empty() ? "the model" : printable(module, 120), what,
                       document_.describe(ref)));
    }
    count(document_.dict_length(ref));
    return document_.dict_entries(ref);
  }

  std::string class_of(PickleRef module) const {
    const std::string_view name = document_.called(module);
    const bool old_protocol = name == "copy_reg._reconstructor" || name == "copyreg._reconstructor";
    const PickleRef type = old_protocol ? document_.arg(module, 0) : kNoPickle;
    if (type == kNoPickle) return std::string(name);
    return document_[type].kind == PickleKind::kGlobal ? document_[type].text : std::string();
  }

  void walk_module(PickleRef module, const std::string& prefix, int depth) {
    if (depth > kMaxModuleDepth) {
      fail(fmt::format("its modules are nested more than {} deep", kMaxModuleDepth));
    }
    count(1);
    if (!is_module(module)) {
      fail(printable(prefix, 120) + ": is " + document_.describe(module) +
           ", expected a module (nothing was called)");
    }
    std::string type = class_of(module);
    if (type.size() > kMaxNameBytes) fail("a class's name is too long: " + printable(type, 120));
    name_bytes_ += int64_t(prefix.size() + type.size());
    if (name_bytes_ > kMaxAllNameBytes) {
      fail(fmt::format("the names of its modules take more than {} bytes", kMaxAllNameBytes));
    }
    result_.modules.emplace_back(prefix, std::move(type));

    PickleRef parameters = kNoPickle, buffers = kNoPickle, hidden = kNoPickle, stride = kNoPickle;
    PickleRef children = kNoPickle;
    for (const auto& [key, value] : own_dict(document_[module].state, prefix, "state")) {
      const std::string_view name = document_.text(key).value_or("");
      if (name == "_parameters") parameters = value;
      if (name == "_buffers") buffers = value;
      if (name == "_non_persistent_buffers_set") hidden = value;
      if (name == "_modules") children = value;
      if (name == "stride") stride = value;
    }
    // Only a detection head (and the model itself) keeps strides as a tensor; convolutions keep a
    // tuple that means something else.
    if (tensors_.is_tensor(stride) && stride_ == kNoPickle) stride_ = stride;

    std::set<std::string_view> not_saved;
    for (const PickleRef name : document_.sequence(hidden)) {
      count(1);
      not_saved.insert(document_.text(name).value_or(""));
    }
    for (const auto& [key, value] : own_dict(parameters, prefix, "_parameters")) {
      if (!document_.is_none(value)) add_tensor(join(prefix, key_text(key, prefix)), value);
    }
    for (const auto& [key, value] : own_dict(buffers, prefix, "_buffers")) {
      const std::string name = key_text(key, prefix);
      if (document_.is_none(value) || not_saved.contains(name)) continue;
      add_tensor(join(prefix, name), value);
    }
    for (const auto& [key, value] : own_dict(children, prefix, "_modules")) {
      const std::string name = join(prefix, key_text(key, prefix));
      if (name.size() > kMaxNameBytes) fail("a name is too long: " + printable(name, 120));
      if (!document_.is_none(value)) walk_module(value, name, depth + 1);
    }
  }

  // -- what else is known about the model ------------------------------------------------------

  void read_facts(PickleRef weights) {
    const PickleRef root = document_.root();
    // The chosen module, else the other one, else the checkpoint itself.
    std::vector<PickleRef> places;
    const auto add_place = [&](PickleRef ref) {
      if (is_module(ref)) places.push_back(document_[ref].state);
    };
    add_place(weights);
    add_place(document_.get(root, "model"));
    add_place(document_.get(root, "ema"));
    if (root != weights) places.push_back(root);
    const auto first = [&](std::string_view key) {
      for (const PickleRef place : places) {
        const PickleRef value = document_.get(place, key);
        if (value != kNoPickle && !document_.is_none(value)) return value;
      }
      return kNoPickle;
    };
    const PickleRef names = first("names");
    if (names != kNoPickle) read_class_names(names);
    const PickleRef spec = first("yaml");
    if (document_.is_dict(spec)) {
      result_.spec_json = pickle_to_json(document_, spec, archive_.name() + ": the model's yaml");
    }
    const PickleRef own_stride = first("stride");
    read_strides(own_stride != kNoPickle ? own_stride : stride_);
    result_.epoch = document_.integer(document_.get(root, "epoch")).value_or(-1);
  }

  void read_class_names(PickleRef names) {
    if (document_.is_sequence(names)) {
      for (const PickleRef name : document_.sequence(names)) add_class_name(name);
      return;
    }
    if (!document_.is_dict(names)) {
      fail("its class names are " + document_.describe(names) +
           ", expected a list or a dictionary");
    }
    // {0: 'person', 1: ...}; the keys give the order.
    auto entries = document_.dict_entries(names);
    std::vector<PickleRef> ordered(entries.size(), kNoPickle);
    for (const auto& [key, value] : entries) {
      const int64_t index = document_.integer(key).value_or(-1);
      if (index < 0 || index >= int64_t(ordered.size()) || ordered[size_t(index)] != kNoPickle) {
        fail(fmt::format("its class names have the key {}, expected 0 to {}, each once",
                         document_.describe(key), ordered.size() - 1));
      }
      ordered[size_t(index)] = value;
    }
    for (const PickleRef name : ordered) add_class_name(name);
  }

  void add_class_name(PickleRef name) {
    const std::optional<std::string_view> text = document_.text(name);
    const std::optional<int64_t> number = document_.integer(name);
    if (!text && !number) {
      fail(fmt::format("class {} is called {}, expected a text", result_.class_names.size(),
                       document_.describe(name)));
    }
    // A pickle may refer to one long text many times; here each becomes a copy.
    if (text && text->size() > kMaxNameBytes) {
      fail(fmt::format("class {} has a name of {} bytes, {} are allowed",
                       result_.class_names.size(), text->size(), kMaxNameBytes));
    }
    if (result_.class_names.size() >= kMaxClassNames) {
      fail(fmt::format("it has more than {} class names", kMaxClassNames));
    }
    result_.class_names.push_back(text ? std::string(*text) : std::to_string(*number));
  }

  void read_strides(PickleRef stride) {
    if (stride == kNoPickle) return;
    std::vector<double> strides;
    if (tensors_.is_tensor(stride)) {
      const Tensor tensor = tensors_.read(stride, "stride");
      for (int64_t i = 0; i < std::min<int64_t>(tensor.numel(), 1000); ++i) {
        strides.push_back(tensor.at(i));
      }
    } else {
      for (const PickleRef item : document_.sequence(stride)) {
        const std::optional<double> number = document_.number(item);
        if (!number) fail("its strides hold " + document_.describe(item) + ", expected numbers");
        strides.push_back(*number);
      }
    }
    for (const double value : strides) {
      if (!(value > 0) || !std::isfinite(value)) {
        fail(fmt::format("its strides hold {}, expected numbers > 0", value));
      }
    }
    result_.strides = std::move(strides);
  }

  ZipArchive& archive_;
  const PickleDocument& document_;
  TorchTensors tensors_;
  PtCheckpoint result_;
  std::unordered_set<std::string> names_;
  PickleRef stride_ = kNoPickle;
  int64_t steps_ = 0, name_bytes_ = 0;
};

/// The archive's only folder, which torch names after the file, with a trailing slash.
std::string find_folder(const ZipArchive& archive) {
  constexpr std::string_view kPickle = "data.pkl";
  std::optional<std::string> folder;
  for (const std::string& entry : archive.entries()) {
    const bool named = entry == kPickle || entry.ends_with("/data.pkl");
    if (!named) continue;
    if (folder) throw FileError("{}: holds more than one data.pkl", archive.name());
    folder = entry.substr(0, entry.size() - kPickle.size());
  }
  if (!folder) {
    throw FileError("{}: is a zip archive without a data.pkl, no checkpoint of torch.save",
                    archive.name());
  }
  return *folder;
}

void check_byte_order(ZipArchive& archive, const std::string& folder) {
  const std::string entry = folder + "byteorder";
  if (!archive.has(entry) || archive.size(entry) > 16) return;
  std::string order;
  for (const std::byte byte : archive.read(entry)) order += char(byte);
  if (order != "little") {
    throw FileError("{}: its numbers are in '{}' byte order, expected 'little'", archive.name(),
                    printable(order));
  }
}

}  // namespace

const Tensor* PtCheckpoint::find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == tensors.end() ? nullptr : &found->second;
}

PtCheckpoint read_pt(const std::filesystem::path& path, PtWeights prefer) {
  ZipArchive archive(path);
  const std::string folder = find_folder(archive);
  if (archive.has(folder + "constants.pkl")) {
    throw FileError("{}: is a TorchScript archive, which holds a program; expected a checkpoint",
                    archive.name());
  }
  check_byte_order(archive, folder);
  const std::string entry = folder + "data.pkl";
  const PickleLimits limits;
  if (archive.size(entry) > limits.max_bytes) {
    throw FileError("{}: '{}' has {} bytes, {} are allowed", archive.name(), printable(entry, 80),
                    archive.size(entry), limits.max_bytes);
  }
  const std::vector<std::byte> pickle = archive.read(entry);
  const PickleDocument document = parse_pickle(pickle, archive.name(), limits);
  return CheckpointReader(archive, document, folder).read(prefer);
}

}  // namespace ydistill
