#include "cores.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

const cpu_set_t& all_cores() {
  static const cpu_set_t all = [] {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    // The cores of the process; a host policy may have pinned this thread.
    sched_getaffinity(getpid(), sizeof cores, &cores);
    return cores;
  }();
  return all;
}

cpu_set_t cores_of(const std::string& text) {
  unsigned first = 0, last = 0;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (std::sscanf(text.c_str(), "%u-%u", &first, &last) == 2) {
    for (unsigned core = first; core <= std::min(last, CPU_SETSIZE - 1U); ++core) {
      if (CPU_ISSET(core, &all_cores())) CPU_SET(core, &cores);
    }
  }
  return CPU_COUNT(&cores) > 0 ? cores : all_cores();
}

OnCores::OnCores(const cpu_set_t& cores)
    : moved_(!CPU_EQUAL(&cores, &all_cores()) && sched_setaffinity(0, sizeof cores, &cores) == 0) {}

OnCores::~OnCores() {
  if (moved_) sched_setaffinity(0, sizeof all_cores(), &all_cores());
}
