#include "kernels/simt/backlog.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace scrawl::simt {

Backlog::Backlog(std::uint64_t seed)
    : random_(seed),
      prefer_(static_cast<Prefer>(seed / 3 % 3)),
      eagerness_(std::array{1u, 4u, 12u}[seed % 3]) {}

Backlog::Id Backlog::add(std::function<void()> run, const std::vector<Id>& after) {
  const Id id = ++count_;
  auto& work = works_[id];
  work.run = std::move(run);
  for (const auto before : std::set(after.begin(), after.end())) {
    const auto found = works_.find(before);
    if (found == works_.end()) continue;
    found->second.followers.push_back(id);
    work.after.push_back(before);
    ++work.waits_for;
  }
  if (work.waits_for == 0) ready_.push_back(id);
  return id;
}

bool Backlog::draw() { return random_() % 16 < eagerness_; }

void Backlog::run_one_of(const std::vector<Id>& candidates) {
  auto at = random_() % candidates.size();
  if (prefer_ != Prefer::any && random_() % 8 != 0)
    at = prefer_ == Prefer::oldest ? 0 : candidates.size() - 1;
  const Id id = candidates[at];
  std::erase(ready_, id);
  const auto run = std::exchange(works_.at(id).run, nullptr);
  ++ran_;
  run();
  const auto done = works_.extract(id);
  if (!done) return;  // it dropped everything
  for (const auto follower : done.mapped().followers)
    if (--works_.at(follower).waits_for == 0)
      ready_.insert(std::ranges::upper_bound(ready_, follower), follower);
}

std::set<Backlog::Id> Backlog::needs_of(Id id) const {
  std::set<Id> needs;
  for (std::vector<Id> open{id}; !open.empty();) {
    const Id next = open.back();
    open.pop_back();
    const auto found = works_.find(next);
    if (found == works_.end() || !needs.insert(next).second) continue;
    open.insert(open.end(), found->second.after.begin(), found->second.after.end());
  }
  return needs;
}

void Backlog::finish(Id id) {
  const auto needs = needs_of(id);
  while (!is_done(id)) {
    std::vector<Id> candidates;
    std::ranges::copy_if(ready_, std::back_inserter(candidates), [&](Id i) { return needs.contains(i); });
    run_one_of(draw() ? ready_ : candidates);
  }
}

void Backlog::finish_all() {
  while (!ready_.empty()) run_one_of(ready_);
}

void Backlog::run_some() {
  while (!ready_.empty() && draw()) run_one_of(ready_);
}

void Backlog::drop() {
  works_.clear();
  ready_.clear();
}

}  // namespace scrawl::simt
