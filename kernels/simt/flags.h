#pragma once
/// Lanes of a launch together that wait for flags, whatever their block: one thread runs them all.

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace scrawl::simt {

class Block;

class Flags {
 public:
  struct Waiting {
    Block* block;
    int lane;
    std::uint32_t value;
  };

  void wait(const std::uint32_t* flag, const Waiting& waiting) { waiting_[flag].push_back(waiting); }

  /// Those that wait for this value or a lower one: they wait no more.
  std::vector<Waiting> raise(const std::uint32_t* flag, std::uint32_t value);

 private:
  std::unordered_map<const std::uint32_t*, std::vector<Waiting>> waiting_;
};

}  // namespace scrawl::simt
