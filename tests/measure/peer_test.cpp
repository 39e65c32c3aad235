#include "bench/peer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/measure.h"
#include "kernels/error.h"

namespace scrawl::bench {
namespace {

/// A peer written in shell: greets, then runs `body` for each request line $r.
std::vector<std::string> shell(const std::string& body) {
  return {"/bin/sh", "-c", "echo '{\"ready\": true}'; while read -r r; do " + body + "; done"};
}

TEST(peer, answers_are_its_samples) {
  PeerProcess peer(
      shell(R"(case "$r" in *'"softmax[K=3]"'*) echo '{"us": [12.5]}';; *) echo '{"us": [1]}';; esac)"));
  EXPECT_EQ(peer.greeting(), R"({"ready": true})");
  EXPECT_DOUBLE_EQ(peer.sample_us("softmax[K=3]"), 12.5);
  EXPECT_DOUBLE_EQ(peer.sample_us("gemm[M=1]"), 1);
}

TEST(peer, untimed_runs_come_before_the_sample) {
  PeerProcess peer(
      shell(R"(case "$r" in *'"repeat":3'*) echo '{"us": [9, 8, 7]}';; *) echo '{"us": []}';; esac)"));
  EXPECT_DOUBLE_EQ(peer.sample_us("x[]", 2), 7);
  EXPECT_THROW(peer.sample_us("x[]", 1), UsageError);
}

TEST(peer, finds_the_loss_of_a_network_like_ours) {
  PeerProcess peer(shell(
      R"(case "$r" in *'"like":"/w.safetensors"'*) echo '{"us": [9], "loss": 2.5}';; *) echo '{"us": [9]}';; esac)"));
  EXPECT_DOUBLE_EQ(peer.loss_like("x[]", "/w.safetensors"), 2.5);
  EXPECT_THROW(peer.loss_like("x[]", "/other"), UsageError) << "an answer without a loss is no loss";
}

TEST(peer, alternates_with_ours) {
  PeerProcess process(shell(R"(echo '{"us": [30]}')"));
  const Peer peers[] = {{"shell", [&] { return process.sample_us("x[]"); }}};
  const Comparison c = compare([] { return 10.0; }, peers, {.least = 3, .most = 3});
  EXPECT_EQ(c.peer, "shell");
  EXPECT_DOUBLE_EQ(c.ratio.median, 3);
}

TEST(peer, a_refusal_is_an_error_with_its_words) {
  PeerProcess peer(shell(R"(echo '{"error": "no such kernel"}')"));
  try {
    peer.sample_us("x[]");
    FAIL() << "expected UsageError";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("no such kernel"));
  }
}

TEST(peer, an_answer_that_is_no_json_is_an_error) {
  PeerProcess peer(shell("echo hello"));
  EXPECT_THROW(peer.sample_us("x[]"), UsageError);
}

TEST(peer, one_that_ends_is_an_error_of_the_call) {
  PeerProcess peer(shell("exit 0"));
  EXPECT_THROW(peer.sample_us("x[]"), UsageError);
  EXPECT_THROW(peer.sample_us("x[]"), UsageError);
}

TEST(peer, a_program_that_does_not_exist_is_an_error) {
  EXPECT_THROW(PeerProcess({"/nonexistent/python"}), UsageError);
}

TEST(peer, a_program_that_says_nothing_is_an_error) { EXPECT_THROW(PeerProcess({"/bin/true"}), UsageError); }

}  // namespace
}  // namespace scrawl::bench
