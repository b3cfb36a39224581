// SPDX-License-Identifier: MIT
#include <ydistill/tensor/random.h>

#include <cmath>
#include <numbers>

namespace ydistill {
namespace {

/// SplitMix64's finaliser: spreads a small number over 64 bits (Steele et al., OOPSLA 2014).
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * counter[0];
    const uint64_t p1 = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(p1 >> 32) ^ counter[1] ^ key[0], uint32_t(p1),
               uint32_t(p0 >> 32) ^ counter[3] ^ key[1], uint32_t(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Counter word 0 counts the blocks; the other words and the key identify the stream.
Rng::Rng(uint64_t seed, uint64_t epoch, uint64_t index, uint32_t purpose) {
  const uint64_t key = mix(seed + mix(purpose));
  const uint64_t name = mix(mix(epoch) ^ index);
  key_ = {uint32_t(key), uint32_t(key >> 32)};
  counter_ = {0, uint32_t(index ^ (epoch << 20)), uint32_t(name), uint32_t(name >> 32)};
}

uint32_t Rng::bits() {
  if (used_ == 4) {
    block_ = philox4x32(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[size_t(used_++)];
}

double Rng::uniform() {
  return double(bits() >> 8) * 0x1p-24;
}

int64_t Rng::below(int64_t n) {
  const uint64_t range = uint64_t(n);
  const uint64_t limit = (uint64_t(1) << 62) / range * range;
  for (;;) {
    const uint64_t high = bits();
    const uint64_t draw = (high << 30) ^ (bits() >> 2);
    if (draw < limit) return int64_t(draw % range);
  }
}

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

Tensor Rng::uniform(const Shape& shape, double low, double high, DType dtype) {
  const Tensor t = Tensor::empty(shape, dtype);
  dispatch_float(dtype, "uniform", [&](auto type) {
    for (auto& x : t.span<decltype(type)>()) x = decltype(type)(uniform(low, high));
  });
  return t;
}

Tensor Rng::normal(const Shape& shape, DType dtype) {
  const Tensor t = Tensor::empty(shape, dtype);
  dispatch_float(dtype, "normal", [&](auto type) {
    for (auto& x : t.span<decltype(type)>()) x = decltype(type)(normal());
  });
  return t;
}

}  // namespace ydistill
