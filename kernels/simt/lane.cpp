/// The lane that the calling thread runs.

#include "kernels/simt/lane.h"

#include <cstring>

#include "kernels/simt/block.h"

namespace scrawl::simt {

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

void raise_flag(std::uint32_t* flag, std::uint32_t value, const Site& site) {
  Block::running()->raise_flag(flag, value, site, __builtin_return_address(0));
}
void wait_flag(const std::uint32_t* flag, std::uint32_t value, const Site& site) {
  Block::running()->wait_flag(flag, value, site, __builtin_return_address(0));
}

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

}  // namespace scrawl::simt
