// SPDX-License-Identifier: MIT
// Runs one hot kernel, so that a tool around it (valgrind's callgrind) can count its instructions.
//   count_kernels --list      names all kernels, one a line
//   count_kernels --build     the compiler and what it compiled for: what a count depends on
//   count_kernels KERNEL      runs it inside ydistill_counted(), on one thread; prints
//                             "elements NUMBER LEVEL" (of tensor/cpu_level.h)
// Exit code 2 for any other argument.
#include <cstdio>
#include <string_view>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/parallel.h>

#include "guard/kernel_list.h"

/// The only function whose instructions count: found by its name, hence not C++'s.
extern "C" [[gnu::noinline]] void ydistill_counted(const std::function<void()>& run) {
  run();
  __asm__ volatile("" ::: "memory");  // no tail call: the counting ends when this returns
}

namespace ydistill::guard {
namespace {

int count(std::string_view name, const KernelList& kernels) {
  for (const NamedKernel& kernel : kernels) {
    if (kernel.name != name) continue;
    set_num_threads(1);
    const std::function<void()> run = kernel.prepare();
    run();  // what happens once only: tables of functions, symbols looked up
    ydistill_counted(run);
    std::printf("elements %lld %s\n", static_cast<long long>(kernel.elements),
                name_of(cpu_level()));
    return 0;
  }
  std::fprintf(stderr, "count_kernels: no kernel is called %.*s; --list names all\n",
               int(name.size()), name.data());
  return 2;
}

}  // namespace
}  // namespace ydistill::guard

int main(int argc, char** argv) {
  using namespace ydistill::guard;
  KernelList kernels;
  add_layer_kernels(kernels);
  add_conv_kernels(kernels);
  add_loss_kernels(kernels);
  add_data_kernels(kernels);
  const std::string_view argument = argc == 2 ? argv[1] : "";
  if (argument == "--list") {
    for (const NamedKernel& kernel : kernels) std::printf("%s\n", kernel.name.c_str());
    return 0;
  }
  if (argument == "--build") {
    std::printf("%s\n", YD_GUARD_BUILD);
    return 0;
  }
  if (argument.empty()) {
    std::fprintf(stderr, "usage: count_kernels --list | --build | KERNEL\n");
    return 2;
  }
  return count(argument, kernels);
}
