// What the assembly of fire64.S and fire32.S and the C++ around it share. Offsets are checked below.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigframe {

/** What the assembly does to have a signal, or a frame restored. */
enum class How : uint32_t {
  kSyscall = 0,  // the system call `number`
  kCode32 = 1,   // tgkill by int $0x80, from 32-bit code
  kInt80 = 2,    // the 32-bit system call `number` by int $0x80, from 64-bit code
  kSpin = 3,     // nothing but to wait until `fired`, at most `spins` times
  kWindow = 4,   // the system call `number`, or a pause, until `fired`, at most `spins` times, with `window` unblocked
};
constexpr uint64_t kNoCall = ~uint64_t{0};

/** The registers' way through one probe. Read by the assembly at the offsets asserted here. */
struct Fire {
  uint64_t stack;   // RSP at the moment of the raise; the frame goes below it
  uint64_t load;    // image that XRSTOR loads before the raise
  uint64_t after;   // image that XSAVE writes after the return; header zeroed by the caller
  uint64_t poison;  // image that XRSTOR loads before sigreturn
  uint64_t rfbm;
  uint64_t savedRsp;
  uint32_t tgid;
  uint32_t tid;
  uint32_t signal;
  uint32_t fxsave;  // non-zero: this CPU or kernel has no XSAVE
  How how;
  uint32_t openKeys;        // non-zero: the handler opens all protection keys before it touches the frame
  volatile uint32_t armed;  // set once the registers are loaded
  volatile uint32_t fired;  // set by the handler
  uint64_t number;
  uint64_t arguments[5];
  uint32_t spins;
  uint32_t cleanFlags;  // non-zero: EFLAGS may come back with DF and AC set
  uint64_t window;      // the address, below 4 GiB, of the mask of signals that are blocked but for How::kWindow
  uint32_t spoil;       // what the handlers of a stress request change in the frame's XMM0
  uint32_t fxrstor;     // non-zero: the asked instruction is FXRSTOR
  uint64_t mask;        // the requested-feature bitmap of the asked XRSTOR
  uint64_t stops;       // traced: the address of the word that says at which Stop it is; else 0
};
static_assert(offsetof(Fire, stack) == 0 && offsetof(Fire, load) == 8 && offsetof(Fire, after) == 16 &&
              offsetof(Fire, poison) == 24 && offsetof(Fire, rfbm) == 32 && offsetof(Fire, savedRsp) == 40 &&
              offsetof(Fire, tgid) == 48 && offsetof(Fire, tid) == 52 && offsetof(Fire, signal) == 56 &&
              offsetof(Fire, fxsave) == 60 && offsetof(Fire, how) == 64 && offsetof(Fire, openKeys) == 68 &&
              offsetof(Fire, armed) == 72 && offsetof(Fire, fired) == 76 && offsetof(Fire, number) == 80 &&
              offsetof(Fire, arguments) == 88 && offsetof(Fire, spins) == 128 && offsetof(Fire, cleanFlags) == 132 &&
              offsetof(Fire, window) == 136 && offsetof(Fire, spoil) == 144 && offsetof(Fire, fxrstor) == 148 &&
              offsetof(Fire, mask) == 152 && offsetof(Fire, stops) == 160);

extern "C" {
/** Loads fire->load, raises, and saves into fire->after. Everything in between is one block. */
void sigframe_fire64(Fire* fire);

/** Loads fire->poison, then fire->load by the asked instruction, and saves into fire->after: one block too. */
void sigframe_xrstor64(Fire* fire);

// Instructions that a fault is told by.
extern const char sigframe_fire64_load[], sigframe_fire64_load_fx[];  // the loading XRSTOR, FXRSTOR
extern const char sigframe_fire64_raised[];                           // behind the raising system call
extern const char sigframe_fire32_raised[];                           // the same in 32-bit code
extern const char sigframe_fire64_skip[];                             // leaves without saving
// The asked XRSTOR; the asked FXRSTOR, and that of a host without XSAVE; what leaves without saving.
extern const char sigframe_xrstor64_asked[], sigframe_xrstor64_asked_fx[], sigframe_xrstor64_asked_fx_only[];
extern const char sigframe_xrstor64_skip[];

/** Signal handlers as the kernel enters them: fire->poison is loaded right before sigreturn. */
void sigframe_entry64(int);
void sigframe_plain_entry64(int);
void sigframe_stress_entry64(int);
void sigframe_stress_entry_x32(int);
// 32-bit code
void sigframe_entry32_rt(int);
void sigframe_entry32(int);
void sigframe_plain_entry32_rt(int);
void sigframe_plain_entry32(int);
void sigframe_stress_entry32_rt(int);
void sigframe_stress_entry32(int);
void sigframe_restorer64();
void sigframe_restorer_x32();

/** How often each signal was handled by a stress request's handlers. */
extern volatile uint32_t sigframe_stress_signals[65];

/** Called by the entries with the frame's address, on a stack of their own. */
void sigframe_on_signal(uintptr_t frame);
void sigframe_on_plain_signal(uintptr_t frame);

extern Fire sigframe_fire;
extern uint64_t sigframe_handler_stack;  // top, 16-byte aligned
}

/** Copies with the string instructions: no vector register is touched. */
inline void copyBytes(void* to, const void* from, size_t length) {
  size_t words = length / 8;
  asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
  size_t rest = length % 8;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
}

inline void fillBytes(void* to, uint8_t value, size_t length) {
  asm volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
}

/** Loads an image into the registers of this thread. */
inline void loadImage(const void* image, uint64_t rfbm) {
  asm volatile("xrstor64 (%0)"
               :
               : "r"(image), "a"(static_cast<uint32_t>(rfbm)), "d"(static_cast<uint32_t>(rfbm >> 32))
               : "memory");
}

}  // namespace sigframe
