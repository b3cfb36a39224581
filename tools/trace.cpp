// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <memory>

#include <ydistill/tools/command.h>
#include <ydistill/train/trace.h>

namespace ydistill::tools {

Run add_trace(CLI::App& app) {
  struct Args {
    TraceOptions trace;
    std::string student, teacher, batch, out, device = "cpu", precision = "fp32";
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand(
      "trace", "Run a recorded batch through a model and write every number of the step");
  cmd->add_option("--student", args->student, "student weights, .pt or .safetensors")->required();
  cmd->add_option("--teacher", args->teacher, "teacher weights");
  cmd->add_option("--batch", args->batch, "recorded batch, .safetensors")->required();
  cmd->add_option("--case", args->trace.case_name, "a name in the batch's metadata `cases`")
      ->required();
  cmd->add_option("--device", args->device, "cpu or cuda")->capture_default_str();
  cmd->add_option("--precision", args->precision, "fp32, tf32 or bf16")->capture_default_str();
  cmd->add_flag("--heads-from-batch", args->trace.heads_from_batch,
                "take det.train_headK as the student's logits; no network runs");
  cmd->add_flag("--teacher-from-batch", args->trace.teacher_from_batch,
                "take teacher.headK as the teacher's logits");
  cmd->add_flag("--layers", args->trace.layers,
                "also moments and a corner of every module's output");
  cmd->add_option("--out", args->out, "file to write, .safetensors")->required();
  return [args] {
    args->trace.compute = choose_compute(args->device, args->precision);
    args->trace.student = args->student;
    args->trace.teacher = args->teacher;
    args->trace.batch = args->batch;
    const TensorFile result = run_trace(args->trace);
    write_safetensors(args->out, result);
    message(fmt::format("{}: {} tensors of case {} on {}", args->out, result.tensors.size(),
                        args->trace.case_name, describe(args->trace.compute)));
    return 0;
  };
}

}  // namespace ydistill::tools
