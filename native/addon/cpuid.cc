#include "addon/cpuid.h"

#include <cpuid.h>
#include <sys/auxv.h>

#include <cstring>
#include <string>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace sigframe {
namespace {

struct Leaf {
  unsigned a, b, c, d;
};

Leaf cpuid(unsigned leaf, unsigned subleaf = 0) {
  Leaf r{};
  __cpuid_count(leaf, subleaf, r.a, r.b, r.c, r.d);
  return r;
}

std::string text(std::initializer_list<unsigned> words) {
  std::string out;
  for (unsigned word : words) out.append(reinterpret_cast<const char*>(&word), sizeof word);
  return out.substr(0, out.find('\0'));
}

std::string brand() {
  if (cpuid(0x80000000u).a < 0x80000004u) return "";
  std::string out;
  for (unsigned leaf = 0x80000002u; leaf <= 0x80000004u; leaf++) {
    const Leaf r = cpuid(leaf);
    for (unsigned word : {r.a, r.b, r.c, r.d}) out.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return out.substr(0, out.find('\0'));
}

uint64_t xgetbv() {
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

/** MXCSR_MASK as FXSAVE writes it; 0 means the default 0xffbf (SDM vol. 1, 11.6.6). */
uint32_t mxcsrMask() {
  struct alignas(16) {
    uint8_t bytes[512];
  } area{};
  asm volatile("fxsave %0" : "=m"(area));
  uint32_t mask;
  memcpy(&mask, area.bytes + 28, sizeof mask);
  return mask != 0 ? mask : 0xffbf;
}

}  // namespace

Napi::Value readCpu(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  const auto number = [&](const char* name, double value) { result.Set(name, Napi::Number::New(env, value)); };
  const Leaf zero = cpuid(0);
  const Leaf one = cpuid(1);
  const bool xsave = (one.c & bit_OSXSAVE) != 0;
  result.Set("vendor", Napi::String::New(env, text({zero.b, zero.d, zero.c})));
  result.Set("brand", Napi::String::New(env, brand()));
  const unsigned family = (one.a >> 8 & 15) + ((one.a >> 8 & 15) == 15 ? one.a >> 20 & 255 : 0);
  number("family", family);
  number("model", (one.a >> 4 & 15) | (family >= 6 ? (one.a >> 16 & 15) << 4 : 0));
  number("stepping", one.a & 15);
  const bool virtualised = (one.c >> 31 & 1) != 0;
  const Leaf hypervisor = virtualised ? cpuid(0x40000000u) : Leaf{};
  result.Set("hypervisor",
             virtualised ? Napi::Value(Napi::String::New(env, text({hypervisor.b, hypervisor.c, hypervisor.d}))) : env.Null());
  number("mxcsrMask", mxcsrMask());
  number("minSignalStack", static_cast<double>(getauxval(AT_MINSIGSTKSZ)));
  result.Set("xcr0", Napi::BigInt::New(env, xsave ? xgetbv() : uint64_t{0}));
  Napi::Array components = Napi::Array::New(env);
  const bool leafD = xsave && zero.a >= 0xd;
  const unsigned flags = leafD ? cpuid(0xd, 1).a : 0;
  number("xsaveFeatures", flags);  // XSAVEOPT 0, XSAVEC 1, XGETBV1 2, XSAVES 3, XFD 4
  for (unsigned index = 2, count = 0; leafD && index < 63; index++) {
    const Leaf r = cpuid(0xd, index);
    if (r.a == 0) continue;
    Napi::Object component = Napi::Object::New(env);
    component.Set("index", Napi::Number::New(env, index));
    component.Set("size", Napi::Number::New(env, r.a));
    component.Set("offset", Napi::Number::New(env, r.b));
    component.Set("supervisor", Napi::Boolean::New(env, (r.c & 1) != 0));
    component.Set("alignedCompacted", Napi::Boolean::New(env, (r.c & 2) != 0));
    component.Set("xfd", Napi::Boolean::New(env, (r.c & 4) != 0));
    components.Set(count++, component);
  }
  result.Set("components", components);
  return result;
}

}  // namespace sigframe
