// SPDX-License-Identifier: MIT
#include <ydistill/detect/detector.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: embed WEIGHTS PICTURE\n"), 2;
  ydistill::Detector detector(argv[1]);
  for (const auto& d : detector.detect(ydistill::read_image(argv[2]))) {
    std::printf("%s %.2f  %.0f %.0f %.0f %.0f\n",
                detector.class_names()[size_t(d.class_id)].c_str(), double(d.score), double(d.x1),
                double(d.y1), double(d.x2), double(d.y2));
  }
} catch (const std::exception& error) {  // in one line, such as a missing file
  std::fprintf(stderr, "embed: %s\n", error.what());
  return 1;
}
