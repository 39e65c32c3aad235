#include "kernels/simt/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "kernels/simt/block.h"

namespace scrawl::simt {

std::vector<Flags::Waiting> Flags::raise(const std::uint32_t* flag, std::uint32_t value) {
  const auto found = waiting_.find(flag);
  if (found == waiting_.end()) return {};
  auto& all = found->second;
  const auto reached =
      std::ranges::stable_partition(all, [&](const Waiting& waiting) { return waiting.value > value; });
  std::vector<Waiting> woken(reached.begin(), reached.end());
  all.erase(reached.begin(), reached.end());
  return woken;
}

void Block::check_flag(const std::uint32_t* flag, Access access, const Site& site, const void* instruction) {
  if (reinterpret_cast<std::uintptr_t>(flag) % sizeof *flag != 0)
    fail(Fault::alignment, fmt::format("{}: a flag at an address that is no multiple of 4", to_string(site)));
  const auto* const at = reinterpret_cast<const std::byte*>(flag);
  if (!memory_.holds(flag) || (at >= shared_ && at < shared_ + grid_.shared_bytes))
    fail(Fault::bounds, fmt::format("{}: expected a flag in global memory", to_string(site)));
  check_state(flag, sizeof *flag, Access::read, instruction);
  if (access == Access::write) check_state(flag, sizeof *flag, Access::write, instruction);
}

void Block::raise_flag(std::uint32_t* flag, std::uint32_t value, const Site& site, const void* instruction) {
  const Quiet quiet(*this);
  if (is_left_out(site)) return;
  end_turn();  // others may go on before it is raised, and after
  check_flag(flag, Access::write, site, instruction);
  if (races_)
    if (const auto earlier = races_->raise(flag, value, race_access(instruction)))
      fail_race(describe(flag, sizeof *flag, Access::write, instruction), *earlier);
  if (value <= *flag)
    fail(Fault::argument, fmt::format("{}: expected a value above {}, which the flag is, got {}",
                                      to_string(site), *flag, value));
  *flag = value;
  if (flags_)
    for (const auto& waiting : flags_->raise(flag, value)) waiting.block->wake(waiting.lane);
  end_turn();
}

void Block::wait_flag(const std::uint32_t* flag, std::uint32_t value, const Site& site,
                      const void* instruction) {
  const Quiet quiet(*this);
  if (is_left_out(site)) return;
  if (!flags_)
    fail(Fault::deadlock, fmt::format("{}: the launch is not together: whoever raises the flag may have to "
                                      "wait until this block has ended",
                                      to_string(site)));
  check_flag(flag, Access::read, site, instruction);
  if (*flag < value) {
    auto& lane = lanes_[static_cast<std::size_t>(current_)];
    lane.flag = flag;
    lane.flag_value = value;
    flags_->wait(flag, {this, current_, value});
    wait(Waits::for_flag, site);
  }
  if (races_)
    if (const auto earlier = races_->wait(flag, value, race_access(instruction)))
      fail_race(describe(flag, sizeof *flag, Access::read, instruction), *earlier);
}

}  // namespace scrawl::simt
