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

extern "C" {
extern const char __executable_start[], end[];  // of the program's image, by the linker
}

namespace scrawl::simt {

namespace {

constexpr std::size_t page = 4096;

using boost::context::detail::jump_fcontext, boost::context::detail::make_fcontext,
    boost::context::detail::transfer_t;

bool in_program(const void* address) {
  const auto* const at = static_cast<const char*>(address);
  return at >= __executable_start && at < end;
}

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

Block::Block(AddressSpace& memory, const Grid& grid, Dim index, const Schedule& schedule, Stacks& stacks,
             std::byte* shared, Races* races)
    : memory_(memory),
      grid_(grid),
      index_(index),
      schedule_(schedule),
      stacks_(stacks),
      shared_(shared),
      gatherings_(static_cast<std::size_t>((grid.threads + warp_lanes - 1) / warp_lanes)),
      races_(races),
      lanes_(static_cast<std::size_t>(grid.threads)) {
  known_visits_.fill(-1);
  std::seed_seq seed{schedule.seed, schedule.seed >> 32, std::uint64_t{index.x}, std::uint64_t{index.y},
                     std::uint64_t{index.z}};
  random_.seed(seed);
  keep_ = static_cast<Keep>(schedule.seed % 3);
  if (grid.shared_bytes > 0) memory_.poison(shared_, grid.shared_bytes);
  if (races_)
    races_->begin_block((std::uint64_t{index.z} * grid.blocks.y + index.y) * grid.blocks.x + index.x,
                        grid.threads, {shared_, grid.shared_bytes});
}

constinit thread_local Block* Block::running_ = nullptr;

/// While it lives, code of the machine runs for a lane.
class Block::Quiet {
 public:
  explicit Quiet(Block& block) : block_(block) { block_.quiet_ = true; }
  ~Quiet() { block_.quiet_ = false; }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  Block& block_;
};

bool Block::run() {
  struct Running {
    explicit Running(Block* block) { running_ = block; }
    ~Running() { running_ = nullptr; }
  } const running(this);
  for (int lane = 0; lane < grid_.threads; ++lane) {
    const auto stack = stacks_.at(lane);
    lanes_[static_cast<std::size_t>(lane)].context =
        make_fcontext(stack.data() + stack.size(), stack.size(), enter);
    draw_priority(lane);
    make_ready(lane);
  }
  while (!failed_ && !ready_.empty()) {
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
  if (!failed_ && ended_ < grid_.threads) {
    failed_ = true;
    report_ = stuck();
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

int Block::take_next() {
  std::ranges::pop_heap(ready_, {},
                        [&](int lane) { return lanes_[static_cast<std::size_t>(lane)].priority; });
  const int lane = ready_.back();
  ready_.pop_back();
  return lane;
}

void Block::make_ready(int lane) {
  if (keep_ == Keep::nothing || random_() % 64 == 0) draw_priority(lane);
  ready_.push_back(lane);
  std::ranges::push_heap(ready_, {}, [&](int i) { return lanes_[static_cast<std::size_t>(i)].priority; });
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
    races_->meet(all);
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
    if (lane != current_) wake(lane);
  if (races_) races_->meet(met);
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
  if (races_ && meeting.orders == Meeting::Orders::memory) races_->meet(met);
  end_turn();
}

// ------------------------------------------------------------------------------------------------ accesses

std::string Block::describe(const void* address, std::size_t bytes, Access access,
                            const void* instruction) const {
  const auto what = fmt::format("{} of {} bytes ({})", access == Access::read ? "read" : "write", bytes,
                                place_of(instruction));
  if (!memory_.holds(address)) return what;
  const auto [start, size] = memory_.nearest(address);
  if (!start) return what + " where nothing is allocated";
  const bool is_shared = start == shared_;
  return fmt::format("{} at byte {} of {} bytes of {} memory", what,
                     static_cast<const std::byte*>(address) - start, is_shared ? grid_.shared_bytes : size,
                     is_shared ? "shared" : "global");
}

void Block::check_place(const void* address, std::size_t bytes, Access access, const void* instruction) {
  const auto* const at = static_cast<const std::byte*>(address);
  if (stacks_.holds(address)) {
    const auto own = stacks_.at(current_);
    if (at >= own.data() && at + bytes <= own.data() + own.size()) return;
    fail(Fault::bounds, describe(address, bytes, access, instruction) + ": the stack of another lane");
  }
  const bool is_argument = at >= grid_.call.data() && at + bytes <= grid_.call.data() + grid_.call.size();
  if (access == Access::read && (is_argument || in_program(address))) return;
  fail(Fault::bounds, describe(address, bytes, access, instruction) + ": no memory of the device");
}

void Block::access(const void* address, std::size_t bytes, Access access, const void* instruction) {
  const Quiet quiet(*this);
  if (accesses_left_ > 0 && --accesses_left_ == 0) end_turn();  // before it is judged: afterwards it happens
  judge(address, bytes, access, instruction);
}

void Block::judge(const void* address, std::size_t bytes, Access access, const void* instruction) {
  if (!memory_.holds(address)) return check_place(address, bytes, access, instruction);
  auto* const states = memory_.states(address);
  const auto any = [&](State state) { return std::find(states, states + bytes, state) != states + bytes; };
  if (any(State::unallocated)) fail(Fault::bounds, describe(address, bytes, access, instruction));
  if (access == Access::read && any(State::undefined))
    fail(Fault::undefined, describe(address, bytes, access, instruction) + ": nobody has written there");
  if (access == Access::write) std::fill_n(states, bytes, State::defined);
  if (!races_) return;
  const auto earlier = access == Access::read ? races_->read(address, bytes, current_, instruction)
                                              : races_->write(address, bytes, current_, instruction);
  if (earlier) fail_race(describe(address, bytes, access, instruction), *earlier);
}

void Block::fail_race(const std::string& access, const Races::Access& earlier) {
  fail(Fault::race, fmt::format("{}: nothing orders it after the access by lane {} of block {} ({})", access,
                                earlier.lane, earlier.block, place_of(earlier.instruction)));
}

void Block::aligned(const void* address, std::size_t bytes, const void* instruction) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) misaligned(address, bytes, instruction);
}

void Block::misaligned(const void* address, std::size_t bytes, const void* instruction) {
  if (quiet_ || stacks_.holds(address)) return;  // the host compiler may lay a stack out as it likes
  const Quiet quiet(*this);
  fail(Fault::alignment, fmt::format("access of {} bytes at an address that is no multiple of its size ({})",
                                     bytes, place_of(instruction)));
}

// ----------------------------------------------------------------------------------------------------
// cp.async

void Block::require_shared(const void* address, std::size_t bytes, const Site& site) {
  const auto* const at = static_cast<const std::byte*>(address);
  if (at < shared_ || at + bytes > shared_ + grid_.shared_bytes)
    fail(Fault::bounds,
         fmt::format("{}: {} bytes that are not the block's shared memory", to_string(site), bytes));
}

void Block::copy_async(void* to, const void* from, std::size_t bytes, std::size_t from_global,
                       const Site& site, const void* instruction) {
  const Quiet quiet(*this);
  if (is_left_out(site)) return;
  if (accesses_left_ > 0 && --accesses_left_ == 0) end_turn();
  if (from_global > bytes)
    fail(Fault::argument,
         fmt::format("{}: expected at most {} bytes to read, got {}", to_string(site), bytes, from_global));
  for (const void* const address : {static_cast<const void*>(to), from})
    if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
      fail(Fault::alignment,
           fmt::format("{}: an address that is no multiple of {} bytes", to_string(site), bytes));
  require_shared(to, bytes, site);
  if (from_global > 0) judge(from, from_global, Access::read, instruction);
  judge(to, bytes, Access::write, instruction);
  auto* const target = static_cast<std::byte*>(to);
  std::fill_n(memory_.states(to), bytes, State::undefined);
  auto& lane = lanes_[static_cast<std::size_t>(current_)];
  lane.copies.push_back(
      {target, static_cast<const std::byte*>(from), bytes, from_global, lane.groups, false});
  if (random_() % 4 == 0) move(lane.copies.back());
}

void Block::move(Copy& copy) {
  std::copy_n(copy.from, copy.from_global, copy.to);
  std::fill_n(copy.to + copy.from_global, copy.bytes - copy.from_global, std::byte{0});
  copy.has_moved = true;
}

/// At the wait: the bytes are there, and the lane's own from now on.
void Block::land(Copy& copy) {
  if (!copy.has_moved) move(copy);
  judge(copy.to, copy.bytes, Access::write, nullptr);
}

void Block::move_some_copy() {
  auto& copies = lanes_[static_cast<std::size_t>(current_)].copies;
  if (copies.empty()) return;
  auto& copy = copies[random_() % copies.size()];
  if (!copy.has_moved) move(copy);
}

void Block::commit_copies(const Site& site) {
  const Quiet quiet(*this);
  if (is_left_out(site)) return;
  ++lanes_[static_cast<std::size_t>(current_)].groups;
}

void Block::wait_copies(int groups_left, const Site& site) {
  const Quiet quiet(*this);
  if (is_left_out(site)) return;
  auto& lane = lanes_[static_cast<std::size_t>(current_)];
  const auto last = std::ranges::partition_point(
      lane.copies, [&](const Copy& copy) { return copy.group < lane.groups - groups_left; });
  for (auto copy = lane.copies.begin(); copy != last; ++copy) land(*copy);
  lane.copies.erase(lane.copies.begin(), last);
}

// ------------------------------------------------------------------------------------------------ the lane

int thread_of_lane() { return Block::running()->thread(); }
int threads_of_block() { return Block::running()->grid().threads; }
Dim block_of_lane() { return Block::running()->index(); }
Dim blocks_of_grid() { return Block::running()->grid().blocks; }
std::byte* shared_of_block() { return Block::running()->shared(); }
void sync(const Site& site) { Block::running()->sync(site); }
void sync_named(int barrier, int threads, const Site& site) {
  Block::running()->sync_named(barrier, threads, site);
}
void meet(const Meeting& meeting) { Block::running()->meet(meeting); }

void load(void* to, const void* from, std::size_t bytes) {
  Block::running()->aligned(from, bytes, __builtin_return_address(0));
  Block::running()->read(from, bytes, __builtin_return_address(0));
  std::memcpy(to, from, bytes);
}

void store(void* to, const void* from, std::size_t bytes) {
  Block::running()->aligned(to, bytes, __builtin_return_address(0));
  Block::running()->write(to, bytes, __builtin_return_address(0));
  std::memcpy(to, from, bytes);
}

void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t from_global,
                const Site& site) {
  Block::running()->copy_async(shared, global, bytes, from_global, site, __builtin_return_address(0));
}
void commit_copies(const Site& site) { Block::running()->commit_copies(site); }
void wait_copies(int groups_left, const Site& site) { Block::running()->wait_copies(groups_left, site); }
void require_shared(const void* address, std::size_t bytes, const Site& site) {
  Block::running()->require_shared(address, bytes, site);
}

void visit(const Site& site) { Block::running()->visit(site); }
bool is_shifted(const Site& site) { return Block::running()->is_shifted(site); }
void fail_lane(Fault fault, const std::string& what) { Block::running()->fail(fault, what); }

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

Report Block::stuck() const {
  std::map<std::string, std::vector<int>> by_place;
  for (int i = 0; i < grid_.threads; ++i) {
    const auto& lane = lanes_[static_cast<std::size_t>(i)];
    auto place = lane.waits == Waits::returned ? std::string("returned") : "in " + to_string(*lane.site);
    if (lane.waits == Waits::for_warp) place += fmt::format(" with mask {:08x}", lane.meeting->mask);
    by_place[place].push_back(i);
  }
  std::string places;
  for (const auto& [place, lanes] : by_place)
    places += fmt::format("{}lanes {}: {}", places.empty() ? "" : "; ", ranges_of(lanes), place);
  return {Fault::deadlock, fmt::format("{}: block ({}, {}, {}): deadlock: {} (seed {})", grid_.kernel,
                                       index_.x, index_.y, index_.z, places, schedule_.seed)};
}

}  // namespace scrawl::simt
