#include "cpu.h"

#include <cpuid.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string>

namespace {

// Bits of CPUID's leaves (Intel SDM, volume 2).
constexpr unsigned FMA = 1u << 12, OSXSAVE = 1u << 27;        // leaf 1, ECX
constexpr unsigned HAS_AVX2 = 1u << 5;                        // leaf 7, EBX
constexpr unsigned AVX512F = 1u << 16, AVX512DQ = 1u << 17;   // leaf 7, EBX
constexpr unsigned AVX512BW = 1u << 30, AVX512VL = 1u << 31;  // leaf 7, EBX
constexpr unsigned AVX512_VNNI = 1u << 11;                    // leaf 7, ECX
// Registers that the system saves on a context switch: those of SSE and AVX, and those of AVX-512.
constexpr unsigned SAVED_AVX = 0x6, SAVED_AVX512 = 0xe6;

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

bool masked(std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [](const char* name) { return masked(name); });
}

Cpu found() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE) || !(c & FMA)) return Cpu::plain;
  const unsigned saved = saved_registers();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & HAS_AVX2)) return Cpu::plain;
  if ((saved & SAVED_AVX) != SAVED_AVX || masked({"fma", "avx2"})) return Cpu::plain;
  constexpr unsigned NEEDED = AVX512F | AVX512DQ | AVX512BW | AVX512VL;
  if ((b & NEEDED) != NEEDED || (saved & SAVED_AVX512) != SAVED_AVX512) return Cpu::avx2;
  if (masked({"avx512f", "avx512dq", "avx512bw", "avx512vl"})) return Cpu::avx2;
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
    case Cpu::avx2:
      return "AVX2";
    default:
      return "";
  }
}
