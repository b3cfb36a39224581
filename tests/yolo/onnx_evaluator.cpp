// SPDX-License-Identifier: MIT
#include "yolo/onnx_evaluator.h"

#include <ydistill/tensor/io/half.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>

#include "support/protobuf_reader.h"

namespace ydistill::test {
namespace {

using Ints = std::vector<int64_t>;

int64_t product(const Ints& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
}

/// Elements a step along each axis skips.
Ints steps_of(const Ints& sizes) {
  Ints steps(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) steps[i - 1] = steps[i] * sizes[i];
  return steps;
}

/// Calls f(index) for every index into `sizes`, the last axis fastest.
void for_each_index(const Ints& sizes, const std::function<void(const Ints&)>& f) {
  Ints index(sizes.size(), 0);
  for (int64_t n = product(sizes); n > 0; --n) {
    f(index);
    for (size_t i = sizes.size(); i-- > 0 && ++index[i] == sizes[i];) index[i] = 0;
  }
}

int64_t flat(const Ints& index, const Ints& steps) {
  return std::inner_product(index.begin(), index.end(), steps.begin(), int64_t(0));
}

/// A value of these sizes whose elements are f(index).
OnnxValue filled(const Ints& sizes, bool whole, const std::function<double(const Ints&)>& f) {
  OnnxValue out{sizes, {}, whole};
  for_each_index(sizes, [&](const Ints& index) { out.numbers.push_back(f(index)); });
  return out;
}

Ints as_ints(const OnnxValue& v) {
  return {v.numbers.begin(), v.numbers.end()};
}

struct Attributes {
  std::map<std::string, ProtobufFields> by_name;
  int64_t integer(const std::string& name, int64_t otherwise = 0) const {
    const auto found = by_name.find(name);
    return found == by_name.end() ? otherwise : found->second.number(3);
  }
  Ints ints(const std::string& name) const { return by_name.at(name).all_numbers(8); }
  std::string text(const std::string& name) const { return by_name.at(name).text(4); }
};

OnnxValue elementwise(const OnnxValue& a, const OnnxValue& b,
                      const std::function<double(double, double)>& f) {
  const size_t rank = std::max(a.sizes.size(), b.sizes.size());
  const auto widened = [&](const OnnxValue& v) {
    Ints sizes(rank - v.sizes.size(), 1);
    sizes.insert(sizes.end(), v.sizes.begin(), v.sizes.end());
    return sizes;
  };
  const Ints sa = widened(a), sb = widened(b);
  Ints sizes(rank), steps_a = steps_of(sa), steps_b = steps_of(sb);
  for (size_t i = 0; i < rank; ++i) {
    REQUIRE((sa[i] == sb[i] || sa[i] == 1 || sb[i] == 1));
    sizes[i] = sa[i] == 1 ? sb[i] : sa[i];
    if (sa[i] == 1) steps_a[i] = 0;
    if (sb[i] == 1) steps_b[i] = 0;
  }
  REQUIRE(a.whole == b.whole);
  return filled(sizes, a.whole, [&](const Ints& index) {
    return f(a.numbers[size_t(flat(index, steps_a))], b.numbers[size_t(flat(index, steps_b))]);
  });
}

/// What a window at an output's place sees: f(input's row, column, window's row, column).
void for_each_tap(const Ints& kernel, const Ints& strides, const Ints& pads, const Ints& x,
                  int64_t row, int64_t column,
                  const std::function<void(int64_t, int64_t, int64_t, int64_t)>& f) {
  for (int64_t p = 0; p < kernel[0]; ++p) {
    for (int64_t q = 0; q < kernel[1]; ++q) {
      const int64_t i = row * strides[0] + p - pads[0], j = column * strides[1] + q - pads[1];
      if (i >= 0 && i < x[2] && j >= 0 && j < x[3]) f(i, j, p, q);
    }
  }
}

Ints windowed_sizes(const OnnxValue& x, int64_t channels, const Attributes& at) {
  const Ints k = at.ints("kernel_shape"), s = at.ints("strides"), p = at.ints("pads");
  return {x.sizes[0], channels, (x.sizes[2] + p[0] + p[2] - k[0]) / s[0] + 1,
          (x.sizes[3] + p[1] + p[3] - k[1]) / s[1] + 1};
}

OnnxValue conv(const OnnxValue& x, const OnnxValue& w, const OnnxValue& b, const Attributes& at) {
  const Ints k = at.ints("kernel_shape"), s = at.ints("strides"), p = at.ints("pads");
  REQUIRE(w.sizes == Ints{w.sizes[0], x.sizes[1], k[0], k[1]});
  const Ints steps_x = steps_of(x.sizes), steps_w = steps_of(w.sizes);
  return filled(windowed_sizes(x, w.sizes[0], at), false, [&](const Ints& o) {
    double sum = b.numbers[size_t(o[1])];
    for_each_tap(k, s, p, x.sizes, o[2], o[3], [&](int64_t i, int64_t j, int64_t r, int64_t c) {
      for (int64_t ch = 0; ch < x.sizes[1]; ++ch) {
        sum += x.numbers[size_t(flat({o[0], ch, i, j}, steps_x))] *
               w.numbers[size_t(flat({o[1], ch, r, c}, steps_w))];
      }
    });
    return sum;
  });
}

OnnxValue max_pool(const OnnxValue& x, const Attributes& at) {
  const Ints steps = steps_of(x.sizes);
  return filled(windowed_sizes(x, x.sizes[1], at), false, [&](const Ints& o) {
    double most = -INFINITY;
    for_each_tap(at.ints("kernel_shape"), at.ints("strides"), at.ints("pads"), x.sizes, o[2], o[3],
                 [&](int64_t i, int64_t j, int64_t, int64_t) {
                   most = std::max(most, x.numbers[size_t(flat({o[0], o[1], i, j}, steps))]);
                 });
    return most;
  });
}

OnnxValue resize(const OnnxValue& x, const OnnxValue& scales, const Attributes& at) {
  REQUIRE(at.text("mode") == "nearest");
  REQUIRE(at.text("coordinate_transformation_mode") == "asymmetric");
  REQUIRE(at.text("nearest_mode") == "floor");
  Ints sizes = x.sizes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = int64_t(std::floor(double(sizes[i]) * scales.numbers[i]));
  }
  const Ints steps = steps_of(x.sizes);
  return filled(sizes, false, [&](Ints index) {
    for (size_t i = 0; i < index.size(); ++i) {
      index[i] = int64_t(std::floor(double(index[i]) / scales.numbers[i]));
    }
    return x.numbers[size_t(flat(index, steps))];
  });
}

OnnxValue concat(const std::vector<OnnxValue>& inputs, int64_t axis) {
  Ints sizes = inputs.at(0).sizes;
  for (size_t k = 1; k < inputs.size(); ++k) {
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (int64_t(i) != axis) REQUIRE(inputs[k].sizes[i] == sizes[i]);
    }
    sizes[size_t(axis)] += inputs[k].sizes[size_t(axis)];
  }
  return filled(sizes, inputs[0].whole, [&](Ints index) {
    for (const OnnxValue& input : inputs) {
      if (index[size_t(axis)] < input.sizes[size_t(axis)]) {
        return input.numbers[size_t(flat(index, steps_of(input.sizes)))];
      }
      index[size_t(axis)] -= input.sizes[size_t(axis)];
    }
    FAIL("concat");
    return 0.0;
  });
}

OnnxValue reshape(OnnxValue x, Ints sizes) {
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) sizes[i] = x.sizes.at(i);
  }
  const auto open = std::find(sizes.begin(), sizes.end(), -1);
  if (open != sizes.end()) {
    *open = 1;
    *open = product(x.sizes) / product(sizes);
  }
  REQUIRE(product(sizes) == product(x.sizes));
  x.sizes = sizes;
  return x;
}

OnnxValue transpose(const OnnxValue& x, const Ints& perm) {
  const Ints steps = steps_of(x.sizes);
  Ints sizes, moved;
  for (const int64_t axis : perm) {
    sizes.push_back(x.sizes[size_t(axis)]);
    moved.push_back(steps[size_t(axis)]);
  }
  return filled(sizes, x.whole,
                [&](const Ints& index) { return x.numbers[size_t(flat(index, moved))]; });
}

OnnxValue slice(const OnnxValue& x, const OnnxValue& begins, const OnnxValue& ends,
                const OnnxValue& axes) {
  Ints sizes = x.sizes, from(x.sizes.size(), 0);
  for (size_t i = 0; i < axes.numbers.size(); ++i) {
    const size_t axis = size_t(axes.numbers[i]);
    const double end = std::min(ends.numbers[i], double(x.sizes[axis]));
    from[axis] = int64_t(begins.numbers[i]);
    sizes[axis] = int64_t(end) - from[axis];
  }
  const Ints steps = steps_of(x.sizes);
  return filled(sizes, x.whole, [&](const Ints& index) {
    return x.numbers[size_t(flat(index, steps) + flat(from, steps))];
  });
}

/// Along the first axis.
OnnxValue gather(const OnnxValue& x, const OnnxValue& which) {
  const int64_t block = x.sizes[0] == 0 ? 0 : product(x.sizes) / x.sizes[0];
  OnnxValue out{which.sizes, {}, x.whole};
  out.sizes.insert(out.sizes.end(), x.sizes.begin() + 1, x.sizes.end());
  for (const double i : which.numbers) {
    const auto from = x.numbers.begin() + int64_t(i) * block;
    out.numbers.insert(out.numbers.end(), from, from + block);
  }
  return out;
}

/// which [n,k]: the first k indices of what is taken.
OnnxValue gather_nd(const OnnxValue& x, const OnnxValue& which) {
  const int64_t n = which.sizes[0], k = which.sizes[1];
  const Ints steps = steps_of(x.sizes);
  OnnxValue out{{n}, {}, x.whole};
  out.sizes.insert(out.sizes.end(), x.sizes.begin() + k, x.sizes.end());
  const int64_t block = product({x.sizes.begin() + k, x.sizes.end()});
  for (int64_t i = 0; i < n; ++i) {
    int64_t at = 0;
    for (int64_t j = 0; j < k; ++j) {
      at += int64_t(which.numbers[size_t(i * k + j)]) * steps[size_t(j)];
    }
    out.numbers.insert(out.numbers.end(), x.numbers.begin() + at, x.numbers.begin() + at + block);
  }
  return out;
}

OnnxValue arg_max(const OnnxValue& x, const Attributes& at) {
  REQUIRE(at.integer("keepdims", 1) == 1);
  REQUIRE(at.integer("axis") == int64_t(x.sizes.size()) - 1);
  Ints sizes = x.sizes;
  sizes.back() = 1;
  const int64_t n = x.sizes.back();
  OnnxValue out{sizes, {}, true};
  for (auto i = x.numbers.begin(); i != x.numbers.end(); i += n) {
    out.numbers.push_back(double(std::max_element(i, i + n) - i));
  }
  return out;
}

double overlap(const double* a, const double* b) {  // centre x, centre y, width, height
  const auto shared = [&](int axis) {
    const double begin = std::max(a[axis] - a[axis + 2] / 2, b[axis] - b[axis + 2] / 2);
    const double end = std::min(a[axis] + a[axis + 2] / 2, b[axis] + b[axis + 2] / 2);
    return std::max(0.0, end - begin);
  };
  const double both = shared(0) * shared(1);
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}

/// boxes [N,boxes,4], scores [N,classes,boxes] -> [n,3]: picture, class, box
OnnxValue non_max_suppression(const std::vector<OnnxValue>& in, const Attributes& at) {
  REQUIRE(at.integer("center_point_box") == 1);
  const OnnxValue &boxes = in.at(0), &scores = in.at(1);
  const double most = in.at(2).numbers.at(0), iou = in.at(3).numbers.at(0);
  const double least = in.at(4).numbers.at(0);
  REQUIRE(iou > 0);  // runtimes differ on what 0 means
  const int64_t pictures = scores.sizes[0], classes = scores.sizes[1], n = scores.sizes[2];
  OnnxValue out{{0, 3}, {}, true};
  for (int64_t p = 0; p < pictures; ++p) {
    for (int64_t c = 0; c < classes; ++c) {
      const double* score = scores.numbers.data() + (p * classes + c) * n;
      Ints order(size_t(n), 0), kept;
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return score[a] > score[b]; });
      for (const int64_t box : order) {
        if (!(score[box] > least) || double(kept.size()) >= most) break;
        const double* first = boxes.numbers.data() + p * n * 4;
        const bool hidden = std::any_of(kept.begin(), kept.end(), [&](int64_t other) {
          return overlap(first + box * 4, first + other * 4) > iou;
        });
        if (hidden) continue;
        kept.push_back(box);
        out.numbers.insert(out.numbers.end(), {double(p), double(c), double(box)});
        ++out.sizes[0];
      }
    }
  }
  return out;
}

/// The k largest of a list and where they were.
std::vector<OnnxValue> top_k(const OnnxValue& x, int64_t k) {
  Ints order(x.numbers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return x.numbers[size_t(a)] > x.numbers[size_t(b)];
  });
  OnnxValue values{{k}, {}, false}, indices{{k}, {}, true};
  for (int64_t i = 0; i < k; ++i) {
    values.numbers.push_back(x.numbers[size_t(order[size_t(i)])]);
    indices.numbers.push_back(double(order[size_t(i)]));
  }
  return {values, indices};
}

OnnxValue range(const OnnxValue& begin, const OnnxValue& end, const OnnxValue& step) {
  OnnxValue out{{0}, {}, true};
  for (double i = begin.numbers[0]; i < end.numbers[0]; i += step.numbers[0]) {
    out.numbers.push_back(i);
    ++out.sizes[0];
  }
  return out;
}

/// scale and zero point: of all, or of each index along `axis`.
OnnxValue quantize_linear(const OnnxValue& x, const OnnxValue& scale, const OnnxValue& zero) {
  REQUIRE(product(scale.sizes) == 1);
  OnnxValue out = x;
  for (double& v : out.numbers) {  // std::nearbyint: ties to even
    v = std::clamp(std::nearbyint(v / scale.numbers[0]) + zero.numbers[0], 0.0, 255.0);
  }
  return out;
}

OnnxValue dequantize_linear(const OnnxValue& x, const OnnxValue& scale, const OnnxValue& zero,
                            size_t axis) {
  const Ints steps = steps_of(x.sizes);
  return filled(x.sizes, false, [&](const Ints& index) {
    const size_t k = scale.numbers.size() == 1 ? 0 : size_t(index[axis]);
    return (x.numbers[size_t(flat(index, steps))] - zero.numbers[k]) * scale.numbers[k];
  });
}

std::vector<OnnxValue> run(const std::string& op, const std::vector<OnnxValue>& in,
                           const Attributes& at) {
  const auto each = [&](const std::function<double(double)>& f) {
    OnnxValue out = in.at(0);
    for (double& v : out.numbers) v = f(v);
    return out;
  };
  if (op == "Conv") return {conv(in.at(0), in.at(1), in.at(2), at)};
  if (op == "QuantizeLinear") return {quantize_linear(in.at(0), in.at(1), in.at(2))};
  if (op == "DequantizeLinear") {
    return {dequantize_linear(in.at(0), in.at(1), in.at(2), size_t(at.integer("axis", 1)))};
  }
  if (op == "Sigmoid") return {each([](double v) { return 1 / (1 + std::exp(-v)); })};
  if (op == "Identity") return {in.at(0)};
  if (op == "Add") return {elementwise(in.at(0), in.at(1), std::plus<>())};
  if (op == "Sub") return {elementwise(in.at(0), in.at(1), std::minus<>())};
  if (op == "Mul") return {elementwise(in.at(0), in.at(1), std::multiplies<>())};
  if (op == "Min") {
    return {elementwise(in.at(0), in.at(1), [](double a, double b) { return std::min(a, b); })};
  }
  if (op == "Div") {
    return {elementwise(in.at(0), in.at(1), [&](double a, double b) {
      return in[0].whole ? std::trunc(a / b) : a / b;
    })};
  }
  if (op == "Equal") return {elementwise(in.at(0), in.at(1), std::equal_to<>())};
  if (op == "Cast") {
    OnnxValue out = in.at(0);
    const int64_t to = at.integer("to");
    REQUIRE((to == 1 || to == 10));  // float and half, which is not rounded to
    out.whole = false;
    return {out};
  }
  if (op == "Shape") {
    const Ints& sizes = in.at(0).sizes;
    return {OnnxValue{{int64_t(sizes.size())}, {sizes.begin(), sizes.end()}, true}};
  }
  if (op == "Concat") return {concat(in, at.integer("axis"))};
  if (op == "MaxPool") return {max_pool(in.at(0), at)};
  if (op == "Resize") return {resize(in.at(0), in.at(2), at)};
  if (op == "Reshape") return {reshape(in.at(0), as_ints(in.at(1)))};
  if (op == "Transpose") return {transpose(in.at(0), at.ints("perm"))};
  if (op == "Slice") return {slice(in.at(0), in.at(1), in.at(2), in.at(3))};
  if (op == "Gather") {
    REQUIRE(at.integer("axis") == 0);
    return {gather(in.at(0), in.at(1))};
  }
  if (op == "GatherND") return {gather_nd(in.at(0), in.at(1))};
  if (op == "Range") return {range(in.at(0), in.at(1), in.at(2))};
  if (op == "ArgMax") return {arg_max(in.at(0), at)};
  if (op == "NonMaxSuppression") return {non_max_suppression(in, at)};
  if (op == "TopK") return top_k(in.at(0), int64_t(in.at(1).numbers.at(0)));
  FAIL("operator " << op);
  return {};
}

OnnxValue constant(const ProtobufFields& tensor) {
  const std::string raw = tensor.text(9);
  ByteCursor cursor{raw};
  const int64_t type = tensor.number(2);
  OnnxValue out{tensor.all_numbers(1), {}, type == 7};
  while (!cursor.bytes.empty()) {
    switch (type) {
      case 1:
        out.numbers.push_back(double(cursor.fixed<float>()));
        break;
      case 2:
        out.numbers.push_back(double(cursor.fixed<uint8_t>()));
        break;
      case 3:
        out.numbers.push_back(double(cursor.fixed<int8_t>()));
        break;
      case 7:
        out.numbers.push_back(double(cursor.fixed<int64_t>()));
        break;
      case 10:
        out.numbers.push_back(double(half_to_float(cursor.fixed<uint16_t>())));
        break;
      default:
        FAIL("a constant of type " << type);
    }
  }
  REQUIRE(product(out.sizes) == int64_t(out.numbers.size()));
  return out;
}

}  // namespace

std::map<std::string, OnnxValue> evaluate_onnx(const std::string& file,
                                               std::map<std::string, OnnxValue> values) {
  const ProtobufFields model = read_protobuf(file), graph = read_protobuf(model.text(7));
  const bool is_quantized = file.find("DequantizeLinear") != std::string::npos;
  REQUIRE(read_protobuf(model.text(8)).number(2) == (is_quantized ? 13 : 12));
  for (const std::string& bytes : graph.all_texts(11)) {
    REQUIRE(values.count(read_protobuf(bytes).text(1)) == 1);
  }
  for (const std::string& bytes : graph.all_texts(5)) {
    const ProtobufFields tensor = read_protobuf(bytes);
    values[tensor.text(8)] = constant(tensor);
  }
  for (const std::string& bytes : graph.all_texts(1)) {
    const ProtobufFields node = read_protobuf(bytes);
    INFO(node.text(4) << " " << node.text(3));
    Attributes attributes;
    for (const std::string& attribute : node.all_texts(5)) {
      const ProtobufFields fields = read_protobuf(attribute);
      attributes.by_name[fields.text(1)] = fields;
    }
    std::vector<OnnxValue> inputs;
    for (const std::string& name : node.all_texts(1)) inputs.push_back(values.at(name));
    const std::vector<OnnxValue> outputs = run(node.text(4), inputs, attributes);
    const std::vector<std::string> names = node.all_texts(2);
    REQUIRE(names.size() == outputs.size());
    for (size_t i = 0; i < names.size(); ++i) values[names[i]] = outputs[i];
  }
  std::map<std::string, OnnxValue> out;
  for (const std::string& bytes : graph.all_texts(12)) {
    const std::string name = read_protobuf(bytes).text(1);
    out[name] = values.at(name);
  }
  return out;
}

std::map<std::string, std::string> onnx_metadata(const std::string& file) {
  std::map<std::string, std::string> metadata;
  for (const std::string& bytes : read_protobuf(file).all_texts(14)) {
    const ProtobufFields entry = read_protobuf(bytes);
    metadata[entry.text(1)] = entry.text(2);
  }
  return metadata;
}

}  // namespace ydistill::test
