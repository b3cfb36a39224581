// SPDX-License-Identifier: MIT
// The only file that uses cuBLASLt. The library is loaded when plans or its version are first asked
// for: linking it would cost every program start 0.2 s and 200 MiB.
#if defined(YD_HAVE_CUBLASLT)
#include <cublasLt.h>
#include <dlfcn.h>

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <map>
#include <mutex>
#include <type_traits>
#endif

#include <ydistill/tensor/cuda/conv_matmul.h>
#include <ydistill/tensor/cuda/conv_plan.h>
#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

#if defined(YD_HAVE_CUBLASLT)

/// Plans that need more are not taken; the size is NVIDIA's advice for Hopper.
constexpr uint64_t kMaxWorkspaceBytes = uint64_t(32) << 20;
constexpr int kMostPlans = 8;
/// Alignment of operands, in bytes: weights are parts of one buffer.
constexpr uint32_t kAlignment = 16;

/// The library's functions, each under its name without "cublasLt".
struct Functions {
  decltype(&cublasLtCreate) Create = nullptr;
  decltype(&cublasLtGetVersion) GetVersion = nullptr;
  decltype(&cublasLtGetStatusString) GetStatusString = nullptr;
  decltype(&cublasLtMatmul) Matmul = nullptr;
  decltype(&cublasLtMatmulAlgoCapGetAttribute) MatmulAlgoCapGetAttribute = nullptr;
  decltype(&cublasLtMatmulAlgoCheck) MatmulAlgoCheck = nullptr;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) MatmulAlgoConfigGetAttribute = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic = nullptr;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate = nullptr;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy = nullptr;
  std::string reason;  // why they could not be loaded; empty if they were
};

Functions load_functions() {
  Functions f;
  const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  for (const std::string folder : {YDISTILL_CUBLASLT_FOLDERS}) {
    if (library == nullptr) library = dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    f.reason = fmt::format("{} cannot be loaded", name);
    return f;
  }
  const auto find = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, symbol));
    if (function == nullptr) f.reason = fmt::format("{} lacks {}", name, symbol);
  };
  find(f.Create, "cublasLtCreate");
  find(f.GetVersion, "cublasLtGetVersion");
  find(f.GetStatusString, "cublasLtGetStatusString");
  find(f.Matmul, "cublasLtMatmul");
  find(f.MatmulAlgoCapGetAttribute, "cublasLtMatmulAlgoCapGetAttribute");
  find(f.MatmulAlgoCheck, "cublasLtMatmulAlgoCheck");
  find(f.MatmulAlgoConfigGetAttribute, "cublasLtMatmulAlgoConfigGetAttribute");
  find(f.MatmulAlgoGetHeuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(f.MatmulDescCreate, "cublasLtMatmulDescCreate");
  find(f.MatmulDescDestroy, "cublasLtMatmulDescDestroy");
  find(f.MatmulDescSetAttribute, "cublasLtMatmulDescSetAttribute");
  find(f.MatmulPreferenceCreate, "cublasLtMatmulPreferenceCreate");
  find(f.MatmulPreferenceDestroy, "cublasLtMatmulPreferenceDestroy");
  find(f.MatmulPreferenceSetAttribute, "cublasLtMatmulPreferenceSetAttribute");
  find(f.MatrixLayoutCreate, "cublasLtMatrixLayoutCreate");
  find(f.MatrixLayoutDestroy, "cublasLtMatrixLayoutDestroy");
  return f;
}

const Functions& functions() {
  static const Functions& loaded = *new Functions(load_functions());  // never unloaded
  return loaded;
}

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw LibraryError("cublasLt: {} in {}", functions().GetStatusString(status), call);
  }
}
#define YD_CUBLAS(function, ...) check(functions().function(__VA_ARGS__), "cublasLt" #function)

/// One handle per device, shared by all threads.
cublasLtHandle_t handle() {
  static std::mutex mutex;
  static auto& handles = *new std::map<int, cublasLtHandle_t>;
  int device = 0;
  YD_CUDA_CHECK(cudaGetDevice(&device));
  const std::lock_guard lock(mutex);
  cublasLtHandle_t& found = handles[device];
  if (found == nullptr) YD_CUBLAS(Create, &found);
  return found;
}

/// The product in the library's terms.
class Description {
 public:
  explicit Description(const ConvProblem& p) {
    const bool is_bf16 = p.dtype == DType::kBFloat16;
    const cudaDataType_t type = is_bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const bool rounds = !is_bf16 && p.tf32;
    const cublasComputeType_t compute = rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const Matmul m = matmul_of(p);
    try {
      YD_CUBLAS(MatmulDescCreate, &matmul, compute, CUDA_R_32F);
      transpose(CUBLASLT_MATMUL_DESC_TRANSA, m.transpose_left);
      transpose(CUBLASLT_MATMUL_DESC_TRANSB, m.transpose_right);
      left = layout(type, m.left_rows(), m.left_columns());
      right = layout(type, m.right_rows(), m.right_columns());
      out = layout(type, m.m, m.n);
    } catch (const LibraryError&) {
      destroy();
      throw;
    }
  }
  ~Description() { destroy(); }
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;

  cublasLtMatmulDesc_t matmul = nullptr;
  cublasLtMatrixLayout_t left = nullptr, right = nullptr, out = nullptr;

 private:
  void transpose(cublasLtMatmulDescAttributes_t factor, bool is_transposed) {
    const int32_t op = is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    YD_CUBLAS(MatmulDescSetAttribute, matmul, factor, &op, sizeof op);
  }
  static cublasLtMatrixLayout_t layout(cudaDataType_t type, int64_t rows, int64_t columns) {
    cublasLtMatrixLayout_t made = nullptr;
    YD_CUBLAS(MatrixLayoutCreate, &made, type, uint64_t(rows), uint64_t(columns), rows);
    return made;
  }
  void destroy() {
    for (cublasLtMatrixLayout_t each : {left, right, out}) {
      if (each != nullptr) functions().MatrixLayoutDestroy(each);
    }
    if (matmul != nullptr) functions().MatmulDescDestroy(matmul);
  }
};

class MatmulPlan : public ConvPlan {
 public:
  MatmulPlan(std::shared_ptr<const Description> description,
             const cublasLtMatmulHeuristicResult_t& choice)
      : description_(std::move(description)),
        algorithm_(choice.algo),
        workspace_bytes_(int64_t(choice.workspaceSize)) {}

  std::string name() const override {
    return fmt::format("{} algorithm {}, tile {}, split {}", cublas_library().name(),
                       attribute(CUBLASLT_ALGO_CONFIG_ID), attribute(CUBLASLT_ALGO_CONFIG_TILE_ID),
                       attribute(CUBLASLT_ALGO_CONFIG_SPLITK_NUM));
  }
  int64_t workspace_bytes() const override { return workspace_bytes_; }
  void run(const ConvOperands& operands, void* workspace) const override {
    const float one = 1, zero = 0;
    const Description& d = *description_;
    YD_CUBLAS(Matmul, handle(), d.matmul, &one, operands.b, d.left, operands.a, d.right, &zero,
              operands.out, d.out, operands.out, d.out, &algorithm_, workspace,
              size_t(workspace_bytes_), current_stream());
  }
  /// The words of the algorithm in hexadecimal; valid for the same version of the library.
  std::string saved() const override {
    return fmt::format("{:016x}", fmt::join(algorithm_.data, "-"));
  }

 private:
  int32_t attribute(cublasLtMatmulAlgoConfigAttributes_t which) const {
    int32_t value = -1;
    size_t written = 0;
    (void)functions().MatmulAlgoConfigGetAttribute(&algorithm_, which, &value, sizeof value,
                                                   &written);
    return value;
  }

  std::shared_ptr<const Description> description_;
  cublasLtMatmulAlgo_t algorithm_;
  int64_t workspace_bytes_;
};

/// Up to kMostPlans plans that sum in float32: partial sums (split K) are added in the compute
/// type, not in the type of the result.
std::vector<cublasLtMatmulHeuristicResult_t> ask(const Description& d) {
  struct Preference {
    cublasLtMatmulPreference_t handle = nullptr;
    Preference() { YD_CUBLAS(MatmulPreferenceCreate, &handle); }
    ~Preference() { functions().MatmulPreferenceDestroy(handle); }
    Preference(const Preference&) = delete;
    Preference& operator=(const Preference&) = delete;
  } const preference;
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
    YD_CUBLAS(MatmulPreferenceSetAttribute, preference.handle, what, &value, sizeof value);
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMaxWorkspaceBytes);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    prefer(operand, kAlignment);
  }
  std::vector<cublasLtMatmulHeuristicResult_t> found(kMostPlans);
  int count = 0;
  const cublasStatus_t status =
      functions().MatmulAlgoGetHeuristic(handle(), d.matmul, d.left, d.right, d.out, d.out,
                                         preference.handle, kMostPlans, found.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED)
    count = 0;
  else
    check(status, "cublasLtMatmulAlgoGetHeuristic");
  found.resize(size_t(count));
  return found;
}

std::vector<ConvPlanBuilder> plans(const ConvProblem& problem, std::string& reason) {
  std::vector<ConvPlanBuilder> builders;
  reason = is_matmul(problem) ? functions().reason : "not a product of matrices";
  if (!reason.empty()) return builders;
  try {
    const auto description = std::make_shared<const Description>(problem);
    for (const cublasLtMatmulHeuristicResult_t& choice : ask(*description)) {
      if (choice.state != CUBLAS_STATUS_SUCCESS) continue;
      builders.push_back([=] { return std::make_unique<MatmulPlan>(description, choice); });
    }
  } catch (const LibraryError& error) {
    reason = error.what();
    return builders;
  }
  if (builders.empty()) reason = "cuBLASLt has no algorithm";
  return builders;
}

bool parse(const std::string& saved, cublasLtMatmulAlgo_t& algorithm) {
  constexpr size_t kDigits = 16, kWords = std::size(cublasLtMatmulAlgo_t{}.data);
  if (saved.size() != kWords * (kDigits + 1) - 1) return false;
  for (size_t i = 0; i < kWords; ++i) {
    const char* const begin = saved.data() + i * (kDigits + 1);
    if (i > 0 && begin[-1] != '-') return false;
    const auto parsed = std::from_chars(begin, begin + kDigits, algorithm.data[i], 16);
    if (parsed.ec != std::errc() || parsed.ptr != begin + kDigits) return false;
  }
  return true;
}

/// Whether the algorithm accepts operands aligned to kAlignment.
bool takes_alignment(const cublasLtMatmulAlgo_t& algorithm) {
  for (const auto operand :
       {CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_A_BYTES, CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_C_BYTES, CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_D_BYTES}) {
    uint32_t bytes = 0;
    size_t written = 0;
    YD_CUBLAS(MatmulAlgoCapGetAttribute, &algorithm, operand, &bytes, sizeof bytes, &written);
    if (bytes > kAlignment) return false;
  }
  return true;
}

std::unique_ptr<ConvPlan> restore(const ConvProblem& problem, const std::string& saved,
                                  std::string& reason) {
  cublasLtMatmulAlgo_t algorithm{};
  reason = functions().reason;
  if (!is_matmul(problem) || !parse(saved, algorithm)) reason = "not a plan of cuBLASLt";
  if (!reason.empty()) return nullptr;
  try {
    const auto d = std::make_shared<const Description>(problem);
    cublasLtMatmulHeuristicResult_t result{};
    check(functions().MatmulAlgoCheck(handle(), d->matmul, d->left, d->right, d->out, d->out,
                                      &algorithm, &result),
          "cublasLtMatmulAlgoCheck");
    check(result.state, "cublasLtMatmulAlgoCheck");
    if (result.workspaceSize > kMaxWorkspaceBytes || !takes_alignment(algorithm)) {
      reason = "the plan wants more memory, or its operands better aligned, than there is";
      return nullptr;
    }
    result.algo = algorithm;
    return std::make_unique<MatmulPlan>(d, result);
  } catch (const LibraryError& error) {
    reason = error.what();
    return nullptr;
  }
}

std::string name() {
  if (!functions().reason.empty()) return "cuBLASLt";
  const size_t v = functions().GetVersion();
  return fmt::format("cuBLASLt {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

#else

std::vector<ConvPlanBuilder> plans(const ConvProblem&, std::string& reason) {
  reason = "this build has no cuBLASLt (its header cublasLt.h was not found)";
  return {};
}

std::unique_ptr<ConvPlan> restore(const ConvProblem& problem, const std::string&,
                                  std::string& reason) {
  plans(problem, reason);
  return nullptr;
}

std::string name() {
  return "no cuBLASLt";
}

#endif

}  // namespace

const ConvLibrary& cublas_library() {
  static constexpr ConvLibrary kLibrary{"cuBLASLt", name, plans, restore};
  return kLibrary;
}

}  // namespace ydistill::cuda
