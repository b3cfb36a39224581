// SPDX-License-Identifier: MIT
#include <ydistill/detect/in_picture.h>

namespace ydistill {

std::vector<Detection> in_picture(const Letterbox& letterbox, std::vector<Detection> detections) {
  for (Detection& d : detections) {
    const CornerBox box = to_picture(letterbox, {d.x1, d.y1, d.x2, d.y2});
    d.x1 = float(box.x1);
    d.y1 = float(box.y1);
    d.x2 = float(box.x2);
    d.y2 = float(box.y2);
  }
  return detections;
}

}  // namespace ydistill
