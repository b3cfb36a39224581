// SPDX-License-Identifier: MIT
// Threads of a block are fibers: one runs until it ends or waits at a barrier, then the next.
#include <cuda_runtime.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;

struct EmulatedStream {
  std::vector<std::function<void()>>* captured = nullptr;
};
struct EmulatedEvent {
  double milliseconds = 0;
};
struct EmulatedGraph {
  std::vector<std::function<void()>> work;
};

namespace cuda_emulator {
namespace {

constexpr size_t kStackBytes = size_t(256) << 10;

enum class State { kReady, kAtBarrier, kAtExchange, kDone };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  State state = State::kDone;
  dim3 thread;
  uint64_t value = 0;
  void* fake_stack = nullptr;
};

struct Scheduler {
  ucontext_t main;
  std::vector<std::unique_ptr<Fiber>> pool;
  std::vector<Fiber*> fibers;  // of the running block; null: ended without ever waiting
  Fiber* current = nullptr;
  const std::function<void()>* kernel = nullptr;
  void* main_fake_stack = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_bytes = 0;
};
Scheduler scheduler;
std::vector<std::function<void()>>* capturing = nullptr;
int captures = 0;
cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
double clock_ms = 0;

[[noreturn]] void stop(const char* text) {
  std::fprintf(stderr, "cuda emulator: %s\n", text);
  std::abort();
}

// AddressSanitizer must be told which stack is in use.
void leave_to_main([[maybe_unused]] bool ends) {
  Fiber* self = scheduler.current;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(ends ? nullptr : &self->fake_stack, scheduler.main_stack,
                                 scheduler.main_stack_bytes);
#endif
  swapcontext(&self->context, &scheduler.main);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(self->fake_stack, &scheduler.main_stack,
                                  &scheduler.main_stack_bytes);
#endif
}

void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler.main_stack, &scheduler.main_stack_bytes);
#endif
  (*scheduler.kernel)();
  scheduler.current->state = State::kDone;
  leave_to_main(/*ends=*/true);
}

void run(Fiber& fiber) {
  scheduler.current = &fiber;
  threadIdx = fiber.thread;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&scheduler.main_fake_stack, fiber.stack.get(), kStackBytes);
#endif
  swapcontext(&scheduler.main, &fiber.context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(scheduler.main_fake_stack, nullptr, nullptr);
#endif
}

void start(Fiber& fiber, dim3 thread) {
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = &scheduler.main;
  makecontext(&fiber.context, fiber_main, 0);
  fiber.state = State::kReady;
  fiber.thread = thread;
  run(fiber);
}

/// Lets the fibers of [begin, end) go on if all of them wait for `what`; false if none of them
/// does.
bool release(size_t begin, size_t end, State what) {
  size_t waiting = 0;
  for (size_t i = begin; i < end; ++i) waiting += scheduler.fibers[i]->state == what ? 1 : 0;
  if (waiting == 0) return false;
  if (waiting < end - begin) return false;
  for (size_t i = begin; i < end; ++i) scheduler.fibers[i]->state = State::kReady;
  return true;
}

/// Whether blocks, and the threads of a block, run from the last to the first.
bool is_reversed() {
  const char* order = std::getenv("YDISTILL_CUDA_EMULATOR_ORDER");
  return order != nullptr && std::strcmp(order, "reversed") == 0;
}

dim3 place_of(size_t i, dim3 size) {
  return dim3(unsigned(i % size.x), unsigned(i / size.x % size.y), unsigned(i / size.x / size.y));
}

/// The threads one after the other, on the caller's stack: many times faster than fibers.
void run_block_without_waiting(dim3 threads, bool reversed) {
  scheduler.current = nullptr;
  const size_t count = size_t(threads.x) * threads.y * threads.z;
  for (size_t n = 0; n < count; ++n) {
    threadIdx = place_of(reversed ? count - 1 - n : n, threads);
    (*scheduler.kernel)();
  }
}

/// True if a thread waited for others.
bool run_block(dim3 threads, bool reversed) {
  const size_t count = size_t(threads.x) * threads.y * threads.z;
  scheduler.fibers.assign(count, nullptr);
  size_t used = 0, done = 0;
  for (size_t n = 0; n < count; ++n) {
    if (used == scheduler.pool.size()) scheduler.pool.push_back(std::make_unique<Fiber>());
    Fiber& fiber = *scheduler.pool[used];
    const size_t i = reversed ? count - 1 - n : n;
    start(fiber, place_of(i, threads));
    if (fiber.state == State::kDone) {  // its stack serves the next
      ++done;
    } else {
      scheduler.fibers[i] = &fiber;
      ++used;
    }
  }
  if (done == count) return false;
  if (done > 0) stop("some threads of a block ended where others wait at a barrier");
  while (true) {
    bool moved = release(0, count, State::kAtBarrier);
    for (size_t warp = 0; warp < count; warp += size_t(warpSize)) {
      moved |= release(warp, std::min(warp + size_t(warpSize), count), State::kAtExchange);
    }
    if (!moved) break;
    for (size_t n = 0; n < count; ++n) {
      Fiber& fiber = *scheduler.fibers[reversed ? count - 1 - n : n];
      if (fiber.state == State::kReady) run(fiber);
    }
  }
  for (const Fiber* fiber : scheduler.fibers) {
    if (fiber->state != State::kDone) stop("a barrier or shuffle that some threads never reach");
  }
  return true;
}

/// What a GPU refuses while a stream is captured, and spoils the capture with, unless the thread
/// has said that it knows (cudaStreamBeginCapture in the runtime's manual: "potentially unsafe").
void refuse_in_capture(const char* call) {
  if (capturing == nullptr || capture_mode == cudaStreamCaptureModeRelaxed) return;
  std::fprintf(stderr, "cuda emulator: %s while a stream is captured\n", call);
  std::abort();
}

/// Called where a thread is about to wait.
void require_fibers() {
  if (scheduler.current == nullptr) {
    stop("a kernel waits in a later block but not in its first: give it fibers from the start");
  }
}

}  // namespace

void enqueue(std::function<void()> work) {
  if (capturing != nullptr) {
    capturing->push_back(std::move(work));
  } else {
    work();
  }
}

int capture_number() {
  return capturing != nullptr ? captures : 0;
}

void allow_use([[maybe_unused]] void* data, [[maybe_unused]] size_t nbytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(data, nbytes);
#endif
}

void forbid_use([[maybe_unused]] void* data, [[maybe_unused]] size_t nbytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(data, nbytes);
#endif
}

void run_grid(dim3 blocks, dim3 threads, const void* name, const std::function<void()>& kernel) {
  static std::map<const void*, bool> waits;
  scheduler.kernel = &kernel;
  gridDim = blocks;
  blockDim = threads;
  const bool reversed = is_reversed();
  const size_t count = size_t(blocks.x) * blocks.y * blocks.z;
  for (size_t n = 0; n < count; ++n) {
    blockIdx = place_of(reversed ? count - 1 - n : n, blocks);
    const auto known = waits.find(name);
    if (known != waits.end() && !known->second) {
      run_block_without_waiting(threads, reversed);
    } else if (run_block(threads, reversed)) {
      waits[name] = true;
    } else {
      waits.emplace(name, false);
    }
  }
}

void barrier() {
  require_fibers();
  scheduler.current->state = State::kAtBarrier;
  leave_to_main(false);
}

int lane() {
  require_fibers();
  const dim3 t = scheduler.current->thread;
  return int((t.x + blockDim.x * (t.y + blockDim.y * t.z)) % unsigned(warpSize));
}

uint64_t exchange(uint64_t value, int source) {
  require_fibers();
  Fiber* self = scheduler.current;
  const int own = lane();
  self->value = value;
  self->state = State::kAtExchange;
  leave_to_main(false);
  // All of the warp have written; nobody writes again before all have passed the next wait.
  const dim3 t = self->thread;
  const size_t at = t.x + blockDim.x * (t.y + blockDim.y * t.z);
  const uint64_t result = scheduler.fibers[at - size_t(own) + size_t(source)]->value;
  self->state = State::kAtExchange;
  leave_to_main(false);
  return result;
}

void pass(double milliseconds) {
  clock_ms += milliseconds;
}

}  // namespace cuda_emulator

using cuda_emulator::capturing;
using cuda_emulator::refuse_in_capture;

const char* cudaGetErrorString(cudaError_t) {
  return "emulated error";
}
const char* cudaGetErrorName(cudaError_t) {
  return "cudaErrorEmulated";
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "emulated GPU");
  properties->major = 9;
  properties->minor = 0;
  properties->totalGlobalMem = size_t(1) << 34;
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = size_t(1) << 33;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** data, size_t bytes) {
  refuse_in_capture("cudaMalloc");
  // Not aligned_alloc: it takes multiples of 256 alone, and what is behind the end would be usable.
  if (posix_memalign(data, 256, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*data, cuda_emulator::kUnwritten, bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  refuse_in_capture("cudaFree");
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** data, size_t bytes) {
  return cudaMalloc(data, bytes);
}
cudaError_t cudaFreeHost(void* data) {
  return cudaFree(data);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  cuda_emulator::enqueue([=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  cuda_emulator::enqueue([=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  if (capturing != nullptr) {
    std::fprintf(stderr, "cuda emulator: the host waits for a stream that is being captured\n");
    std::abort();
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  return cudaStreamSynchronize(nullptr);
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->captured = capturing = new std::vector<std::function<void()>>;
  ++cuda_emulator::captures;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = capturing != nullptr ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(cuda_emulator::capture_mode, *mode);
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = new EmulatedGraph{std::move(*stream->captured)};
  delete stream->captured;
  stream->captured = capturing = nullptr;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new EmulatedGraph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
  for (const auto& work : exec->work) work();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, 0);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->milliseconds = cuda_emulator::clock_ms;
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = float(end->milliseconds - begin->milliseconds);
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
