// SPDX-License-Identifier: MIT
// Processes that train one student together: each takes its share of every batch, and what they
// have found is summed before each step of the optimizer (data parallelism).
//
// MPI starts and connects the processes (`mpirun -np 4 ydistill train cfg.json`). All of them make
// the same calls in the same order; a call ends when all have made it. The first process, of rank
// 0, is the one that speaks and writes.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ydistill/layers/parameters.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// What the other processes throw where the first one throws the error: nothing is left to be said.
class EndedTogether : public StoppedError {
 public:
  using StoppedError::StoppedError;
};

/// What Exchange does with tensors of a GPU. Calls are in the order of the thread's stream; the
/// host does not wait. values: of any shape, the same in all processes.
class GpuExchange {
 public:
  virtual ~GpuExchange() = default;
  virtual void sum(const Tensor& values) = 0;        ///< float32, in place
  virtual void average(const Tensor& values) = 0;    ///< float32, in place
  virtual void broadcast(const Tensor& values) = 0;  ///< of any dtype, from the first process
};

class Exchange {
 public:
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  bool is_first() const { return place_.rank == 0; }
  /// Among the processes of the same machine.
  int local_rank() const { return place_.local_rank; }
  int local_size() const { return place_.local_size; }
  const std::string& machine() const { return place_.machine; }
  /// Threads with which the processes of a machine share its cores, as far as the launcher has not
  /// bound each to its own; 0: as many as there are.
  int threads() const { return place_.threads; }

  /// From now on tensors of this device may be exchanged as well as the CPU's. throws ConfigError
  /// where some bring a GPU and some the CPU, and for GPUs where this build has no NCCL;
  /// LibraryError; as together() does.
  void connect(Device device);

  /// Adds the values of all processes in place: the same bits in each process and each run. On the
  /// CPU that is in the order of the ranks. values: float32, of any shape, the same everywhere.
  /// throws DTypeError; DeviceError for a GPU that is not connected.
  void sum(const Tensor& values);
  /// Sums as many numbers in each process, few, in the order of the ranks.
  void sum(std::span<double> values);
  /// The sum of tensors, as above, divided by the number of processes.
  void average(const Tensor& values);
  /// Replaces the values by the first process's. values: of any dtype, of the same size everywhere.
  void broadcast(const Tensor& values);
  /// What each process brings, by rank; lengths may differ.
  std::vector<std::string> gather(const std::string& text);

  /// The first process's text.
  std::string from_first(const std::string& text);
  /// Whether any process says so.
  bool any(bool says_so);
  /// Does the work in every process. Where it fails in one, it fails in all: the first process
  /// throws the error of the lowest rank (its own as it is, another's as ConfigError or Error with
  /// that process's name), the others throw EndedTogether. Being asked to stop counts less than an
  /// error, and is thrown as StoppedError by all. The work must not call the exchange.
  void together(const std::function<void()>& work);
  /// Whether the processes end together, because of an error that all know of. Where one ends for
  /// another reason the others would wait for it: it calls abort().
  bool ends_together() const { return ends_together_; }
  /// Ends all processes at once; does not come back where there are several.
  virtual void abort(int exit_code);

 protected:
  struct Place {
    int rank = 0, size = 1, local_rank = 0, local_size = 1, threads = 0;
    std::string machine;
  };
  explicit Exchange(Place place) : place_(std::move(place)) {}

  /// What is connected goes before that which connects the processes.
  void disconnect() { gpus_.reset(); }

 private:
  GpuExchange& gpus(const Tensor& values);
  virtual void add_up(float* values, int64_t n) = 0;
  virtual void add_up(double* values, int64_t n) = 0;
  /// The bytes of process `rank` to all.
  virtual void send(void* bytes, int64_t n, int rank) = 0;

  Place place_;
  std::unique_ptr<GpuExchange> gpus_;
  bool ends_together_ = false;
};

/// This process alone: nothing is exchanged.
Exchange& single_process();

/// All processes that a launcher started, or this one alone. Once in a process; MPI ends with the
/// result. throws ConfigError where there are several and this build has no MPI, or another one
/// than the launcher.
std::unique_ptr<Exchange> join_processes();

/// Before an optimizer's step: gradients become the sum over the processes, running statistics
/// their mean. Each process's batch normalisation sees its own share of a batch.
void sum_over_processes(ParameterStore& parameters, Exchange& exchange);
/// The statistics' part of it.
void average_statistics(ParameterStore& parameters, Exchange& exchange);

}  // namespace ydistill
