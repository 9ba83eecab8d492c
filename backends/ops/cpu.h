// The kernels that this machine's processor can run.
#pragma once

// From the least capable to the most capable.
enum class Cpu { plain, avx2, avx512, avx512_vnni };

// What both the processor and the system support, without the features in AURUM_CPU_WITHOUT (names
// as in /proc/cpuinfo, separated by commas: "avx512_vnni", or "avx512f"). Determined once.
Cpu cpu();

// Of the versions of a kernel, the one for this processor. For `plain` it is AVX2's, which is never
// called, because check_cpu (weights.h) throws.
template <class Compiled>
const Compiled& compiled_for_cpu(const Compiled& avx2, const Compiled& avx512,
                                 const Compiled& avx512_vnni) {
  return cpu() == Cpu::avx512_vnni ? avx512_vnni : cpu() == Cpu::avx512 ? avx512 : avx2;
}

// Its name, for messages and for `aurum doctor`.
const char* name_of(Cpu cpu);
