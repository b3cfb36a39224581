// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include <ydistill/tools/command.h>
#include <ydistill/tools/processes.h>
#include <ydistill/tools/progress.h>
#include <ydistill/train/trainer.h>

namespace ydistill::tools {

Run add_train(CLI::App& app) {
  struct Args {
    std::string config, resume;
    std::vector<std::string> overrides;
    bool quiet = false, verbose = false, json = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand("train", "Train a student, with or without a teacher");
  cmd->add_option("config", args->config, "config file (JSON)");
  cmd->add_option("overrides", args->overrides, "key.path=value, e.g. train.epochs=10");
  cmd->add_option(
      "--resume", args->resume,
      "continue the run in this folder (or its weights/last.safetensors), without a config");
  auto* quiet = cmd->add_flag("--quiet", args->quiet, "print nothing but errors");
  cmd->add_flag("--verbose", args->verbose, "also the kernel chosen for every convolution")
      ->excludes(quiet);
  cmd->add_flag("--json", args->json, "print events for programs, one JSON object per line")
      ->excludes(quiet);
  return [args] {
    const std::unique_ptr<Exchange> processes = join_processes();
    const bool speaks = processes->is_first();
    catch_stop_signals(args->quiet || args->json || !speaks ? OnSignal::kQuiet : OnSignal::kSay);
    const auto check = [&args] {
      if (args->config.empty() && args->resume.empty()) {
        throw ConfigError("train: name a config file, or a run folder with --resume");
      }
      if (!args->config.empty() && !args->resume.empty()) {
        throw ConfigError(
            "train: --resume {}: a run continues with its own config; {} cannot be given with it",
            args->resume, args->config);
      }
      std::error_code ignored;
      if (args->resume.empty() && std::filesystem::is_directory(args->config, ignored)) {
        throw ConfigError(
            "train: {}: a folder; expected a config file, or --resume {} to continue a run",
            args->config, args->config);
      }
    };
    const auto run = [&](TrainEvents& events) {
      processes->together(check);
      const std::string resume = processes->from_first(args->resume);
      if (!resume.empty()) return resume_training(resume, events, *processes);
      return train(load_config(*processes, args->config, args->overrides), events, *processes);
    };
    return run_in_all(*processes, [&] {
      if (args->json && speaks) {
        JsonProgress progress;
        try {
          const TrainOutcome outcome = run(progress);
          progress.done(outcome);
          return outcome.finished ? 0 : kRunFailed;  // only the first process is here
        } catch (const std::exception& error) {
          progress.error(error.what());
          throw;
        }
      }
      using Words = Progress::Words;
      Progress progress(args->quiet || !speaks ? Words::kQuiet
                        : args->verbose        ? Words::kVerbose
                                               : Words::kNormal);
      const TrainOutcome outcome = run(progress);
      if (!outcome.finished) return speaks ? kRunFailed : 0;  // the first one's code counts
      const std::filesystem::path best = outcome.run / "weights" / "best.safetensors";
      std::error_code error;
      const bool is_there = !speaks || std::filesystem::exists(best, error);
      progress.message(fmt::format("done: {}{}", best.string(),
                                   is_there ? "" : ", which is missing: it was removed"));
      return 0;
    });
  };
}

}  // namespace ydistill::tools
