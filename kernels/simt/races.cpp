#include "kernels/simt/races.h"

#include <algorithm>

namespace scrawl::simt {

// ------------------------------------------------------------------------------------------------- clocks

void Races::join(Clocks& into, const Clocks& from) {
  into.resize(std::max(into.size(), from.size()));
  for (std::size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

void Races::join(std::shared_ptr<const Clocks>& into, const std::shared_ptr<const Clocks>& from) {
  if (into == from || !from) return;
  auto joined = into ? std::make_shared<Clocks>(*into) : std::make_shared<Clocks>();
  join(*joined, *from);
  into = std::move(joined);
}

void Races::join(std::shared_ptr<const Others>& into, const std::shared_ptr<const Others>& from) {
  if (into == from || !from) return;
  auto joined = into ? std::make_shared<Others>(*into) : std::make_shared<Others>();
  joined->resize(std::max(joined->size(), from->size()));
  for (std::size_t block = 0; block < from->size(); ++block) join((*joined)[block], (*from)[block]);
  into = std::move(joined);
}

void Races::begin_block(std::uint64_t block, int threads, std::span<const std::byte> shared) {
  if (residency_ == Residency::apart) teams_.clear();
  const auto count = static_cast<std::size_t>(threads);
  auto& team = teams_[block];
  team.assign(count, {Clocks(count), nullptr});
  for (std::size_t lane = 0; lane < count; ++lane) team[lane].own[lane] = 1;
  for (const auto& byte : shared) histories_.erase(&byte);
}

void Races::meet(std::uint64_t block, std::span<const int> lanes) {
  auto& team = teams_[block];
  Knowledge joined{Clocks(team.size()), nullptr};
  for (const int lane : lanes) {
    const auto& knowledge = team[static_cast<std::size_t>(lane)];
    join(joined.own, knowledge.own);
    join(joined.others, knowledge.others);
  }
  for (const int lane : lanes) {
    auto& knowledge = team[static_cast<std::size_t>(lane)];
    knowledge = joined;
    ++knowledge.own[static_cast<std::size_t>(lane)];
  }
}

Races::Event Races::event(const Access& access, Kind kind) {
  return {access, of(access.by).own[static_cast<std::size_t>(access.by.lane)], kind};
}

bool Races::is_ordered(const Event& earlier, const LaneOf& by) {
  const auto& [block, lane] = earlier.access.by;
  const auto& knowledge = of(by);
  const auto at = static_cast<std::size_t>(lane);
  if (block == by.block) return knowledge.own[at] >= earlier.clock;
  if (!knowledge.others || block >= knowledge.others->size()) return false;
  const auto& known = (*knowledge.others)[block];
  return known && known->at(at) >= earlier.clock;
}

// ----------------------------------------------------------------------------------------------- accesses

std::optional<Races::Access> Races::read(const void* address, std::size_t bytes, const Access& access,
                                         Kind kind) {
  const auto now = event(access, kind);
  const auto* const first = static_cast<const std::byte*>(address);
  for (const auto* byte = first; byte < first + bytes; ++byte) {
    auto& [write, reads] = histories_[byte];
    const bool are_flags = write && write->kind == Kind::flag && kind == Kind::flag;
    if (write && !are_flags && !is_ordered(*write, access.by)) return write->access;
    // What is ordered after this read is ordered after those before it.
    std::erase_if(
        reads, [&](const Event& earlier) { return earlier.kind == kind && is_ordered(earlier, access.by); });
    reads.push_back(now);
  }
  return std::nullopt;
}

std::optional<Races::Access> Races::write(const void* address, std::size_t bytes, const Access& access,
                                          Kind kind) {
  const auto now = event(access, kind);
  const auto* const first = static_cast<const std::byte*>(address);
  for (const auto* byte = first; byte < first + bytes; ++byte) {
    auto& [write, reads] = histories_[byte];
    if (write && !is_ordered(*write, access.by)) return write->access;
    for (const auto& read : reads)
      if (!(read.kind == Kind::flag && kind == Kind::flag) && !is_ordered(read, access.by))
        return read.access;
    std::erase_if(reads, [&](const Event& read) { return is_ordered(read, access.by); });
    write = now;
  }
  return std::nullopt;
}

std::optional<Races::Access> Races::read(const void* address, std::size_t bytes, const Access& access) {
  return read(address, bytes, access, Kind::plain);
}

std::optional<Races::Access> Races::write(const void* address, std::size_t bytes, const Access& access) {
  return write(address, bytes, access, Kind::plain);
}

// -------------------------------------------------------------------------------------------------- flags

std::optional<Races::Access> Races::raise(const std::uint32_t* flag, std::uint32_t value,
                                          const Access& access) {
  if (const auto earlier = write(flag, sizeof *flag, access, Kind::flag)) return earlier;
  auto& knowledge = of(access.by);
  auto& raises = raises_[flag];
  if (raises.empty()) raises.push_back({*flag, access.by.block, {}});  // before the launch: orders nothing
  raises.push_back({value, access.by.block, knowledge});
  ++knowledge.own[static_cast<std::size_t>(access.by.lane)];  // what comes now, no wait has seen
  return std::nullopt;
}

std::optional<Races::Access> Races::wait(const std::uint32_t* flag, std::uint32_t value,
                                         const Access& access) {
  if (const auto earlier = read(flag, sizeof *flag, access, Kind::flag)) return earlier;
  const auto& raises = raises_[flag];
  const auto raise = std::ranges::lower_bound(raises, value, {}, &Raise::value);
  // Nobody raised it in this launch, or not for this wait.
  if (raise == raises.end() || raise->knowledge.own.empty()) return std::nullopt;
  auto& knowledge = of(access.by);
  const auto own = access.by.block;
  // Flags among lanes of one block order them, too.
  if (raise->block == own) {
    join(knowledge.own, raise->knowledge.own);
    join(knowledge.others, raise->knowledge.others);
    return std::nullopt;
  }
  Others theirs;
  if (raise->knowledge.others) theirs = *raise->knowledge.others;
  theirs.resize(std::max<std::size_t>(theirs.size(), raise->block + 1));
  theirs[raise->block] = std::make_shared<Clocks>(raise->knowledge.own);
  if (own < theirs.size() && theirs[own]) join(knowledge.own, *theirs[own]);
  join(knowledge.others, std::make_shared<const Others>(std::move(theirs)));
  return std::nullopt;
}

}  // namespace scrawl::simt
