#pragma once
/// SIGINT and SIGTERM as something a loop can ask about.

namespace scrawl {

/// While it lives, the first SIGINT or SIGTERM is noted; a second one of a kind ends the process as usual.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  int caught() const;  ///< the signal's number, or 0
};

}  // namespace scrawl
