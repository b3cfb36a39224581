// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/data/dataset_writer.h>

namespace ydistill::writing {
namespace {

namespace fs = std::filesystem;

std::string segment_line(const Label& label) {
  std::string line = fmt::format("{}", label.class_id);
  if (has_outline(label)) {
    for (const auto& [x, y] : label.polygon) line += fmt::format(" {:.6g} {:.6g}", x, y);
    return line + "\n";
  }
  const auto fraction = [](double value) { return std::clamp(value, 0.0, 1.0); };
  const double x1 = fraction(label.cx - label.w / 2), x2 = fraction(label.cx + label.w / 2);
  const double y1 = fraction(label.cy - label.h / 2), y2 = fraction(label.cy + label.h / 2);
  return line + fmt::format(" {:.9g} {:.9g} {:.9g} {:.9g} {:.9g} {:.9g} {:.9g} {:.9g}\n", x1, y1,
                            x2, y1, x2, y2, x1, y2);
}

std::string label_text(const Sample& sample) {
  const bool segments = std::any_of(sample.labels.begin(), sample.labels.end(), has_outline);
  std::string text;
  for (const Label& label : sample.labels) {
    text += segments ? segment_line(label)
                     : fmt::format("{} {:.9g} {:.9g} {:.9g} {:.9g}\n", label.class_id, label.cx,
                                   label.cy, label.w, label.h);
  }
  return text;
}

std::string data_yaml(std::span<const NamedSplit> splits) {
  YAML::Emitter yaml;
  yaml << YAML::BeginMap;
  for (const NamedSplit& split : splits) {
    const bool may_be_number = !std::isalpha(static_cast<unsigned char>(split.name.front()));
    yaml << YAML::Key;
    if (may_be_number) yaml << YAML::DoubleQuoted;  // stays a name
    yaml << split.name << YAML::Value << "images/" + split.name;
  }
  const std::vector<std::string>& names = splits.front().data->names;
  yaml << YAML::Key << "nc" << YAML::Value << names.size();
  yaml << YAML::Key << "names" << YAML::Value << YAML::BeginMap;
  for (size_t i = 0; i < names.size(); ++i) {
    yaml << YAML::Key << i << YAML::Value << YAML::DoubleQuoted << names[i];
  }
  yaml << YAML::EndMap << YAML::EndMap;
  return std::string(yaml.c_str()) + "\n";
}

}  // namespace

void write_yolo(std::span<const NamedSplit> splits, const fs::path& folder) {
  for (const NamedSplit& split : splits) {
    make_folder(folder / "labels" / split.name);
    reading::for_each_picture(int64_t(split.samples.size()), [&](int64_t i) {
      const NamedSample& named = split.samples[size_t(i)];
      if (!named.sample->labelled) return;
      write_text(folder / "labels" / split.name / (named.stem + ".txt"), label_text(*named.sample));
    });
  }
  write_text(folder / "data.yaml", data_yaml(splits));
}

}  // namespace ydistill::writing
