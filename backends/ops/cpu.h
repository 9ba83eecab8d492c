// Which of our kernels this machine's processor can run.
#pragma once

// From the least to the most.
enum class Cpu { plain, avx2, avx512, avx512_vnni };

// What the processor has and the system keeps of it, less what AURUM_CPU_WITHOUT says, names as in
// /proc/cpuinfo separated by commas: "avx512_vnni", or "avx512f". Asked once.
Cpu cpu();

// Its name, for people and for `aurum doctor`.
const char* name_of(Cpu cpu);
