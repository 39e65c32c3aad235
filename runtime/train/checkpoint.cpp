#include "runtime/train/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kernels/error.h"
#include "runtime/io/file.h"

namespace scrawl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "step_";
constexpr std::string_view partial_suffix = ".partial";
constexpr std::string_view weights_name = "weights.safetensors";
constexpr std::string_view optimizer_name = "optimizer.safetensors";
constexpr std::string_view state_name = "state.json";
constexpr std::string_view done_name = "DONE";

/// The step of a checkpoint folder's name; empty for any other name.
std::optional<std::int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename();
  if (!name.starts_with(prefix) || name.size() < prefix.size() + 8) return std::nullopt;
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), step);
  if (error != std::errc{} || end != name.data() + name.size() || step < 0) return std::nullopt;
  return step;
}

bool is_complete(const fs::path& folder) {
  std::error_code error;
  return step_of(folder) && fs::exists(folder / done_name, error);
}

/// What `checkpoints` holds; nothing where there is no such folder.
std::vector<fs::path> entries_of(const fs::path& checkpoints) {
  std::error_code error;
  return fs::exists(checkpoints, error) || error ? list_folder(checkpoints) : std::vector<fs::path>();
}

void remove_folder(const fs::path& folder) {
  std::error_code error;
  // DONE goes first, for good, so that a removal cut short leaves a folder that is ignored.
  if (fs::remove(folder / done_name, error)) sync_directory(folder);
  fs::remove_all(folder, error);
  if (error) throw WriteError("{}: cannot remove: {}", folder.string(), error.message());
}

/// Moves `from` to `to`, at which an older checkpoint may stand: then both change places.
void move_into_place(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return;
  // Nothing to exchange with, or a file system that cannot: there the old one goes first.
  if (errno != ENOENT) remove_folder(to);
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw WriteError("{}: cannot create: {}", to.string(), error.message());
}

nlohmann::json read_state(const fs::path& path) {
  const auto bytes = read_file(path);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  try {
    return nlohmann::json::parse(text, text + bytes.size());
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: expected JSON, got {}", path.string(), error.what());
  }
}

}  // namespace

fs::path save_checkpoint(const fs::path& checkpoints, std::int64_t step, const CheckpointContent& content) {
  const auto folder = checkpoints / fmt::format("{}{:08d}", prefix, step);
  const auto partial = fs::path(folder) += partial_suffix;
  auto state = content.state;
  state["step"] = step;

  remove_folder(partial);
  make_directories(partial);
  try {
    write_safetensors(partial / weights_name, content.weights, content.metadata);
    write_safetensors(partial / optimizer_name, content.optimizer);
    write_file_atomically(partial / state_name, state.dump(2) + "\n");
    write_file_atomically(partial / done_name, std::string_view());
    move_into_place(partial, folder);
  } catch (...) {
    std::error_code ignored;  // the first error is the one to report
    fs::remove_all(partial, ignored);
    throw;
  }
  remove_folder(partial);
  sync_directory(checkpoints);
  return folder;
}

std::optional<fs::path> latest_checkpoint(const fs::path& checkpoints) {
  std::optional<fs::path> latest;
  for (const auto& folder : entries_of(checkpoints))
    if (is_complete(folder) && (!latest || *step_of(folder) > *step_of(*latest))) latest = folder;
  return latest;
}

Checkpoint load_checkpoint(const fs::path& folder) {
  const auto step = step_of(folder);
  if (!step || !is_complete(folder))
    throw DataError("{}: expected a complete checkpoint (step_<8 digits> with a {} file)", folder.string(),
                    done_name);
  Checkpoint checkpoint{.step = *step,
                        .weights = read_safetensors(folder / weights_name),
                        .optimizer = read_safetensors(folder / optimizer_name),
                        .state = read_state(folder / state_name)};
  if (!checkpoint.state.is_object() || checkpoint.state.value("step", nlohmann::json()) != *step)
    throw DataError("{}: expected the state of step {}, got {}", (folder / state_name).string(), *step,
                    checkpoint.state.is_object() ? checkpoint.state["step"].dump() : "no object");
  return checkpoint;
}

void prune_checkpoints(const fs::path& checkpoints, int keep) {
  if (keep < 1) throw UsageError("checkpoints: expected to keep at least 1, got {}", keep);
  std::vector<fs::path> complete;
  for (const auto& path : entries_of(checkpoints)) {
    if (is_complete(path))
      complete.push_back(path);
    else if (step_of(path) || (path.extension() == partial_suffix && step_of(path.stem())))
      remove_folder(path);
  }
  std::ranges::sort(complete, std::ranges::greater(), step_of);
  for (std::size_t i = static_cast<std::size_t>(keep); i < complete.size(); ++i) remove_folder(complete[i]);
  sync_directory(checkpoints);
}

}  // namespace scrawl
