// SPDX-License-Identifier: MIT
#include <ydistill/train/exchange.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <optional>

#ifdef YD_HAVE_MPI
#include <ydistill/train/exchange_mpi.h>
#endif
#ifdef YD_HAVE_NCCL
#include <ydistill/train/exchange_nccl.h>
#endif

namespace ydistill {
namespace {

class SingleProcess : public Exchange {
 public:
  SingleProcess() : Exchange(Place{}) {}

 private:
  void add_up(float*, int64_t) override {}
  void add_up(double*, int64_t) override {}
  void send(void*, int64_t, int) override {}
};

void check_float32(const char* call, const Tensor& values) {
  if (values.dtype() != DType::kFloat32) {
    throw DTypeError("exchange: {} takes float32, got {}", call, name_of(values.dtype()));
  }
}

// The outcome of work, as one letter before the message.
constexpr char kDone = 'd', kStopped = 's', kFailed = 'f', kWrongConfig = 'c';

/// The number of processes that a launcher reports: Open MPI, MPICH and Intel MPI, MVAPICH.
int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    if (const char* size = std::getenv(name)) return std::max(std::atoi(size), 1);
  }
  return 1;
}

}  // namespace

void Exchange::connect(Device device) {
  if (size() == 1) return;
  const std::string own = device.is_cpu() ? "the CPU" : "a GPU", first = from_first(own);
  together([&] {
    if (own == first) return;
    throw ConfigError("device: {} here, {} in the first process: all need the same", own, first);
  });
  if (device.is_cpu()) return;
#ifdef YD_HAVE_NCCL
  gpus_ = cuda::connect_gpus(*this, device);
#else
  together([this] {
    throw ConfigError(
        "device: {} processes on GPUs need a build with NCCL: configure with -DYDISTILL_NCCL=ON",
        size());
  });
#endif
}

GpuExchange& Exchange::gpus(const Tensor& values) {
  if (!gpus_) {
    throw DeviceError("exchange: values on {}, which is not connected", values.device().str());
  }
  return *gpus_;
}

void Exchange::sum(const Tensor& values) {
  check_float32("sum", values);
  if (size() == 1) return;
  YD_BACKEND(values.device(), add_up(values.data<float>(), values.numel()),
             gpus(values).sum(values));
}

void Exchange::average(const Tensor& values) {
  check_float32("average", values);
  if (size() == 1) return;
  if (values.device().is_cuda()) return gpus(values).average(values);
  sum(values);
  for (float& value : values.span<float>()) value *= 1.0f / float(size());
}

void Exchange::sum(std::span<double> values) {
  add_up(values.data(), int64_t(values.size()));
}

void Exchange::broadcast(const Tensor& values) {
  if (size() == 1) return;
  YD_BACKEND(values.device(), send(values.raw(), values.nbytes(), 0),
             gpus(values).broadcast(values));
}

std::vector<std::string> Exchange::gather(const std::string& text) {
  std::vector<std::string> texts;
  texts.resize(size_t(size()));
  texts[size_t(rank())] = text;
  for (int from = 0; from < size(); ++from) {
    std::string& bytes = texts[size_t(from)];
    int64_t length = int64_t(bytes.size());
    send(&length, sizeof(length), from);
    bytes.resize(size_t(length));
    send(bytes.data(), length, from);
  }
  return texts;
}

std::string Exchange::from_first(const std::string& text) {
  std::string bytes = text;
  int64_t length = int64_t(bytes.size());
  send(&length, sizeof(length), 0);
  bytes.resize(size_t(length));
  send(bytes.data(), length, 0);
  return bytes;
}

bool Exchange::any(bool says_so) {
  double votes = says_so ? 1 : 0;
  sum(std::span(&votes, 1));
  return votes > 0;
}

void Exchange::together(const std::function<void()>& work) {
  if (size() == 1) return work();
  std::exception_ptr own;
  std::string outcome(1, kDone);
  try {
    work();
  } catch (const StoppedError& error) {
    own = std::current_exception();
    outcome = kStopped + std::string(error.what());
  } catch (const ConfigError& error) {
    own = std::current_exception();
    outcome = kWrongConfig + std::string(error.what());
  } catch (const std::exception& error) {
    own = std::current_exception();
    outcome = kFailed + std::string(error.what());
  }
  if (outcome[0] == kFailed || outcome[0] == kWrongConfig) {
    outcome.insert(1, fmt::format("process {} on {}: ", rank(), place_.machine));
  }
  const std::vector<std::string> outcomes = gather(outcome);
  const auto is_error = [](const std::string& o) {
    return o[0] == kFailed || o[0] == kWrongConfig;
  };
  const auto error = std::find_if(outcomes.begin(), outcomes.end(), is_error);
  if (error != outcomes.end()) {
    ends_together_ = true;
    if (!is_first()) throw EndedTogether("process {} ends with the others", rank());
    if (error == outcomes.begin()) std::rethrow_exception(own);
    const std::string text = error->substr(1);
    if ((*error)[0] == kWrongConfig) throw ConfigError("{}", text);
    throw Error("{}", text);
  }
  for (const std::string& o : outcomes) {
    if (o[0] != kStopped) continue;
    ends_together_ = true;
    throw StoppedError("{}", o.substr(1));
  }
}

void Exchange::abort(int) {}

Exchange& single_process() {
  static SingleProcess process;
  return process;
}

std::unique_ptr<Exchange> join_processes() {
  const int launched = launched_processes();
#ifdef YD_HAVE_MPI
  if (std::unique_ptr<Exchange> processes = join_mpi()) {
    if (processes->size() == 1 && launched > 1) {
      throw ConfigError(
          "started as {} processes that do not find each other: by a launcher of another MPI than "
          "that of this build",
          launched);
    }
    return processes;
  }
#endif
  if (launched > 1) {
    throw ConfigError(
        "started as {} processes, which need a build with MPI: configure with -DYDISTILL_MPI=ON",
        launched);
  }
  return std::make_unique<SingleProcess>();
}

void sum_over_processes(ParameterStore& parameters, Exchange& exchange) {
  if (exchange.size() == 1) return;
  exchange.sum(parameters.grads().slice(0, parameters.range(ParameterGroup::kFrozen).first));
  average_statistics(parameters, exchange);
}

void average_statistics(ParameterStore& parameters, Exchange& exchange) {
  if (exchange.size() == 1) return;
  exchange.average(parameters.statistics());
  parameters.mark_statistics_changed();
}

}  // namespace ydistill
