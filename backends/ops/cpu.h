// The kernels that this machine's processor can run.
#pragma once

// From the least capable to the most capable.
enum class Cpu { plain, avx2, avx512, avx512_vnni };

// What both the processor and the system support, without the features in AURUM_CPU_WITHOUT (names
// as in /proc/cpuinfo, separated by commas: "avx512_vnni", or "avx512f"). Determined once.
Cpu cpu();

// Its name, for messages and for `aurum doctor`.
const char* name_of(Cpu cpu);
