#include "kernels/simt/block.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "kernels/error.h"
#include "kernels/simt/symbol.h"

extern "C" {
extern const char __executable_start[], end[];  // of the program's image, by the linker
}

namespace scrawl::simt {

namespace {

constexpr std::size_t page = 4096, stack_bytes = 64 << 10;

using boost::context::detail::jump_fcontext, boost::context::detail::make_fcontext,
    boost::context::detail::transfer_t;

thread_local Block* running_block = nullptr;

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
             std::byte* shared, std::vector<Site>& sites, Races* races)
    : memory_(memory),
      grid_(grid),
      index_(index),
      schedule_(schedule),
      stacks_(stacks),
      shared_(shared),
      sites_(sites),
      races_(races),
      lanes_(static_cast<std::size_t>(grid.threads)) {
  std::seed_seq seed{schedule.seed, schedule.seed >> 32, std::uint64_t{index.x}, std::uint64_t{index.y},
                     std::uint64_t{index.z}};
  random_.seed(seed);
  keep_ = static_cast<Keep>(schedule.seed % 3);
  if (grid.shared_bytes > 0) memory_.poison(shared_, grid.shared_bytes);
  if (races_)
    races_->begin_block((std::uint64_t{index.z} * grid.blocks.y + index.y) * grid.blocks.x + index.x,
                        grid.threads, {shared_, grid.shared_bytes});
}

Block* Block::running() { return running_block; }

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
    explicit Running(Block* block) { running_block = block; }
    ~Running() { running_block = nullptr; }
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
    draw_turn();
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

/// Notes the site, and says whether the mutant leaves it out.
bool Block::is_left_out(const Site& site) {
  if (std::ranges::find(sites_, site) == sites_.end()) sites_.push_back(site);
  return schedule_.without && *schedule_.without == site;
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

void Block::meet(const Meeting& meeting) {
  const Quiet quiet(*this);
  const int self = current_ % warp_lanes, first = current_ - self;
  const int lanes = std::min(warp_lanes, grid_.threads - first);
  const auto& site = meeting.site;
  if (is_left_out(site)) return;
  if (!(meeting.mask >> self & 1))
    fail(Fault::mask,
         fmt::format("{}: mask {:08x} leaves out the calling lane", to_string(site), meeting.mask));
  if (lanes < warp_lanes && meeting.mask >> lanes != 0)
    fail(Fault::mask, fmt::format("{}: mask {:08x} names lanes that the block does not have", to_string(site),
                                  meeting.mask));
  std::array<void*, warp_lanes> slots{};
  slots[static_cast<std::size_t>(self)] = meeting.slot;
  bool all_here = true;
  for (int i = 0; i < lanes; ++i) {
    if (i == self || !(meeting.mask >> i & 1)) continue;
    const auto& other = lanes_[static_cast<std::size_t>(first + i)];
    if (other.waits == Waits::returned)
      fail(Fault::mask, fmt::format("{}: mask {:08x} names lane {} of the warp, which has returned",
                                    to_string(site), meeting.mask, i));
    const bool here =
        other.waits == Waits::for_warp && other.meeting->mask == meeting.mask && other.meeting->site == site;
    if (other.waits == Waits::for_warp && !here && (other.meeting->mask >> self & 1))
      fail(
          Fault::divergence,
          fmt::format("{} with mask {:08x}: lane {} of the warp waits for this one in {} with mask {:08x}",
                      to_string(site), meeting.mask, i, to_string(other.meeting->site), other.meeting->mask));
    all_here &= here;
    if (here) slots[static_cast<std::size_t>(i)] = other.meeting->slot;
  }
  if (!all_here) {
    lanes_[static_cast<std::size_t>(current_)].meeting = &meeting;
    return wait(Waits::for_warp, site);
  }
  meeting.work(slots, meeting.mask);
  std::vector<int> met;
  for (int i = 0; i < lanes; ++i) {
    if (!(meeting.mask >> i & 1)) continue;
    met.push_back(first + i);
    if (i != self) wake(first + i);
  }
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
  if (quiet_) return;
  const Quiet quiet(*this);
  if (accesses_left_ > 0 && --accesses_left_ == 0) end_turn();  // before it is judged: afterwards it happens
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

void Block::read(const void* address, std::size_t bytes, const void* instruction) {
  access(address, bytes, Access::read, instruction);
}

void Block::write(const void* address, std::size_t bytes, const void* instruction) {
  access(address, bytes, Access::write, instruction);
}

void Block::fail_race(const std::string& access, const Races::Access& earlier) {
  fail(Fault::race, fmt::format("{}: nothing orders it after the access by lane {} of block {} ({})", access,
                                earlier.lane, earlier.block, place_of(earlier.instruction)));
}

void Block::misaligned(const void* address, std::size_t bytes, const void* instruction) {
  if (quiet_ || stacks_.holds(address)) return;  // the host compiler may lay a stack out as it likes
  const Quiet quiet(*this);
  fail(Fault::alignment, fmt::format("access of {} bytes at an address that is no multiple of its size ({})",
                                     bytes, place_of(instruction)));
}

// ------------------------------------------------------------------------------------------------ the lane

int thread_of_lane() { return running_block->thread(); }
int threads_of_block() { return running_block->grid().threads; }
Dim block_of_lane() { return running_block->index(); }
Dim blocks_of_grid() { return running_block->grid().blocks; }
std::byte* shared_of_block() { return running_block->shared(); }
void sync(const Site& site) { running_block->sync(site); }
void meet(const Meeting& meeting) { running_block->meet(meeting); }
void fail_lane(Fault fault, const std::string& what) { running_block->fail(fault, what); }

// ------------------------------------------------------------------------------------------------- reports

void Block::fail(Fault fault, const std::string& what) {
  failed_ = true;
  report_ = {fault, fmt::format("{}: block ({}, {}, {}), lane {}: {}: {} (seed {})", grid_.kernel, index_.x,
                                index_.y, index_.z, current_, name_of(fault), what, schedule_.seed)};
  switch_to_scheduler();
  __builtin_unreachable();
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
