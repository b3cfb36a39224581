// SPDX-License-Identifier: MIT
// One step of distillation, taken apart; docs/learn.md goes through what it prints.
//
//   one_step                     a drawn picture and a teacher that learns it by heart
//   one_step TEACHER PICTURE     a trained teacher (.pt, .safetensors) and a picture; no labels
#include <ydistill/data/image.h>
#include <ydistill/data/letterbox.h>
#include <ydistill/distill/distill_loss.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/tensor/short_waits.h>
#include <ydistill/tensor/square_sum.h>
#include <ydistill/train/step.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/nms.h>

#include <cmath>
#include <cstdio>
#include <exception>

namespace {

using namespace ydistill;

constexpr int64_t kSide = 128;  // pixels of the picture; a multiple of 32

/// What is to be learned, and from whom.
struct Lesson {
  Tensor images;   // uint8 [1,H,W,3]
  Tensor targets;  // [n,6]: picture, class, cx, cy, w, h as shares of it; no rows: unlabelled
  Checkpoint teacher;
};

/// Grey, with a red and a blue box.
Tensor draw_picture() {
  const Tensor images = Tensor::full({1, kSide, kSide, 3}, 114, DType::kUInt8);
  const auto fill = [&](int64_t x, int64_t y, int64_t w, int64_t h, int channel) {
    for (int64_t row = y; row < y + h; ++row) {
      for (int64_t col = x; col < x + w; ++col) {
        images.data<uint8_t>()[(row * kSide + col) * 3 + channel] = 250;
      }
    }
  };
  fill(16, 16, 48, 32, 0);
  fill(72, 56, 40, 56, 2);
  return images;
}

/// As training sets them from a config, except the objectness gain, which training reduces for
/// small pictures.
StepLosses losses_for(const GraphSpec& spec) {
  constexpr int64_t kImageSize = 640;
  const int64_t heads = spec.anchors.num_heads();
  StepLosses losses;
  losses.student_anchors = losses.teacher_anchors = spec.anchors;
  losses.detection = DetectionLossOptions{};
  losses.detection->gains = scaled_gains({}, spec.num_classes, heads, kImageSize);
  losses.distill = DistillOptions{};  // squared differences, the original's gains
  losses.distill->gains = scaled_distill_gains(1, {}, spec.num_classes, heads, kImageSize);
  return losses;
}

/// Gradient descent with momentum; train/optimizer.h has what training uses in addition.
class Descent {
 public:
  explicit Descent(Model& model)
      : store_(model.parameters()), velocity_(Tensor::zeros(store_.values().shape())) {}
  void step() {
    constexpr float kRate = 0.05f, kMomentum = 0.9f;
    const std::span<float> values = store_.values().span<float>();
    const std::span<float> grads = store_.grads().span<float>(), velocity = velocity_.span<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      velocity[i] = kMomentum * velocity[i] + grads[i];
      values[i] -= kRate * velocity[i];
      grads[i] = 0;  // backward passes add
    }
    store_.mark_changed();
  }

 private:
  ParameterStore& store_;
  Tensor velocity_;
};

/// A network that has learned the drawn picture by heart.
Checkpoint learn_by_heart(const Tensor& images, const Tensor& targets) {
  Model model(graph_by_name("yolov5n", 2));
  model.initialise(/*seed=*/1);
  StepLosses losses = losses_for(model.spec());
  losses.distill.reset();
  Descent descent(model);
  for (int step = 0; step < 600; ++step) {
    forward_backward(model, images, targets, {}, losses);
    descent.step();
  }
  return {model.spec(), {"red", "blue"}, export_weights(model), {}, "this program"};
}

Lesson drawn_lesson() {
  const Tensor images = draw_picture();
  const Tensor targets =
      Tensor::of({2, 6}, {0, 0, 40. / kSide, 32. / kSide, 48. / kSide, 32. / kSide, 0, 1,
                          92. / kSide, 84. / kSide, 40. / kSide, 56. / kSide});
  return {images, targets, learn_by_heart(images, targets)};
}

/// The picture is shrunk to few pixels, so that all that follows takes only seconds.
Lesson lesson_from(const char* weights, const char* picture) {
  Checkpoint teacher = load_checkpoint(weights, PtWeights::kEma);
  const Image image = read_image(picture);
  const Letterbox box =
      detection_letterbox(image.width, image.height, kSide, teacher.spec.max_stride());
  const Tensor images = Tensor::empty({1, box.height, box.width, 3}, DType::kUInt8);
  apply_letterbox(image, box, images.data<uint8_t>());
  return {images, Tensor::zeros({0, 6}), std::move(teacher)};
}

double norm(const std::vector<Tensor>& tensors) {
  double sum = 0;
  for (const Tensor& t : tensors) sum += square_sum(t);
  return std::sqrt(sum);
}

void show_teacher(const Lesson& lesson, const std::vector<Tensor>& heads) {
  std::printf("1. The teacher looks at the picture and finds\n");
  const auto found = nms_heads(heads, lesson.teacher.spec.anchors);
  for (const Detection& d : found[0]) {
    std::printf("     %s %.2f at %.0f %.0f %.0f %.0f\n",
                lesson.teacher.class_names[size_t(d.class_id)].c_str(), double(d.score),
                double(d.x1), double(d.y1), double(d.x2), double(d.y2));
  }
  std::printf("   Its logits, and w = sigmoid(objectness), by which its opinions are weighted:\n");
  for (const Tensor& head : heads) {
    const int64_t width = head.size(4), boxes = head.numel() / width;
    double sum = 0, most = 0;
    for (int64_t box = 0; box < boxes; ++box) {
      const double w = 1 / (1 + std::exp(-head.at(box * width + 4)));
      sum += w;
      most = std::max(most, w);
    }
    std::printf("     %-24s %5ld boxes, w %.4f on average, %.4f at most\n",
                head.shape().str().c_str(), long(boxes), sum / double(boxes), most);
  }
}

void show_losses(const StepNumbers& n, bool has_labels) {
  std::printf("2. The student's loss\n");
  std::printf("     %-10s %10s %10s %10s %10s\n", "", "box", "objectness", "classes", "total");
  const auto row = [](const char* from, double box, double obj, double cls, double total) {
    std::printf("     %-10s %10.4f %10.4f %10.4f %10.4f\n", from, box, obj, cls, total);
  };
  if (has_labels) {
    row("labels", n.detection.box, n.detection.obj, n.detection.cls, n.detection_total);
  }
  row("teacher", n.distill.box, n.distill.obj, n.distill.cls, n.distill_total);
  if (!has_labels) return;
  std::printf("3. Their gradients at the heads: norm %.4f from the labels, %.4f from the teacher\n",
              std::sqrt(n.detection_square), std::sqrt(n.distill_square));
}

double distill_loss_of(Model& student, const Lesson& lesson,
                       const std::vector<Tensor>& teacher_heads, const StepLosses& losses) {
  const std::vector<Var> heads = student.forward(lesson.images, ForwardMode::kTrain);
  return distill_loss(heads, teacher_heads, losses.student_anchors, losses.teacher_anchors,
                      *losses.distill)
      .value()
      .item();
}

/// Changes single parameters slightly, up and down, and compares the change of the loss with the
/// gradient of the backward pass: in float64, with the teacher's part only. (In the labels' part
/// two numbers are constants by definition: CIoU as target of the objectness and CIoU's weight of
/// the aspect ratio.) throws ValueError if they differ.
void check_gradient(const Checkpoint& student, const Lesson& lesson,
                    const std::vector<Tensor>& teacher_heads, StepLosses losses) {
  losses.detection.reset();
  std::vector<Tensor> teacher64;
  for (const Tensor& head : teacher_heads) teacher64.push_back(head.to(DType::kFloat64));
  Model model(student.spec, DType::kFloat64);
  load_all_weights(model, student.tensors);
  forward_backward(model, lesson.images, lesson.targets, teacher64, losses);
  std::printf("5. Is the backward pass right? The slope of the loss, in float64\n");
  std::printf("     %-32s %14s %14s\n", "parameter", "backward", "differences");
  ParameterStore& store = model.parameters();
  for (const int i : {0, store.num_parameters() / 2, store.num_parameters() - 1}) {
    double& value = store.var(i).value().data<double>()[0];
    const double slope = store.var(i).grad().at(0), middle = value, step = 1e-5;
    const auto loss_at = [&](double moved) {
      value = moved;
      store.mark_changed();
      return distill_loss_of(model, lesson, teacher64, losses);
    };
    const double above = loss_at(middle + step), below = loss_at(middle - step);
    value = middle;
    const double difference = (above - below) / (2 * step);
    std::printf("     %-32s %14.8f %14.8f\n", (store.name(i) + "[0]").c_str(), slope, difference);
    if (std::abs(slope - difference) > 1e-5 * std::abs(slope) + 1e-8) {
      throw ValueError("the gradient of {} is wrong", store.name(i));
    }
  }
}

void run(const Lesson& lesson) {
  Teacher teacher(lesson.teacher);
  const std::vector<Tensor> teacher_heads = teacher.logits(lesson.images);
  show_teacher(lesson, teacher_heads);

  Model student(
      graph_by_name("yolov5n", teacher.spec().num_classes).with_anchors(teacher.spec().anchors));
  student.initialise(/*seed=*/2);
  const Checkpoint before{
      student.spec(), lesson.teacher.class_names, export_weights(student), {}, ""};
  StepLosses losses = losses_for(student.spec());
  const bool has_labels = lesson.targets.size(0) > 0;
  if (!has_labels) losses.detection.reset();  // otherwise it would teach that the picture is empty

  // The step: forward, both losses, backward.
  StepResult step = forward_backward(student, lesson.images, lesson.targets, teacher_heads, losses);
  show_losses(numbers_of(step), has_labels);
  std::printf("4. Backward through the network: norm %.4f over its %ld parameters\n",
              norm({student.parameters().grads()}), long(student.parameters().num_elements()));
  check_gradient(before, lesson, teacher_heads, losses);

  std::printf("6. A hundred steps of gradient descent\n");
  std::printf("     %5s %14s", "step", "from teacher");
  std::printf(has_labels ? " %14s\n" : "\n", "from labels");
  Descent descent(student);
  for (int i = 1; i <= 100; ++i) {
    descent.step();
    step = forward_backward(student, lesson.images, lesson.targets, teacher_heads, losses);
    if (i % 25 != 0) continue;
    const StepNumbers n = numbers_of(step);
    std::printf("     %5d %14.4f", i, n.distill_total);
    std::printf(has_labels ? " %14.4f\n" : "\n", n.detection_total);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 1 && argc != 3) {
    return std::fprintf(stderr, "usage: one_step [TEACHER PICTURE]\n"), 2;
  }
  restart_with_short_waits(argv);
  run(argc == 1 ? drawn_lesson() : lesson_from(argv[1], argv[2]));
} catch (const std::exception& error) {
  std::fprintf(stderr, "one_step: %s\n", error.what());
  return 1;
}
