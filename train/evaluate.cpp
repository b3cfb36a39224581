// SPDX-License-Identifier: MIT
#include <ydistill/train/evaluate.h>

#include <algorithm>
#include <chrono>

#include <ydistill/detect/in_picture.h>
#include <ydistill/train/loader_options.h>
#include <ydistill/yolo/inference.h>
#include <ydistill/yolo/nms.h>
#include <ydistill/yolo/target_assignment.h>

namespace ydistill {
namespace {

EvalCompat compat_of(TrainConfig::Compat compat) {
  return compat == TrainConfig::Compat::kV5 ? EvalCompat::kV5 : EvalCompat::kV7;
}

/// The labels of a batch's picture, in pixels of the picture, on the way that predictions go: from
/// fractions of the input through its letterbox.
std::vector<TruthBox> truths_of(const Batch& batch, int64_t picture) {
  const Letterbox& letterbox = batch.letterboxes[size_t(picture)];
  const double width = double(letterbox.width), height = double(letterbox.height);
  std::vector<TruthBox> truths;
  const float* row = batch.targets.data<float>();
  for (int64_t i = 0; i < batch.targets.size(0); ++i, row += 6) {
    if (int64_t(row[0]) != picture) continue;
    const CornerBox box =
        to_picture(letterbox, {(row[2] - row[4] / 2) * width, (row[3] - row[5] / 2) * height,
                               (row[2] + row[4] / 2) * width, (row[3] + row[5] / 2) * height});
    truths.push_back({int64_t(row[1]), float(box.x1), float(box.y1), float(box.x2), float(box.y2)});
  }
  return truths;
}

}  // namespace

EvaluateResult evaluate(Model& model, std::shared_ptr<const Dataset> dataset,
                        const EvaluateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const NoGrad no_grad;
  ValLoader loader(dataset,
                   val_loader_options(options.val, model.spec().max_stride(), options.workers));

  NmsOptions nms_options = NmsOptions::validation();
  nms_options.conf = options.val.conf;
  nms_options.iou = options.val.iou;
  nms_options.max_det = options.val.max_det;

  Inference inference(model, options.arena);
  DetectionMetrics metrics(compat_of(options.val.compat));
  EvaluateResult result;
  result.confusion =
      ConfusionMatrix(std::max(model.spec().num_classes, int64_t(dataset->names.size())));
  int64_t num_batches = 0;
  Batch batch;
  loader.start();
  while (!(options.stop && options.stop()) && loader.next(batch)) {
    const std::vector<Tensor> logits = inference.logits(batch.images);
    if (options.loss) {
      DetectionLossItems items;
      const std::vector<Var> heads(logits.begin(), logits.end());
      detection_loss(heads, targets_on(model.device(), batch.targets), model.spec().anchors,
                     *options.loss, &items);
      result.loss.box += items.box;
      result.loss.obj += items.obj;
      result.loss.cls += items.cls;
    }
    const auto detections = nms_heads(logits, model.spec().anchors, nms_options);
    std::vector<std::vector<Detection>> found;
    std::vector<std::vector<TruthBox>> truths;
    for (size_t i = 0; i < detections.size(); ++i) {
      found.push_back(in_picture(batch.letterboxes[i], detections[i]));
      truths.push_back(truths_of(batch, int64_t(i)));
      metrics.add(found[i], truths[i]);
      result.confusion.add(found[i], truths[i]);
    }
    if (options.on_batch) {
      options.on_batch({num_batches, batch, logits, detections, found, truths});
    }
    ++num_batches;
  }
  if (num_batches > 0) {
    result.loss.box /= double(num_batches);
    result.loss.obj /= double(num_batches);
    result.loss.cls /= double(num_batches);
  }
  result.metrics = metrics.compute(dataset->names);
  result.findings = loader.findings();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace ydistill
