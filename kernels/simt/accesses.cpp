/// What a lane's loads, stores and asynchronous copies are judged by.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/simt/block.h"
#include "kernels/simt/symbol.h"

extern "C" {
extern const char __executable_start[], end[];  // of the program's image, by the linker
}

namespace scrawl::simt {

namespace {

bool in_program(const void* address) {
  const auto* const at = static_cast<const char*>(address);
  return at >= __executable_start && at < end;
}

}  // namespace

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

Traffic::Of& Traffic::Of::operator+=(const Of& other) {
  reads += other.reads;
  writes += other.writes;
  read_bytes += other.read_bytes;
  written_bytes += other.written_bytes;
  return *this;
}

Traffic& Traffic::operator+=(const Traffic& other) {
  global += other.global;
  shared += other.shared;
  return *this;
}

void Block::count(const void* address, std::size_t bytes, Access access) {
  if (!memory_.holds(address)) return;
  const auto* const at = static_cast<const std::byte*>(address);
  auto& of = at >= shared_ && at < shared_ + grid_.shared_bytes ? traffic_.shared : traffic_.global;
  const bool is_read = access == Access::read;
  ++(is_read ? of.reads : of.writes);
  (is_read ? of.read_bytes : of.written_bytes) += bytes;
}

void Block::access(const void* address, std::size_t bytes, Access access, const void* instruction) {
  const Quiet quiet(*this);
  if (accesses_left_ > 0 && --accesses_left_ == 0) end_turn();  // before it is judged: afterwards it happens
  judge(address, bytes, access, instruction);
}

void Block::judge(const void* address, std::size_t bytes, Access access, const void* instruction) {
  if (!memory_.holds(address)) return check_place(address, bytes, access, instruction);
  check_state(address, bytes, access, instruction);
  order(address, bytes, access, instruction);
}

void Block::check_state(const void* address, std::size_t bytes, Access access, const void* instruction) {
  auto* const states = memory_.states(address);
  const auto any = [&](State state) { return std::find(states, states + bytes, state) != states + bytes; };
  if (any(State::unallocated)) fail(Fault::bounds, describe(address, bytes, access, instruction));
  const bool reads_undefined = access == Access::read && schedule_.undefined == Schedule::Undefined::reported;
  if (reads_undefined && any(State::undefined))
    fail(Fault::undefined, describe(address, bytes, access, instruction) + ": nobody has written there");
  if (reads_undefined && any(State::in_flight))
    fail(Fault::undefined, describe(address, bytes, access, instruction) + ": a copy is still bringing it");
  if (access == Access::write && any(State::in_flight))
    fail(Fault::race, describe(address, bytes, access, instruction) + ": a copy is still bringing it");
  if (access == Access::write) std::fill_n(states, bytes, State::defined);
}

void Block::order(const void* address, std::size_t bytes, Access access, const void* instruction) {
  if (!races_) return;
  const auto earlier = access == Access::read ? races_->read(address, bytes, race_access(instruction))
                                              : races_->write(address, bytes, race_access(instruction));
  if (earlier) fail_race(describe(address, bytes, access, instruction), *earlier);
}

void Block::fail_race(const std::string& access, const Races::Access& earlier) {
  fail(Fault::race, fmt::format("{}: nothing orders it after the access by lane {} of block {} ({})", access,
                                earlier.by.lane, earlier.by.block, place_of(earlier.instruction)));
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
  const auto* const source = static_cast<const std::byte*>(from);
  const bool is_shared = source >= shared_ && source < shared_ + grid_.shared_bytes;
  if (from_global > 0 && (!memory_.holds(from) || is_shared))
    fail(Fault::bounds, fmt::format("{}: expected a source in global memory", to_string(site)));
  if (from_global > 0) judge(from, from_global, Access::read, instruction);
  judge(to, bytes, Access::write, instruction);
  std::fill_n(memory_.states(to), bytes, State::in_flight);
  if (schedule_.counted_blocks > 0) {
    if (from_global > 0) count(from, from_global, Access::read);
    count(to, bytes, Access::write);
  }
  auto& lane = lanes_[static_cast<std::size_t>(current_)];
  Copy copy{static_cast<std::byte*>(to), source, bytes, from_global, lane.groups, instruction, {}, false};
  std::copy_n(source, from_global, copy.seen.begin());
  lane.copies.push_back(copy);
  if (random_() % 4 == 0) move(lane.copies.back());
}

void Block::move(Copy& copy) {
  std::copy_n(copy.from, copy.from_global, copy.to);
  std::fill_n(copy.to + copy.from_global, copy.bytes - copy.from_global, std::byte{0});
  copy.has_moved = true;
}

/// At the wait: the bytes are there, and the lane's own from now on.
void Block::land(Copy& copy) {
  if (std::memcmp(copy.from, copy.seen.data(), copy.from_global) != 0)
    fail(Fault::race, describe(copy.from, copy.from_global, Access::read, copy.instruction) +
                          ": a copy reads it, and it has changed before the wait");
  if (!copy.has_moved) move(copy);
  std::fill_n(memory_.states(copy.to), copy.bytes, State::defined);
  order(copy.to, copy.bytes, Access::write, copy.instruction);
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

}  // namespace scrawl::simt
