/// scrawl: trains and runs handwriting-recognition networks. Wiring only; see tools/cli.

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <system_error>

#include "kernels/error.h"
#include "models/config.h"
#include "runtime/device/spinning.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* const option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const auto* const command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

const CLI::App& deepest(const CLI::App& app) {
  const auto used = app.get_subcommands();
  return used.empty() ? app : deepest(*used.front());
}

/// CLI11 says of a misspelt command only that one is missing.
void check_command(const CLI::App& app, const std::string& word) {
  if (word.empty() || word[0] == '-') return;
  std::vector<std::string> commands;
  for (const auto* const command : app.get_subcommands([](const CLI::App*) { return true; }))
    commands.push_back(command->get_name());
  if (std::ranges::find(commands, word) != commands.end()) return;
  const auto near = nearest_name(word, commands);
  throw UsageError("{}: no such command; {}", word,
                   near.empty() ? fmt::format("there are {}", fmt::join(commands, ", "))
                                : fmt::format("did you mean {}?", near));
}

/// The exit code of a command whose results have reached standard output, as far as one can know.
int delivered(int code) {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout) return code;
  throw std::system_error(errno, std::generic_category());
}

/// CLI11's message, and for a misspelt option or command the nearest that there is.
int explain(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return delivered(app.exit(error));  // --help
  std::string message = error.what();
  for (int i = 0; i < static_cast<int>(deepest(app).remaining().size()); ++i) {
    const auto near =
        nearest_name(deepest(app).remaining()[static_cast<std::size_t>(i)], option_names(deepest(app)));
    if (!near.empty()) message += "; did you mean " + near + "?";
  }
  spdlog::error("{}; --help lists what there is", message);
  return static_cast<int>(ExitCode::usage);
}

int run(int argc, char** argv) {
  CLI::App app{"scrawl trains and runs handwriting-recognition networks", "scrawl"};
  app.set_version_flag("--version", "scrawl " SCRAWL_VERSION);
  app.require_subcommand(1);
  Action action;
  add_train(app, action);
  add_eval(app, action);
  add_predict(app, action);
  add_inspect(app, action);
  add_data(app, action);
  add_profile(app, action);
  add_devices(app, action);
  add_bench(app, action);
  add_tune(app, action);
  try {
    check_command(app, argc > 1 ? argv[1] : "");
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return explain(app, error);
    }
    return delivered(action());
  } catch (const Error& error) {
    spdlog::error("{}", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    spdlog::error("out of memory");
    return static_cast<int>(ExitCode::memory);
  } catch (const std::system_error& error) {  // fmt's, when it cannot print
    spdlog::error("standard output cannot be written: {}", error.code().message());
    return static_cast<int>(ExitCode::write);
  } catch (const std::exception& error) {
    spdlog::error("internal error: {}", error.what());
    return static_cast<int>(ExitCode::internal);
  }
}

}  // namespace
}  // namespace scrawl::cli

int main(int argc, char** argv) {
  scrawl::bound_spinning(argv);
  spdlog::set_default_logger(spdlog::stderr_color_mt("scrawl"));
  spdlog::set_pattern("%^%l%$: %v");
  return scrawl::cli::run(argc, argv);
}
