#include "kernels/simt/block.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "kernels/error.h"
#include "kernels/simt/symbol.h"

namespace scrawl::simt {

namespace {

constexpr std::size_t page = 4096;

using boost::context::detail::jump_fcontext, boost::context::detail::make_fcontext,
    boost::context::detail::transfer_t;

/// "0-30, 33"
std::string ranges_of(const std::vector<int>& lanes) {
  std::string text;
  for (std::size_t i = 0; i < lanes.size();) {
    auto last = i;
    while (last + 1 < lanes.size() && lanes[last + 1] == lanes[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", lanes[i]);
    if (last > i) text += fmt::format("-{}", lanes[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

std::string to_string(const Site& site) {
  const std::string_view file(site.file);
  return fmt::format("{} at {}:{}", site.name, file.substr(file.rfind('/') + 1), site.line);
}

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::deadlock:
      return "deadlock";
    case Fault::divergence:
      return "divergence";
    case Fault::mask:
      return "mask";
    case Fault::bounds:
      return "bounds";
    case Fault::alignment:
      return "alignment";
    case Fault::undefined:
      return "undefined";
    case Fault::race:
      return "race";
    case Fault::argument:
      return "argument";
    case Fault::endless:
      return "endless";
  }
  return "?";
}

std::string Grid::refusal() const {
  if (blocks.x < 1 || blocks.y < 1 || blocks.z < 1 || blocks.x > 0x7fffffff || blocks.y > 65535 ||
      blocks.z > 65535)
    return fmt::format("expected a grid from 1 to 2147483647 x 65535 x 65535 blocks, got {} x {} x {}",
                       blocks.x, blocks.y, blocks.z);
  if (threads < 1 || threads > most_threads)
    return fmt::format("expected 1 to {} threads a block, got {}", most_threads, threads);
  if (shared_bytes > most_shared_bytes)
    return fmt::format("expected at most {} bytes of shared memory a block, got {}", most_shared_bytes,
                       shared_bytes);
  return "";
}

// ------------------------------------------------------------------------------------------------- stacks

Stacks::Stacks(int count) : count_(count), bytes_(static_cast<std::size_t>(count) * (stack_bytes + page)) {
  void* const range = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (range == MAP_FAILED) throw MemoryError("simt: no memory for the stacks of {} lanes", count);
  base_ = static_cast<std::byte*>(range);
  for (int lane = 0; lane < count; ++lane)
    if (mprotect(at(lane).data() - page, page, PROT_NONE) != 0) {
      munmap(base_, bytes_);
      throw MemoryError("simt: no guard pages for the stacks of {} lanes (vm.max_map_count?)", count);
    }
}

Stacks::~Stacks() { munmap(base_, bytes_); }

std::span<std::byte> Stacks::at(int lane) const {
  return {base_ + static_cast<std::size_t>(lane) * (stack_bytes + page) + page, stack_bytes};
}

bool Stacks::holds(const void* address) const {
  return static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_) < bytes_;
}

// -------------------------------------------------------------------------------------------------- block

Block::Block(const Launch& launch, std::uint64_t number, Stacks& stacks, std::byte* shared)
    : memory_(launch.memory),
      grid_(launch.grid),
      number_(number),
      index_{static_cast<unsigned>(number % grid_.blocks.x),
             static_cast<unsigned>(number / grid_.blocks.x % grid_.blocks.y),
             static_cast<unsigned>(number / grid_.blocks.x / grid_.blocks.y)},
      schedule_(launch.schedule),
      stacks_(stacks),
      shared_(shared),
      gatherings_(static_cast<std::size_t>((grid_.threads + warp_lanes - 1) / warp_lanes)),
      races_(launch.races),
      flags_(launch.flags),
      lanes_(static_cast<std::size_t>(grid_.threads)) {
  known_visits_.fill(-1);
  std::seed_seq seed{schedule_.seed, schedule_.seed >> 32, std::uint64_t{index_.x}, std::uint64_t{index_.y},
                     std::uint64_t{index_.z}};
  random_.seed(seed);
  keep_ = static_cast<Keep>(schedule_.seed % 3);
  if (grid_.shared_bytes > 0) memory_.poison(shared_, grid_.shared_bytes);
  if (races_) races_->begin_block(number_, grid_.threads, {shared_, grid_.shared_bytes});
  for (int lane = 0; lane < grid_.threads; ++lane) {
    const auto stack = stacks_.at(lane);
    lanes_[static_cast<std::size_t>(lane)].context =
        make_fcontext(stack.data() + stack.size(), stack.size(), enter);
    draw_priority(lane);
    make_ready(lane);
  }
}

constinit thread_local Block* Block::running_ = nullptr;

bool Block::run(std::uint64_t turns) {
  struct Running {
    explicit Running(Block* block) { running_ = block; }
    ~Running() { running_ = nullptr; }
  } const running(this);
  for (; !failed_ && turns > 0 && !ready_.empty(); --turns) {
    current_ = take_next();
    own_stack_ = stacks_.at(current_).data();
    draw_turn();
    if (++turns_ > schedule_.most_turns) {
      failed_ = true;
      report_ = endless();
      break;
    }
    auto& lane = lanes_[static_cast<std::size_t>(current_)];
    lane.context = jump_fcontext(lane.context, this).fctx;
  }
  return !failed_;
}

void Block::enter(transfer_t from) {
  auto& block = *static_cast<Block*>(from.data);
  block.scheduler_ = from.fctx;
  block.quiet_ = false;
  block.grid_.lane(block.grid_.call.data());
  block.quiet_ = true;
  block.end_lane();
}

void Block::end_lane() {
  lanes_[static_cast<std::size_t>(current_)].waits = Waits::returned;
  ++ended_;
  if (at_barrier_ > 0)
    fail(Fault::divergence,
         fmt::format("it has returned, and {} lanes wait for it in a barrier of the block", at_barrier_));
  const int self = current_ % warp_lanes, first = current_ - self;
  for (int lane = first; lane < std::min(first + warp_lanes, grid_.threads); ++lane) {
    const auto& other = lanes_[static_cast<std::size_t>(lane)];
    if (other.waits == Waits::for_warp && other.meeting->mask >> self & 1)
      fail(Fault::mask, fmt::format("it has returned, and lane {} waits for it in {} with mask {:08x}", lane,
                                    to_string(other.meeting->site), other.meeting->mask));
  }
  switch_to_scheduler();
}

void Block::switch_to_scheduler() { scheduler_ = jump_fcontext(scheduler_, nullptr).fctx; }

void Block::draw_turn() {
  const auto mean = static_cast<unsigned>(schedule_.accesses_per_turn);
  accesses_left_ = mean == 0 ? -1 : static_cast<int>(1 + random_() % (2 * mean));
}

void Block::draw_priority(int lane) {
  const auto warp = std::uint64_t{random_()} << 32;
  const int first = lane / warp_lanes * warp_lanes;
  auto& priority = lanes_[static_cast<std::size_t>(lane)].priority;
  priority = random_();
  if (keep_ == Keep::warps)
    priority |= lane == first ? warp : lanes_[static_cast<std::size_t>(first)].priority >> 32 << 32;
}

/// Where nobody keeps a priority, any lane may be next, and the heap is a list.
int Block::take_next() {
  if (keep_ == Keep::nothing)
    std::swap(ready_[random_() % ready_.size()], ready_.back());
  else
    std::pop_heap(ready_.begin(), ready_.end());
  const int lane = ready_.back().lane;
  ready_.pop_back();
  return lane;
}

void Block::make_ready(int lane) {
  if (keep_ == Keep::nothing) {
    ready_.push_back({0, lane});
    return;
  }
  if (random_() % 64 == 0) draw_priority(lane);
  ready_.push_back({lanes_[static_cast<std::size_t>(lane)].priority, lane});
  std::push_heap(ready_.begin(), ready_.end());
}

void Block::end_turn() {
  move_some_copy();
  make_ready(current_);
  switch_to_scheduler();
}

void Block::wait(Waits what, const Site& site) {
  auto& lane = lanes_[static_cast<std::size_t>(current_)];
  lane.waits = what;
  lane.site = &site;
  switch_to_scheduler();
}

void Block::wake(int lane) {
  lanes_[static_cast<std::size_t>(lane)].waits = Waits::no;
  make_ready(lane);
}

void Block::visit(const Site& site) {
  const auto hash = (site.line * 31 + site.name.size()) % known_visits_.size();
  auto& known = known_visits_[hash];
  if (known < 0 || !(visits_[static_cast<std::size_t>(known)].site == site)) {
    const auto found = std::ranges::find(visits_, site, &Visits::site);
    known = static_cast<int>(found - visits_.begin());
    if (found == visits_.end())
      visits_.push_back({site, std::vector<std::uint32_t>(static_cast<std::size_t>(grid_.threads))});
  }
  ++visits_[static_cast<std::size_t>(known)].of_lane[static_cast<std::size_t>(current_)];
}

/// Notes the visit, and says whether a mutant leaves the site out.
bool Block::is_left_out(const Site& site) {
  visit(site);
  const auto chosen = static_cast<int>(schedule_.seed % static_cast<std::uint64_t>(grid_.threads));
  return (schedule_.without && *schedule_.without == site) ||
         (schedule_.divergent && current_ == chosen && *schedule_.divergent == site);
}

void Block::sync(const Site& site) {
  const Quiet quiet(*this);
  if (is_left_out(site)) return;
  if (ended_ > 0)
    fail(Fault::divergence, fmt::format("{}: {} lanes of the block have returned", to_string(site), ended_));
  if (++at_barrier_ < grid_.threads) return wait(Waits::for_block, site);
  at_barrier_ = 0;
  for (int lane = 0; lane < grid_.threads; ++lane) {
    if (lane == current_) continue;
    const auto& other = lanes_[static_cast<std::size_t>(lane)];
    if (!(*other.site == site))
      fail(Fault::divergence,
           fmt::format("lane {} is in {}, this one in {}", lane, to_string(*other.site), to_string(site)));
    wake(lane);
  }
  if (races_) {
    std::vector<int> all(static_cast<std::size_t>(grid_.threads));
    std::iota(all.begin(), all.end(), 0);
    races_->meet(number_, all);
  }
  end_turn();
}

void Block::sync_named(int number, int threads, const Site& site) {
  const Quiet quiet(*this);
  if (is_left_out(site)) return;
  if (number < 1 || number >= static_cast<int>(barriers_.size()))
    fail(Fault::argument, fmt::format("{}: expected a barrier from 1 to {}, got {}", to_string(site),
                                      barriers_.size() - 1, number));
  if (threads < 1 || threads % warp_lanes != 0 || threads > grid_.threads)
    fail(Fault::argument, fmt::format("{}: expected whole warps of a block of {} lanes, got {} lanes",
                                      to_string(site), grid_.threads, threads));
  auto& barrier = barriers_[static_cast<std::size_t>(number)];
  if (!barrier.here.empty()) {
    const auto& other = *lanes_[static_cast<std::size_t>(barrier.here.front())].site;
    if (barrier.threads != threads || !(other == site))
      fail(Fault::divergence,
           fmt::format("barrier {}: lane {} is in {} for {} lanes, this one in {} for {}", number,
                       barrier.here.front(), to_string(other), barrier.threads, to_string(site), threads));
  }
  barrier.threads = threads;
  barrier.here.push_back(current_);
  if (static_cast<int>(barrier.here.size()) < threads) return wait(Waits::for_some, site);
  const auto met = std::exchange(barrier.here, {});
  for (const int lane : met)
    if (std::ranges::count(met, lane / warp_lanes, [](int other) { return other / warp_lanes; }) !=
        warp_lanes)
      fail(Fault::divergence, fmt::format("{}: expected whole warps, got a part of warp {}", to_string(site),
                                          lane / warp_lanes));
  for (const int lane : met)
    if (lane != current_) wake(lane);
  if (races_) races_->meet(number_, met);
  end_turn();
}

void Block::meet(const Meeting& meeting) {
  const Quiet quiet(*this);
  const int self = current_ % warp_lanes, first = current_ - self;
  const int lanes = std::min(warp_lanes, grid_.threads - first);
  const auto& site = meeting.site;
  if (is_left_out(site)) return;
  auto& own = lanes_[static_cast<std::size_t>(current_)];
  own.meeting = &meeting;
  const auto bit = std::uint32_t{1} << self;
  auto& gathering = gatherings_[static_cast<std::size_t>(current_ / warp_lanes)];
  // Whoever comes to what others wait in has been looked for by them.
  if (gathering.here != 0 && (meeting.mask & bit) && gathering.meeting->mask == meeting.mask &&
      gathering.meeting->site == site) {
    gathering.here |= bit;
    if (gathering.here != meeting.mask) return wait(Waits::for_warp, site);
    gathering.here = 0;
    return complete(meeting, meeting.mask);
  }
  if (!(meeting.mask & bit))
    fail(Fault::mask,
         fmt::format("{}: mask {:08x} leaves out the calling lane", to_string(site), meeting.mask));
  if (lanes < warp_lanes && meeting.mask >> lanes != 0)
    fail(Fault::mask, fmt::format("{}: mask {:08x} names lanes that the block does not have", to_string(site),
                                  meeting.mask));
  auto here = bit;
  for (int i = 0; i < lanes; ++i) {
    if (i == self || !(meeting.mask >> i & 1)) continue;
    const auto& other = lanes_[static_cast<std::size_t>(first + i)];
    if (other.waits == Waits::returned)
      fail(Fault::mask, fmt::format("{}: mask {:08x} names lane {} of the warp, which has returned",
                                    to_string(site), meeting.mask, i));
    const bool is_here =
        other.waits == Waits::for_warp && other.meeting->mask == meeting.mask && other.meeting->site == site;
    if (other.waits == Waits::for_warp && !is_here && (other.meeting->mask & bit))
      fail(
          Fault::divergence,
          fmt::format("{} with mask {:08x}: lane {} of the warp waits for this one in {} with mask {:08x}",
                      to_string(site), meeting.mask, i, to_string(other.meeting->site), other.meeting->mask));
    if (is_here) here |= std::uint32_t{1} << i;
  }
  if (here == meeting.mask) return complete(meeting, here);
  if (gathering.here == 0) gathering = {here, &meeting};
  wait(Waits::for_warp, site);
}

/// All lanes of a meeting are there.
void Block::complete(const Meeting& meeting, std::uint32_t here) {
  const int first = current_ / warp_lanes * warp_lanes;
  std::array<void*, warp_lanes> slots{};
  std::vector<int> met;
  for (int i = 0; i < warp_lanes; ++i) {
    if (!(here >> i & 1)) continue;
    slots[static_cast<std::size_t>(i)] = lanes_[static_cast<std::size_t>(first + i)].meeting->slot;
    if (races_) met.push_back(first + i);
  }
  meeting.work(slots, here);
  for (int i = 0; i < warp_lanes; ++i)
    if (here >> i & 1 && first + i != current_) wake(first + i);
  if (races_ && meeting.orders == Meeting::Orders::memory) races_->meet(number_, met);
  end_turn();
}

// ------------------------------------------------------------------------------------------------- reports

void Block::fail(Fault fault, const std::string& what) {
  failed_ = true;
  report_ = {fault, fmt::format("{}: block ({}, {}, {}), lane {}: {}: {} (seed {})", grid_.kernel, index_.x,
                                index_.y, index_.z, current_, name_of(fault), what, schedule_.seed)};
  switch_to_scheduler();
  __builtin_unreachable();
}

Report Block::endless() const {
  return {Fault::endless,
          fmt::format("{}: block ({}, {}, {}): endless: it still runs after {} turns (seed {})", grid_.kernel,
                      index_.x, index_.y, index_.z, schedule_.most_turns, schedule_.seed)};
}

std::string Block::places() const {
  std::map<std::string, std::vector<int>> by_place;
  for (int i = 0; i < grid_.threads; ++i) {
    const auto& lane = lanes_[static_cast<std::size_t>(i)];
    auto place = lane.waits == Waits::returned ? std::string("returned") : "in " + to_string(*lane.site);
    if (lane.waits == Waits::for_warp) place += fmt::format(" with mask {:08x}", lane.meeting->mask);
    if (lane.waits == Waits::for_flag)
      place += fmt::format(" for {}, and the flag is {}", lane.flag_value, *lane.flag);
    by_place[place].push_back(i);
  }
  std::string places;
  for (const auto& [place, lanes] : by_place)
    places += fmt::format("{}lanes {}: {}", places.empty() ? "" : "; ", ranges_of(lanes), place);
  return fmt::format("block ({}, {}, {}): {}", index_.x, index_.y, index_.z, places);
}

}  // namespace scrawl::simt
