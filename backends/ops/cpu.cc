#include "cpu.h"

#include <cpuid.h>

#include <cstdlib>
#include <string>

namespace {

// Bits of the leaf "structured extended features" (Intel SDM, volume 2, CPUID).
constexpr unsigned AVX512F = 1u << 16, AVX512DQ = 1u << 17;   // EBX
constexpr unsigned AVX512BW = 1u << 30, AVX512VL = 1u << 31;  // EBX
constexpr unsigned AVX512_VNNI = 1u << 11;                    // ECX
constexpr unsigned OSXSAVE = 1u << 27;                        // leaf 1, ECX
// What the system saves when it changes threads: SSE, AVX, and the three parts of AVX-512.
constexpr unsigned SAVED = 0xe6;

unsigned saved_registers() {
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool masked(const char* name) {
  const char* const text = std::getenv("AURUM_CPU_WITHOUT");
  if (text == nullptr) return false;
  return ("," + std::string(text) + ",").find("," + std::string(name) + ",") != std::string::npos;
}

Cpu found() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE)) return Cpu::plain;
  if ((saved_registers() & SAVED) != SAVED) return Cpu::plain;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return Cpu::plain;
  constexpr unsigned NEEDED = AVX512F | AVX512DQ | AVX512BW | AVX512VL;
  if ((b & NEEDED) != NEEDED) return Cpu::plain;
  for (const char* name : {"avx512f", "avx512dq", "avx512bw", "avx512vl"}) {
    if (masked(name)) return Cpu::plain;
  }
  return (c & AVX512_VNNI) && !masked("avx512_vnni") ? Cpu::avx512_vnni : Cpu::avx512;
}

}  // namespace

Cpu cpu() {
  static const Cpu asked = found();
  return asked;
}

const char* name_of(Cpu cpu) {
  switch (cpu) {
    case Cpu::avx512_vnni:
      return "AVX-512 VNNI";
    case Cpu::avx512:
      return "AVX-512";
    default:
      return "";
  }
}
