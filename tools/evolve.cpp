// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <memory>

#include <ydistill/tools/command.h>
#include <ydistill/tools/processes.h>
#include <ydistill/tools/progress.h>
#include <ydistill/train/evolve.h>

namespace ydistill::tools {

Run add_evolve(CLI::App& app) {
  struct Args {
    std::string config, folder = "runs/evolve";
    std::vector<std::string> overrides;
    int64_t generations = 30;
    bool quiet = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand(
      "evolve", "Search for better hyper-parameters: train, change what did best, train again");
  cmd->add_option("config", args->config, "config file (JSON)")->required();
  cmd->add_option("overrides", args->overrides, "key.path=value, e.g. train.epochs=10");
  cmd->add_option("--generations", args->generations,
                  "number of trainings in total, including those already done")
      ->check(CLI::Range(int64_t(1), int64_t(1000000)))
      ->capture_default_str();
  cmd->add_option("--out", args->folder,
                  "folder of the search; a search that was stopped continues")
      ->capture_default_str();
  cmd->add_flag("--quiet", args->quiet, "print nothing but errors");
  return [args] {
    const std::unique_ptr<Exchange> processes = join_processes();
    return run_in_all(*processes, [&] {
      processes->together([&] {
        if (processes->size() == 1) return;
        throw ConfigError("evolve: runs in one process, started as {}", processes->size());
      });
      Progress progress(args->quiet ? Progress::Words::kQuiet : Progress::Words::kNormal);
      catch_stop_signals(args->quiet ? OnSignal::kQuiet : OnSignal::kSay);
      const Config config = ydistill::load_config(args->config, args->overrides);
      const EvolveOutcome outcome = evolve(config, args->folder, args->generations, progress);
      if (outcome.finished) {
        progress.message(
            fmt::format("done: generation {} (gen{:03}) is the best, its config is "
                        "{}/best.json",
                        outcome.best + 1, outcome.best, args->folder));
        return 0;
      }
      progress.message("evolve: stopped; the same command continues");
      return kRunFailed;
    });
  };
}

}  // namespace ydistill::tools
