// SPDX-License-Identifier: MIT
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/layers/focus.h>
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/layers/upsample.h>
#include <ydistill/tensor/add.h>
#include <ydistill/tensor/square_sum.h>
#include <ydistill/tensor/weight_layouts.h>

#include "guard/kernel_list.h"

namespace ydistill::guard {
namespace {

constexpr int64_t kRows = 512, kChannels = 128, kElements = kRows * kChannels;

template <class T>
std::string suffix() {
  return sizeof(T) == 2 ? ".bf16" : ".f32";
}

template <class T, class A = Arithmetic<T>>
struct BatchNormData {
  std::vector<T> y = numbers<T>(kElements), grad = numbers<T>(kElements, 2), out = y;
  std::vector<A> scale = numbers<A>(kChannels, 3), offset = numbers<A>(kChannels, 4);
  std::vector<A> mean = numbers<A>(kChannels, 5), slope = numbers<A>(kChannels, 6);
  std::vector<double> partial = std::vector<double>(size_t(2 * kChannels));

  const BatchNormKernels<T>& kernels() const { return kernels_for<T>(batch_norm_kernels()); }
  void sums() { kernels().sums(y.data(), y.data(), kRows, kChannels, kRows, partial.data()); }
  void apply(const T* residual) {
    kernels().apply(y.data(), scale.data(), offset.data(), residual, kRows, kChannels, out.data());
  }
  void grad_sums(T* dz) {
    kernels().grad_sums(grad.data(), y.data(), scale.data(), offset.data(), mean.data(), kRows,
                        kChannels, kRows, partial.data(), dz);
  }
  void grad_input(bool has_dz) {
    kernels().grad_input(grad.data(), has_dz, y.data(), scale.data(), offset.data(), mean.data(),
                         slope.data(), offset.data(), kRows, kChannels, out.data());
  }
};

template <class T>
void add_batch_norm(KernelList& kernels) {
  using Data = BatchNormData<T>;
  const auto add = [&](const char* name, void (*run)(Data&)) {
    kernels.add(name + suffix<T>(), kElements,
                [run] { return [run, data = Data()]() mutable { run(data); }; });
  };
  add("batch_norm.sums", [](Data& d) { d.sums(); });
  add("batch_norm.apply", [](Data& d) { d.apply(nullptr); });
  add("batch_norm.apply_residual", [](Data& d) { d.apply(d.grad.data()); });
  add("batch_norm.grad_sums", [](Data& d) { d.grad_sums(nullptr); });
  add("batch_norm.grad_sums_keeping_dz", [](Data& d) { d.grad_sums(d.out.data()); });
  add("batch_norm.grad_input", [](Data& d) { d.grad_input(false); });
  add("batch_norm.grad_input_from_dz", [](Data& d) { d.grad_input(true); });
  add("silu", [](Data& d) { d.kernels().silu(d.out.data(), nullptr, kElements); });
  add("silu_residual", [](Data& d) { d.kernels().silu(d.out.data(), d.grad.data(), kElements); });
}

// A small map: the windows at its border make a quarter of it.
constexpr int64_t kSide = 16, kMap = kSide * kSide * kChannels;
constexpr PoolSlice kPool{1, kSide, kSide, kChannels, 4 * kChannels, /*radius=*/2};

template <class T>
struct PoolData {
  std::vector<T> slices = numbers<T>(4 * kMap);
  std::vector<uint8_t> winners = levels(kMap, 25);

  void pool(uint8_t* argmax) {
    kernels_for<T>(pyramid_pool_kernels())
        .pool(slices.data(), slices.data() + kChannels, argmax, kPool);
  }
  void unpool() {
    kernels_for<T>(pyramid_pool_kernels())
        .unpool(slices.data() + kChannels, winners.data(), slices.data(), kPool);
  }
};

template <class T>
void add_maps(KernelList& kernels) {
  kernels.add("upsample.forward" + suffix<T>(), 4 * kMap, [] {
    return [x = numbers<T>(kMap), out = numbers<T>(4 * kMap)]() mutable {
      kernels_for<T>(upsample_kernels()).forward(x.data(), kSide, kSide, kChannels, out.data());
    };
  });
  kernels.add("upsample.backward" + suffix<T>(), 4 * kMap, [] {
    return [x = numbers<T>(kMap), grad = numbers<T>(4 * kMap)]() mutable {
      kernels_for<T>(upsample_kernels()).backward(grad.data(), kSide, kSide, kChannels, x.data());
    };
  });
  kernels.add("pyramid_pool.pool" + suffix<T>(), kMap,
              [] { return [data = PoolData<T>()]() mutable { data.pool(nullptr); }; });
  kernels.add("pyramid_pool.pool_with_winners" + suffix<T>(), kMap,
              [] { return [data = PoolData<T>()]() mutable { data.pool(data.winners.data()); }; });
  kernels.add("pyramid_pool.unpool" + suffix<T>(), kMap,
              [] { return [data = PoolData<T>()]() mutable { data.unpool(); }; });

  constexpr int64_t kPicture = 128, kValues = kPicture * kPicture * 3;
  kernels.add("focus" + suffix<T>(), kValues, [] {
    return [pixels = levels(kValues), out = numbers<T>(kValues)]() mutable {
      kernels_for<T>(focus_kernels()).focus(pixels.data(), 1, kPicture, kPicture, out.data());
    };
  });
  kernels.add("scale" + suffix<T>(), kValues, [] {
    return [pixels = levels(kValues), out = numbers<T>(kValues)]() mutable {
      kernels_for<T>(focus_kernels()).scale(pixels.data(), kValues, out.data());
    };
  });
  kernels.add("add" + suffix<T>(), kElements, [] {
    return [sum = numbers<T>(kElements), other = numbers<T>(kElements, 2)]() mutable {
      kernels_for<T>(add_kernels())(sum.data(), other.data(), kElements);
    };
  });
}

}  // namespace

void add_layer_kernels(KernelList& kernels) {
  add_batch_norm<float>(kernels);
  add_batch_norm<BFloat16>(kernels);
  add_maps<float>(kernels);
  add_maps<BFloat16>(kernels);
  constexpr int64_t kOut = 64, kTaps = 9, kIn = 64, kWeights = kOut * kTaps * kIn;
  kernels.add("weight_layouts.pack_pairs_of_inputs", kWeights, [=] {
    return [from = numbers<float>(kWeights), to = numbers<BFloat16>(kWeights)]() mutable {
      weight_layout_kernels().pack_pairs_of_inputs(from.data(), kOut, kTaps, kIn, 64, to.data());
    };
  });
  kernels.add("weight_layouts.pack_pairs_of_outputs", kWeights, [=] {
    return [from = numbers<float>(kWeights), to = numbers<BFloat16>(kWeights)]() mutable {
      weight_layout_kernels().pack_pairs_of_outputs(from.data(), kOut, kTaps, kIn, true, to.data());
    };
  });
  kernels.add("weight_layouts.add_unpacked", kWeights, [=] {
    return [from = numbers<float>(kWeights), to = numbers<float>(kWeights)]() mutable {
      weight_layout_kernels().add_unpacked(from.data(), kOut, kTaps, kIn, to.data());
    };
  });
  kernels.add("square_sum.f32", kElements, [] {
    return [x = numbers<float>(kElements)] {
      double partial[4];
      square_sum_kernels().f32(x.data(), kElements, kElements / 4, partial);
    };
  });
  constexpr int64_t kPicture = 128, kValues = kPicture * kPicture * 3;
  kernels.add("focus.u8", kValues, [] {
    return [pixels = levels(kValues), out = levels(kValues)]() mutable {
      focus_kernels().u8.focus(pixels.data(), 1, kPicture, kPicture, out.data());
    };
  });
}

}  // namespace ydistill::guard
