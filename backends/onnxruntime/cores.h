// The processor cores that a thread may run on.
#pragma once

#include <sched.h>

#include <string>

// All that this process was given.
const cpu_set_t& all_cores();

// Those of all_cores() that `text`, "<first>-<last>", means; all_cores() where it means none.
cpu_set_t cores_of(const std::string& text);

// Keeps the calling thread on `cores` until its end, then lets it go everywhere: a thread that
// sleeps where it ran would be woken behind whatever is computed there.
class OnCores {
 public:
  explicit OnCores(const cpu_set_t& cores);
  ~OnCores();
  OnCores(const OnCores&) = delete;
  OnCores& operator=(const OnCores&) = delete;

 private:
  bool moved_;
};
