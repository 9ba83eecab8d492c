// The processor cores that a thread may run on.
#pragma once

#include <sched.h>

#include <string>

// All cores that this process may use.
const cpu_set_t& all_cores();

// The subset of all_cores() selected by `text`, "<first>-<last>"; all_cores() if that is empty.
cpu_set_t cores_of(const std::string& text);

// Pins the calling thread to `cores` during its lifetime. Afterwards the thread may run anywhere:
// if it stayed pinned while it sleeps, it would have to wait for other work on that core to wake.
class OnCores {
 public:
  explicit OnCores(const cpu_set_t& cores);
  ~OnCores();
  OnCores(const OnCores&) = delete;
  OnCores& operator=(const OnCores&) = delete;

 private:
  bool moved_;
};
