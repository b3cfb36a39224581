// SPDX-License-Identifier: MIT
#include <ydistill/train/evaluate.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include <ydistill/detect/in_picture.h>
#include <ydistill/detect/test_time_augmentation.h>
#include <ydistill/train/gather_findings.h>
#include <ydistill/train/loader_options.h>
#include <ydistill/yolo/inference.h>
#include <ydistill/yolo/nms.h>
#include <ydistill/yolo/target_assignment.h>

namespace ydistill {
namespace {

EvalCompat compat_of(TrainConfig::Compat compat) {
  return compat == TrainConfig::Compat::kV5 ? EvalCompat::kV5 : EvalCompat::kV7;
}

/// The labels of a batch's picture, in pixels of the picture, converted like predictions: from
/// fractions of the input back through its letterbox.
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

/// A validation, or one process's part of it.
class Evaluation {
 public:
  Evaluation(Model& model, std::shared_ptr<const Dataset> dataset, const EvaluateOptions& options)
      : model_(model),
        dataset_(std::move(dataset)),
        options_(options),
        loader_(dataset_,
                val_loader_options(options.val, model.spec().max_stride(), options.workers)),
        nms_(NmsOptions::validation()),
        metrics_(compat_of(options.val.compat)) {
    nms_.conf = options.val.conf;
    nms_.iou = options.val.iou;
    nms_.max_det = options.val.max_det;
    nms_.found_as = options.found_as;
    const auto classes = int64_t(dataset_->names.size());
    if (classes < model.spec().num_classes) {
      for (int64_t c = 0; c < classes; ++c) nms_.classes.push_back(c);
    }
    result_.confusion = ConfusionMatrix(classes > 0 ? classes : model.spec().num_classes);
  }

  /// Processes the batches from rank / size to (rank + 1) / size of all.
  void look(int64_t rank, int64_t size) {
    const NoGrad no_grad;
    Inference inference(model_, options_.arena);
    const int64_t all = loader_.num_batches();
    loader_.start(all * rank / size, all * (rank + 1) / size);
    Batch batch;
    while (!stopped() && loader_.next(batch)) add(batch, inference);
  }

  /// Joins the parts, which in the order of the ranks equal those of one process. throws FileError
  /// in all processes if none could read a picture.
  void merge(Exchange& exchange) {
    result_.findings = gather_findings(exchange, loader_.findings());
    if (exchange.size() == 1) return;
    DetectionMetrics all(compat_of(options_.val.compat));
    for (const std::string& part : exchange.gather(metrics_.state())) all.append(part);
    metrics_ = std::move(all);
    DetectionLossItems& loss = result_.loss;
    const std::vector<int64_t>& counts = result_.confusion.counts();
    std::vector<double> sums{loss.box, loss.obj, loss.cls, double(num_batches_)};
    sums.insert(sums.end(), counts.begin(), counts.end());  // exact, far below 2^53
    exchange.sum(sums);
    loss.box = sums[0];
    loss.obj = sums[1];
    loss.cls = sums[2];
    num_batches_ = int64_t(sums[3]);
    const std::vector<int64_t> summed(sums.begin() + 4, sums.end());
    result_.confusion = ConfusionMatrix(result_.confusion.num_classes());
    result_.confusion.add_counts(summed);
    if (!exchange.any(stopped()) && metrics_.num_images() == 0) {
      exchange.together([this] { ValLoader::refuse_unreadable(result_.findings); });
    }
  }

  EvaluateResult result() {
    if (num_batches_ > 0) {
      result_.loss.box /= double(num_batches_);
      result_.loss.obj /= double(num_batches_);
      result_.loss.cls /= double(num_batches_);
    }
    result_.metrics = metrics_.compute(dataset_->names);
    return std::move(result_);
  }

 private:
  bool stopped() const { return options_.stop && options_.stop(); }

  void add(const Batch& batch, Inference& inference) {
    const Anchors& anchors = model_.spec().anchors;
    std::vector<Tensor> logits;
    std::vector<std::vector<Detection>> detections;
    if (options_.tta) {
      const Network network = [&](const Tensor& images) { return inference.logits(images); };
      detections = nms_with_tta(network, batch.images, model_.spec().max_stride(), anchors, nms_);
    } else {
      logits = inference.logits(batch.images);
      detections = nms_heads(logits, anchors, nms_);
    }
    if (options_.loss) {
      DetectionLossItems items;
      const std::vector<Var> heads(logits.begin(), logits.end());
      detection_loss(heads, targets_on(model_.device(), batch.targets), anchors, *options_.loss,
                     &items);
      result_.loss.box += items.box;
      result_.loss.obj += items.obj;
      result_.loss.cls += items.cls;
    }
    std::vector<std::vector<Detection>> found;
    std::vector<std::vector<TruthBox>> truths;
    for (size_t i = 0; i < detections.size(); ++i) {
      found.push_back(in_picture(batch.letterboxes[i], detections[i]));
      truths.push_back(truths_of(batch, int64_t(i)));
      metrics_.add(found[i], truths[i]);
      result_.confusion.add(found[i], truths[i]);
    }
    if (options_.on_batch) {
      options_.on_batch({num_batches_, batch, logits, detections, found, truths});
    }
    ++num_batches_;
  }

  Model& model_;
  const std::shared_ptr<const Dataset> dataset_;
  const EvaluateOptions& options_;
  ValLoader loader_;
  NmsOptions nms_;
  DetectionMetrics metrics_;
  EvaluateResult result_;
  int64_t num_batches_ = 0;
};

}  // namespace

EvaluateResult evaluate(Model& model, std::shared_ptr<const Dataset> dataset,
                        const EvaluateOptions& options) {
  if (options.tta && options.loss) throw ValueError("evaluate: no loss with tta");
  const auto start = std::chrono::steady_clock::now();
  Exchange& exchange = options.exchange != nullptr ? *options.exchange : single_process();
  Evaluation evaluation(model, std::move(dataset), options);
  exchange.together([&] { evaluation.look(exchange.rank(), exchange.size()); });
  evaluation.merge(exchange);
  EvaluateResult result = evaluation.result();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace ydistill
