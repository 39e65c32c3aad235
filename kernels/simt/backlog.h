#pragma once
/// Work that waits to be run, and what must be done before it. Nothing runs until it is asked for. What runs
/// next, among all that could, is drawn from the seed: what nothing orders is reordered.

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace scrawl::simt {

class Backlog {
 public:
  /// Of a piece of work; never given out twice. 0 is work that was always done.
  using Id = std::uint64_t;

  explicit Backlog(std::uint64_t seed);

  Id add(std::function<void()> work, const std::vector<Id>& after);
  bool is_done(Id id) const { return !works_.contains(id); }
  std::uint64_t ran() const { return ran_; }  ///< how much work has run

  void finish(Id);    ///< runs it, what it needs and, by draw, some of the others
  void finish_all();  ///< runs everything
  void run_some();    ///< by draw, some; often nothing
  /// Forgets everything that waits, which counts as done. Work may call it.
  void drop();

 private:
  /// Which of those that could run next do, as a rule.
  enum class Prefer : std::uint8_t { any, oldest, newest };
  struct Work {
    std::function<void()> run;
    int waits_for = 0;
    std::vector<Id> after, followers;
  };

  bool draw();
  std::set<Id> needs_of(Id) const;
  void run_one_of(const std::vector<Id>&);

  std::mt19937_64 random_;
  Prefer prefer_;
  unsigned eagerness_;  ///< out of 16 draws, those in which something runs that nobody asked for
  Id count_ = 0;
  std::uint64_t ran_ = 0;
  std::map<Id, Work> works_;
  std::vector<Id> ready_;  ///< those that could run, oldest first
};

}  // namespace scrawl::simt
