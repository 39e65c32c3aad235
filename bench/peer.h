#pragma once
/// Another implementation in another process, timed on request, so that its samples can alternate with ours.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace scrawl::bench {

/// A child process that answers timing requests, one JSON object a line, on its standard input and output:
///
///   <- {"ready": true, ...}
///   -> {"name": "conv2d.forward[...]", "repeat": 1}
///   <- {"name": "conv2d.forward[...]", "us": [103.5]}   or   {"error": "why not"}
///
/// `bench/peers/serve.py` is one. Its input closes with this object, and it is then expected to end.
class PeerProcess {
 public:
  /// Starts `command` (looked up in PATH) and waits until it is ready. Throws UsageError if it does not
  /// start.
  explicit PeerProcess(const std::vector<std::string>& command);
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  /// Microseconds of one run of the named work, which the peer sets up and warms up at its first mention. So
  /// many untimed runs come first: after a pause, threads sleep and caches are cold. Throws UsageError with
  /// the peer's words if it refuses, and if it has ended.
  double sample_us(std::string_view name, int untimed = 0);

  /// Builds the named work, of a network with the weights and the batch of a safetensors file, and gives the
  /// loss that it finds. Throws UsageError as above.
  double loss_like(std::string_view name, const std::filesystem::path& weights);

  /// Lets go of all that was built, and of its memory.
  void forget();

  const std::string& greeting() const { return greeting_; }  ///< its first line, with the versions it runs

 private:
  std::string read_line();
  std::string ask(std::string_view name, const std::string& request);

  std::string command_;
  pid_t pid_ = -1;
  int socket_ = -1;
  std::string received_;  // beyond the last line read
  std::string greeting_;
};

}  // namespace scrawl::bench
