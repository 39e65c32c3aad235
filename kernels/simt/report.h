#pragma once
/// What the machine finds wrong with a kernel.

#include <cstdint>
#include <string>
#include <string_view>

namespace scrawl::simt {

/// A call of a building block in a kernel.
struct Site {
  std::string_view name;  ///< of the building block: "sync_block"
  const char* file;
  unsigned line;

  /// By text: the same place has as many addresses as files that include it. Mostly one, though.
  bool operator==(const Site& other) const {
    return line == other.line && (name.data() == other.name.data() || name == other.name) &&
           (file == other.file || std::string_view(file) == other.file);
  }
};

std::string to_string(const Site&);  ///< "sync_block at softmax.cu:41"

enum class Fault : std::uint8_t {
  deadlock,    ///< lanes wait for others that cannot come
  divergence,  ///< lanes meet at different places
  mask,        ///< a warp function was called with a mask that its lanes do not match
  bounds,      ///< an access outside what is allocated, or to memory that is not the device's
  alignment,   ///< an access at an address that is no multiple of its size
  undefined,   ///< a read of what nobody wrote
  race,        ///< two accesses that nothing orders, one of them a write
  endless,     ///< a block went on for longer than its schedule allows
  argument,    ///< a building block or a launch was called with what it does not take
};

std::string_view name_of(Fault);

struct Report {
  Fault fault;
  std::string message;  ///< with kernel, block, lane and place
};

}  // namespace scrawl::simt
