// SPDX-License-Identifier: MIT
// Processes that train one student together: each processes its share of every batch, and their
// gradients are summed before each optimizer step (data parallelism).
//
// MPI starts and connects the processes (`mpirun -np 4 ydistill train cfg.json`). All of them make
// the same calls in the same order; a call ends when all have made it. Only the first process, of
// rank 0, prints and writes.
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

/// Thrown in the other processes if the first one throws the error: there is nothing more to
/// report.
class EndedTogether : public StoppedError {
 public:
  using StoppedError::StoppedError;
};

/// The exchange of tensors on a GPU. Calls follow the order of the thread's stream; the host does
/// not wait. values: of any shape, the same in all processes.
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
  /// Threads per process, so that the processes of a machine share its cores where the launcher has
  /// not bound each to its own; 0: one per core.
  int threads() const { return place_.threads; }

  /// From now on tensors of this device may be exchanged as well as those on the CPU. throws
  /// ConfigError if some processes use a GPU and some the CPU, and for GPUs if this build has no
  /// NCCL; LibraryError; as together() does.
  void connect(Device device);

  /// Adds the values of all processes in place: the same bits in each process and each run. On the
  /// CPU the order of the sum is that of the ranks. values: float32, of any shape, the same in all
  /// processes. throws DTypeError; DeviceError for a GPU that is not connected.
  void sum(const Tensor& values);
  /// Sums a few numbers, equally many in each process, in the order of the ranks.
  void sum(std::span<double> values);
  /// The sum of tensors, as above, divided by the number of processes.
  void average(const Tensor& values);
  /// Replaces the values by the first process's. values: any dtype, the same size in all processes.
  void broadcast(const Tensor& values);
  /// The texts of all processes, by rank; lengths may differ.
  std::vector<std::string> gather(const std::string& text);

  /// The first process's text.
  std::string from_first(const std::string& text);
  /// Whether the argument is true in any process.
  bool any(bool says_so);
  /// Does the work in every process. If it fails in one, it fails in all: the first process throws
  /// the error of the lowest rank (its own unchanged, another's as ConfigError or Error with that
  /// process's name), the others throw EndedTogether. A request to stop has lower priority than an
  /// error, and is thrown as StoppedError by all. The work must not call the exchange.
  void together(const std::function<void()>& work);
  /// Whether the processes end together, because of an error that all know of. A process that ends
  /// for another reason must call abort(), or the others would wait for it.
  bool ends_together() const { return ends_together_; }
  /// Ends all processes at once; does not return if there are several.
  virtual void abort(int exit_code);

 protected:
  struct Place {
    int rank = 0, size = 1, local_rank = 0, local_size = 1, threads = 0;
    std::string machine;
  };
  explicit Exchange(Place place) : place_(std::move(place)) {}

  /// Disconnects the GPUs, before the connection between the processes ends.
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

/// This process only: nothing is exchanged.
Exchange& single_process();

/// All processes that a launcher started, or only this one. Call once per process; MPI ends with
/// the result. throws ConfigError if there are several and this build has no MPI, or another one
/// than the launcher's.
std::unique_ptr<Exchange> join_processes();

/// Before an optimizer's step: gradients become the sum over the processes, running statistics
/// their mean. Each process's batch normalisation sees its own share of a batch.
void sum_over_processes(ParameterStore& parameters, Exchange& exchange);
/// Only the part for statistics.
void average_statistics(ParameterStore& parameters, Exchange& exchange);

}  // namespace ydistill
