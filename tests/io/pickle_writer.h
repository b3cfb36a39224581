// SPDX-License-Identifier: MIT
// Pickles for tests, put together from parts: each function returns the instructions that leave one
// object on the stack, as Python's pickle and torch.save write them (protocol 2).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ydistill::test::pkl {

using Entries = std::vector<std::pair<std::string, std::string>>;  // name -> instructions

inline std::string little_endian(uint64_t value, int nbytes) {
  std::string out;
  for (int i = 0; i < nbytes; ++i) out += char(uint8_t(value >> (8 * i)));
  return out;
}

inline std::string program(const std::string& object) {
  return "\x80\x02" + object + ".";
}
inline std::string none() {
  return "N";
}
inline std::string boolean(bool value) {
  return value ? "\x88" : "\x89";
}
inline std::string integer(int32_t value) {
  return "J" + little_endian(uint32_t(value), 4);
}
inline std::string long_integer(int64_t value) {
  return "\x8a\x08" + little_endian(uint64_t(value), 8);
}
inline std::string text(const std::string& value) {
  return "X" + little_endian(value.size(), 4) + value;
}

inline std::string concat(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += part;
  return out;
}
inline std::string tuple(const std::vector<std::string>& items) {
  return "(" + concat(items) + "t";
}
inline std::string list(const std::vector<std::string>& items) {
  return "](" + concat(items) + "e";
}
inline std::string integers(const std::vector<int64_t>& values) {
  std::string out = "(";
  for (const int64_t value : values) out += long_integer(value);
  return out + "t";
}

inline std::string items(const Entries& entries) {
  std::string out = "(";
  for (const auto& [name, value] : entries) out += text(name) + value;
  return out + "u";
}
inline std::string dict(const Entries& entries) {
  return "}" + items(entries);
}

inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string call(const std::string& module, const std::string& name,
                        const std::string& arguments) {
  return global(module, name) + arguments + "R";
}
inline std::string ordered_dict(const Entries& entries) {
  return call("collections", "OrderedDict", ")") + items(entries);
}

inline std::string storage(const std::string& type, const std::string& key, int64_t elements) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"),
                long_integer(elements)}) +
         "Q";
}
inline std::string tensor(const std::string& storage, int64_t offset,
                          const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  return call("torch._utils", "_rebuild_tensor_v2",
              tuple({storage, long_integer(offset), integers(sizes), integers(strides),
                     boolean(false), ordered_dict({})}));
}
inline std::string parameter(const std::string& tensor) {
  return call("torch._utils", "_rebuild_parameter",
              tuple({tensor, boolean(true), ordered_dict({})}));
}

/// A torch.nn.Module as it pickles itself: __new__ without arguments, then its state.
inline std::string module(const std::string& python_module, const std::string& python_class,
                          const Entries& parameters, const Entries& buffers,
                          const Entries& children, const Entries& attributes = {}) {
  Entries state = {{"training", boolean(false)},
                   {"_parameters", ordered_dict(parameters)},
                   {"_buffers", ordered_dict(buffers)},
                   {"_modules", ordered_dict(children)}};
  state.insert(state.end(), attributes.begin(), attributes.end());
  return global(python_module, python_class) + ")\x81" + dict(state) + "b";
}

}  // namespace ydistill::test::pkl
