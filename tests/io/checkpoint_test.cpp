#include "runtime/train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "kernels/error.h"
#include "runtime/io/file.h"
#include "tests/io/messages.h"
#include "tests/io/temporary_folder.h"

namespace scrawl {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Saves a checkpoint in which every number is `mark`, so that a mixture of two shows.
fs::path save(const fs::path& checkpoints, std::int64_t step, float mark) {
  std::vector<float> values(1000, mark);
  const NamedView weights[]{{"w", make_view(values.data(), DType::f32, {10, 100})}};
  const NamedView optimizer[]{{"w.moment", make_view(values.data(), DType::f32, {10, 100})}};
  return save_checkpoint(
      checkpoints, step,
      {.weights = weights, .metadata = {{"mark", mark}}, .optimizer = optimizer, .state = {{"mark", mark}}});
}

/// The mark of a checkpoint; fails the test where its parts disagree.
float mark_of(const Checkpoint& checkpoint) {
  const auto mark = checkpoint.state.at("mark").get<float>();
  EXPECT_EQ(checkpoint.weights.metadata.at("mark").get<float>(), mark);
  for (const auto* file : {&checkpoint.weights, &checkpoint.optimizer}) {
    EXPECT_EQ(file->tensors.size(), 1u);
    for (const auto& tensor : file->tensors) {
      std::vector<float> values(tensor.bytes.size() / sizeof(float));
      std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
      EXPECT_TRUE(std::ranges::all_of(values, [&](float v) { return v == mark; }));
    }
  }
  return mark;
}

TEST(checkpoint, loads_what_was_saved) {
  const TemporaryFolder folder;
  const auto path = save(folder / "checkpoints", 1200, 3);
  EXPECT_EQ(path, folder / "checkpoints/step_00001200");
  EXPECT_THAT(names_in(path),
              ElementsAre("DONE", "optimizer.safetensors", "state.json", "weights.safetensors"));
  const auto checkpoint = load_checkpoint(path);
  EXPECT_EQ(checkpoint.step, 1200);
  EXPECT_EQ(mark_of(checkpoint), 3);
  ASSERT_NE(checkpoint.optimizer.find("w.moment"), nullptr);
  EXPECT_EQ(checkpoint.optimizer.find("w.moment")->shape, (Shape{10, 100}));
}

TEST(checkpoint, the_latest_is_the_complete_one_of_the_highest_step) {
  const TemporaryFolder folder;
  EXPECT_EQ(latest_checkpoint(folder / "checkpoints"), std::nullopt);
  EXPECT_EQ(latest_checkpoint(folder.path()), std::nullopt);
  for (const std::int64_t step : {7, 100000000, 99999999}) save(folder.path(), step, 1);
  EXPECT_EQ(latest_checkpoint(folder.path()), folder / "step_100000000");
  fs::remove(folder / "step_100000000/DONE");
  EXPECT_EQ(latest_checkpoint(folder.path()), folder / "step_99999999");
  for (const auto* name :
       {"step_999999999x", "step_9", "step_-9999999", "other_99999999", "step_99999999.partial"}) {
    make_directories(folder / name);
    write_file_atomically(folder / name / "DONE", "");
  }
  EXPECT_EQ(latest_checkpoint(folder.path()), folder / "step_99999999");
}

TEST(checkpoint, saving_a_step_again_replaces_it) {
  const TemporaryFolder folder;
  save(folder.path(), 5, 1);
  const auto path = save(folder.path(), 5, 2);
  EXPECT_EQ(mark_of(load_checkpoint(path)), 2);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("step_00000005"));
}

TEST(checkpoint, pruning_keeps_the_latest_and_removes_what_was_interrupted) {
  const TemporaryFolder folder;
  for (const std::int64_t step : {1, 2, 3, 4}) save(folder.path(), step, 1);
  fs::remove(folder / "step_00000003/DONE");
  make_directories(folder / "step_00000009.partial");
  make_directories(folder / "notes");
  make_directories(folder / "notes.partial");
  prune_checkpoints(folder.path(), 2);
  EXPECT_THAT(names_in(folder.path()),
              ElementsAre("notes", "notes.partial", "step_00000002", "step_00000004"));
  EXPECT_MESSAGE(prune_checkpoints(folder.path(), 0), UsageError, "keep at least 1, got 0");
}

TEST(checkpoint, a_failed_save_is_a_write_error_and_leaves_nothing_of_itself) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "");
  EXPECT_MESSAGE(save(folder / "file", 1, 1), WriteError, (folder / "file").string(), "Not a directory");

  save(folder / "checkpoints", 1, 1);
  const NamedView unsaveable[]{{"__metadata__", View{}}};
  EXPECT_THROW(save_checkpoint(folder / "checkpoints", 1,
                               {.weights = {}, .metadata = {}, .optimizer = unsaveable, .state = {}}),
               InternalError);
  EXPECT_THAT(names_in(folder / "checkpoints"), ElementsAre("step_00000001"));
  EXPECT_EQ(mark_of(load_checkpoint(folder / "checkpoints/step_00000001")), 1);
}

TEST(checkpoint, an_incomplete_damaged_or_renamed_one_is_a_data_error) {
  const TemporaryFolder folder;
  const auto path = save(folder.path(), 5, 1);
  EXPECT_MESSAGE(load_checkpoint(folder / "step_00000006"), DataError, "step_00000006",
                 "expected a complete checkpoint");
  fs::rename(path, folder / "step_00000006");
  EXPECT_MESSAGE(load_checkpoint(folder / "step_00000006"), DataError, "expected the state of step 6, got 5");
  fs::rename(folder / "step_00000006", path);

  write_file_atomically(path / "state.json", "{\"step\":");
  EXPECT_MESSAGE(load_checkpoint(path), DataError, "state.json", "expected JSON");
  write_file_atomically(path / "state.json", "[5]");
  EXPECT_MESSAGE(load_checkpoint(path), DataError, "state.json",
                 "expected the state of step 5, got no object");
  fs::remove(path / "optimizer.safetensors");
  EXPECT_MESSAGE(load_checkpoint(path), DataError, "optimizer.safetensors", "No such file");
  fs::remove(path / "DONE");
  EXPECT_MESSAGE(load_checkpoint(path), DataError, "expected a complete checkpoint");
}

/// What a training run does to its checkpoints, the awkward case included: the step it resumed from, again.
void save_and_prune(const fs::path& checkpoints) {
  save(checkpoints, 1, 2);
  for (std::int64_t step = 2; step <= 3; ++step) {
    save(checkpoints, step, static_cast<float>(step + 1));
    prune_checkpoints(checkpoints, 1);
  }
}

/// After a crash of save_and_prune, which began with step 1 marked 1.
void expect_consistent(const fs::path& checkpoints) {
  const auto latest = latest_checkpoint(checkpoints);
  ASSERT_TRUE(latest);
  const auto checkpoint = load_checkpoint(*latest);
  const auto mark = mark_of(checkpoint);
  EXPECT_TRUE(mark == checkpoint.step + 1 || (checkpoint.step == 1 && mark == 1))
      << "step " << checkpoint.step << " marked " << mark;
  // The next run clears up.
  save(checkpoints, 9, 9);
  prune_checkpoints(checkpoints, 1);
  EXPECT_THAT(names_in(checkpoints), ElementsAre("step_00000009"));
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

TEST(checkpoint, a_writer_killed_at_any_moment_leaves_a_consistent_one) {
  const TemporaryFolder folder(fast_parent());
  save(folder / "timed", 1, 1);
  const auto start = std::chrono::steady_clock::now();
  save_and_prune(folder / "timed");
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start;

  std::mt19937 random(1);
  std::uniform_real_distribution<double> part(0, 1.2);
  for (int round = 0; round < 200; ++round) {
    const auto checkpoints = folder / std::to_string(round);
    save(checkpoints, 1, 1);
    const pid_t writer = ::fork();
    if (writer == 0) {
      save_and_prune(checkpoints);
      ::_exit(0);
    }
    std::this_thread::sleep_for(part(random) * whole);
    ::kill(writer, SIGKILL);
    wait_for(writer);
    expect_consistent(checkpoints);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

/// Runs `work` in a child that is killed as it enters its `calls`-th system call; false where it ends before.
/// Empty where tracing is not allowed.
std::optional<bool> killed_at_call(int calls, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
    std::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  if (!WIFSTOPPED(wait_for(child))) return std::nullopt;
  // Each call stops the child twice, as it enters and as it leaves.
  for (int stop = 0; stop < 2 * calls - 1; ++stop) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (!WIFSTOPPED(wait_for(child))) return false;
  }
  ::kill(child, SIGKILL);
  wait_for(child);
  return true;
}

TEST(checkpoint, a_writer_killed_before_any_of_its_system_calls_leaves_a_consistent_one) {
  const TemporaryFolder folder(fast_parent());
  save(folder / "before", 1, 1);
  for (int calls = 1;; ++calls) {
    const auto checkpoints = folder / "checkpoints";
    fs::remove_all(checkpoints);
    fs::copy(folder / "before", checkpoints, fs::copy_options::recursive);
    const auto killed = killed_at_call(calls, [&] { save_and_prune(checkpoints); });
    if (!killed) GTEST_SKIP() << "needs the right to trace a child process";
    if (!*killed) {
      EXPECT_GT(calls, 50);
      return;
    }
    expect_consistent(checkpoints);
    if (HasFailure()) FAIL() << "killed before system call " << calls;
  }
}

}  // namespace
}  // namespace scrawl
