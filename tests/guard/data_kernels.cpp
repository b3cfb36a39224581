// SPDX-License-Identifier: MIT
#include <ydistill/data/gather.h>
#include <ydistill/data/gather_kernels.h>
#include <ydistill/data/hsv_kernels.h>
#include <ydistill/data/resize_kernels.h>
#include <ydistill/data/video_kernels.h>
#include <ydistill/data/warp.h>

#include "guard/kernel_list.h"

namespace ydistill::guard {
namespace {

constexpr int64_t kSide = 128, kPixels = kSide * kSide, kChannels = 3;

/// A picture of twice the output's size and a map under which every pixel of the output lies in it.
struct GatherData {
  GatherData(const WarpMap& map, bool projects)
      : rgb(levels(4 * kPixels * kChannels)),
        steps((projects ? projective_steps : gather_steps)(map, kSide, kSide, Flips{})) {
    layer.num_pieces = 1;
    layer.is_projective = projects ? 1 : 0;
    layer.pieces[0] = {nullptr, 2 * kSide, 0, 0, 2 * kSide, 2 * kSide, 0, 0};
  }
  void run() {
    layer.pieces[0].rgb = rgb.data();
    for (int64_t y = 0; y < kSide; ++y) {
      gather_kernels().gather_row(layer, {steps.data(), nullptr}, kSide, kSide, y, 114,
                                  output.data() + y * kSide * kChannels);
    }
  }

  std::vector<uint8_t> rgb, output = levels(kPixels * kChannels);
  std::vector<int64_t> steps;
  GatherLayer layer{};
};

void add_gather(KernelList& kernels) {
  const auto add = [&](const char* name, const WarpMap& map, bool projects) {
    kernels.add(name, kPixels, [map, projects] {
      return [data = GatherData(map, projects)]() mutable { data.run(); };
    });
  };
  add("gather.level", {{{0.8, 0, -20}, {0, 0.8, -20}, {0, 0, 1}}}, false);
  add("gather.rotated", {{{0.8, 0.1, -40}, {-0.1, 0.8, -15}, {0, 0, 1}}}, false);
  add("gather.projective", {{{0.8, 0.1, -40}, {-0.1, 0.8, -15}, {0.0001, 0, 1}}}, true);
  kernels.add("gather.mix", kPixels, [] {
    return [first = levels(kPixels * kChannels), second = levels(kPixels * kChannels)]() mutable {
      gather_kernels().mix_rows(first.data(), second.data(), kPixels * kChannels, 20000);
    };
  });
  kernels.add("gather.hsv", kPixels, [] {
    return
        [rgb = levels(kPixels * kChannels), tables = hsv_tables(1.0123, 0.6931, 1.1071)]() mutable {
          hsv_kernels().shift_hsv(rgb.data(), kPixels, tables);
        };
  });
}

struct ResizeData {
  static constexpr int64_t kRow = 4096, kValues = kRow * kChannels;

  std::vector<uint8_t> upper = levels(2 * kValues), lower = upper, out = levels(kValues);
  std::vector<float> sum = std::vector<float>(size_t(kValues), 100.25f);
  std::vector<int16_t> first = std::vector<int16_t>(size_t(kValues), 100 * 128), second = first;
  std::vector<BilinearTap> taps;

  ResizeData() {
    for (int32_t x = 0; x < kRow; ++x) taps.push_back({x / 2, x / 2 + 1, {1536, 512}});
  }
};

void add_resize(KernelList& kernels) {
  using Data = ResizeData;
  const auto add = [&](const char* name, void (*run)(const ResizeKernels&, Data&)) {
    kernels.add(name, Data::kRow,
                [run] { return [run, data = Data()]() mutable { run(resize_kernels(), data); }; });
  };
  add("resize.bilinear_row", [](const ResizeKernels& k, Data& d) {
    k.bilinear_row(d.upper.data(), d.taps.data(), Data::kRow, d.first.data());
  });
  add("resize.blend_rows", [](const ResizeKernels& k, Data& d) {
    k.blend_rows(d.first.data(), d.second.data(), 1536, 512, Data::kValues, d.out.data());
  });
  add("resize.add_row", [](const ResizeKernels& k, Data& d) {
    k.add_row(d.upper.data(), 0.25f, Data::kValues, d.sum.data());
  });
  add("resize.round_row", [](const ResizeKernels& k, Data& d) {
    k.round_row(d.sum.data(), Data::kValues, d.out.data());
  });
  add("resize.halve_row", [](const ResizeKernels& k, Data& d) {
    k.halve_row(d.upper.data(), d.lower.data(), Data::kRow, d.out.data());
  });
}

void add_video(KernelList& kernels) {
  constexpr int64_t kRow = 4096;
  kernels.add("video.rgb_row", kRow, [] {
    return [luma = levels(kRow), cb = levels(kRow / 2), cr = levels(kRow / 2),
            rgb = levels(kRow * kChannels)]() mutable {
      const ColourScales scales{16, 76309, 104597, -25675, -53279, 132201};
      video_kernels().rgb_row(luma.data(), cb.data(), cr.data(), 2, kRow, scales, rgb.data());
    };
  });
}

}  // namespace

void add_data_kernels(KernelList& kernels) {
  add_gather(kernels);
  add_resize(kernels);
  add_video(kernels);
}

}  // namespace ydistill::guard
