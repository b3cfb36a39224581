// SPDX-License-Identifier: MIT
#include <pugixml.hpp>

#include <sstream>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/data/dataset_writer.h>

namespace ydistill::writing {
namespace {

namespace fs = std::filesystem;

void add(pugi::xml_node node, const char* key, const std::string& text) {
  node.append_child(key).text().set(text.c_str());
}

std::string annotation_text(const NamedSample& named, const std::vector<std::string>& names) {
  const Sample& sample = *named.sample;
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("annotation");
  add(root, "folder", "JPEGImages");
  add(root, "filename", named.file_name());
  pugi::xml_node size = root.append_child("size");
  add(size, "width", std::to_string(sample.width));
  add(size, "height", std::to_string(sample.height));
  add(size, "depth", "3");
  add(root, "segmented", "0");
  for (const Label& label : sample.labels) {
    pugi::xml_node object = root.append_child("object");
    add(object, "name", names.at(size_t(label.class_id)));
    add(object, "pose", "Unspecified");
    add(object, "truncated", "0");
    add(object, "difficult", "0");
    const PixelBox box = pixel_box(label, sample);
    pugi::xml_node corners = object.append_child("bndbox");
    add(corners, "xmin", pixels(box.x1));
    add(corners, "ymin", pixels(box.y1));
    add(corners, "xmax", pixels(box.x2));
    add(corners, "ymax", pixels(box.y2));
  }
  std::ostringstream text;
  document.save(text, "  ", pugi::format_indent | pugi::format_no_declaration, pugi::encoding_utf8);
  return text.str();
}

}  // namespace

void write_voc(std::span<const NamedSplit> splits, const fs::path& folder) {
  make_folder(folder / "Annotations");
  for (const NamedSplit& split : splits) {
    std::string list;
    for (const NamedSample& named : split.samples) list += named.stem + "\n";
    write_text(folder / "ImageSets" / "Main" / (split.name + ".txt"), list);
    reading::for_each_picture(int64_t(split.samples.size()), [&](int64_t i) {
      const NamedSample& named = split.samples[size_t(i)];
      write_text(folder / "Annotations" / (named.stem + ".xml"),
                 annotation_text(named, split.data->names));
    });
  }
}

}  // namespace ydistill::writing
