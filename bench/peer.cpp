#include "bench/peer.h"

#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace scrawl::bench {
namespace {

/// Starts a command whose standard input and output are `fd`.
pid_t spawn(const std::vector<std::string>& command, int fd) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
  pid_t pid = -1;
  const int failure = posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw UsageError("peer: cannot start {}: {}", command[0], std::strerror(failure));
  return pid;
}

}  // namespace

PeerProcess::PeerProcess(const std::vector<std::string>& command) {
  if (command.empty()) throw UsageError("peer: expected a command, got none");
  command_ = fmt::format("{}", fmt::join(command, " "));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw UsageError("peer: no socket: {}", std::strerror(errno));
  }
  socket_ = ends[0];
  try {
    pid_ = spawn(command, ends[1]);
    close(ends[1]);
    greeting_ = read_line();
  } catch (...) {
    if (pid_ < 0) close(ends[1]);
    close(socket_);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    throw;
  }
}

PeerProcess::~PeerProcess() {
  close(socket_);
  waitpid(pid_, nullptr, 0);
}

std::string PeerProcess::ask(std::string_view name, const std::string& request) {
  const auto line = request + "\n";
  // MSG_NOSIGNAL: a peer that has ended is an error of this call, not the end of this process.
  if (send(socket_, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
    throw UsageError("peer {}: {}: {}", command_, name, std::strerror(errno));
  return read_line();
}

double PeerProcess::sample_us(std::string_view name, int untimed) {
  const auto repeat = static_cast<std::size_t>(untimed) + 1;
  const std::string line = ask(name, nlohmann::json{{"name", name}, {"repeat", repeat}}.dump());
  const auto answer = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto us = answer.is_object() ? answer.find("us") : answer.end();
  if (us == answer.end() || !us->is_array() || us->size() != repeat || !us->back().is_number()) {
    throw UsageError("peer {}: {}: expected {} times, got {}", command_, name, repeat, line);
  }
  return us->back().get<double>();
}

double PeerProcess::loss_like(std::string_view name, const std::filesystem::path& weights) {
  const auto line = ask(name, nlohmann::json{{"name", name}, {"like", weights.string()}}.dump());
  const auto answer = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto loss = answer.is_object() ? answer.find("loss") : answer.end();
  if (loss == answer.end() || !loss->is_number())
    throw UsageError("peer {}: {}: expected a loss, got {}", command_, name, line);
  return loss->get<double>();
}

void PeerProcess::forget() { (void)ask("forget", nlohmann::json{{"forget", true}}.dump()); }

std::string PeerProcess::read_line() {
  for (;;) {
    if (const auto end = received_.find('\n'); end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      return line;
    }
    char block[4096];
    const ssize_t count = recv(socket_, block, sizeof block, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw UsageError("peer {}: expected an answer, but it has ended", command_);
    received_.append(block, static_cast<std::size_t>(count));
  }
}

}  // namespace scrawl::bench
