/** What stands at the top of the C program: headers, constants, the types of its tables. */
import { type Uses, when } from './uses.ts'

export interface Sizes {
  /** Bytes of the largest image, a multiple of 64. */
  readonly imageBytes: number
  /** The most components of a layout. */
  readonly components: number
  /** Bytes below the frame, and for each alternate stack. */
  readonly stackBytes: number
}

export const typesOf = (uses: Uses, sizes: Sizes): string => `#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
${when(uses.pages, '#include <fcntl.h>\n')}${when(uses.sibling, '#include <sched.h>\n')}#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
${when(uses.timer, '#include <sys/time.h>\n')}#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "for x86-64: compile without -m32 and -mx32"
#endif

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/*
 * Everything that a frame can point to lies at fixed addresses below 4 GiB:
 * frames of 32-bit code have no longer pointers.
 */
#define LOW_CODE	0x10000000UL
#define RUN		0x10001000UL
#define ALTSTACK	0x11000000UL
#define STACK		0x12000000UL
${when(uses.stack, '#define OWN_STACK\t0x13000000UL\n')}
#define PAGE		4096UL
#define IMAGE_BYTES	${sizes.imageBytes}
#define STACK_BYTES	${sizes.stackBytes}UL
#define MAX_COMPONENTS	${sizes.components}
#define TIMEOUT_SECONDS	10

_Static_assert(STACK_BYTES < 0x800000, "no stack of ours may reach another one");

#define MAGIC1		0x46505853U	/* FP_XSTATE_MAGIC1 */
#define MAGIC2		0x46505845U	/* FP_XSTATE_MAGIC2 */
#define SW_BYTES	464		/* struct _fpx_sw_bytes */
#define XSTATE_BV	512
#define XCOMP_BV	520
#define MXCSR		24
#define FSAVE_BYTES	112		/* struct fregs_state, before a 32-bit frame's area */
#define X87_BYTES	152		/* of the legacy region: all but MXCSR and its mask */
#define AC_AND_DF	0x40400UL

/* Where a component lies in the standard format: CPUID leaf 0xD. */
struct component {
	const char *name;
	unsigned int index, offset, size;
	unsigned int used;	/* bytes of it that hold state */
};

struct layout {
	uint64_t xfeatures;
	unsigned int xstate_size;
	unsigned int room;		/* above the frame, for edits that enlarge it */
	unsigned int spare_bytes;	/* of the second buffer, which ends at an unreadable page */
	unsigned int nr_components;
	struct component components[MAX_COMPONENTS];
};

/* What a component holds afterwards. */
enum holds { ANYTHING, INIT, AS_LOADED, AS_POISON, BYTES };

struct expected {
	enum holds holds;
	const unsigned char *bytes;
};

/* A step of an edit. It counts from the XSAVE area, the frame's start or its fsave header. */
enum code { OP_WRITE, OP_AND, OP_OR, OP_XOR, OP_FILL, OP_MOVE, OP_POINTER, OP_OFFSET, OP_PAGES };
enum region { AREA, HEAD, FSAVE };

struct op {
	enum code code;
	enum region region;
	unsigned int at, length;
	uint64_t value;
	const void *bytes;
};

#define WRITE(region, at, length, bytes) { OP_WRITE, region, at, length, 0, bytes }
#define AND(region, at, length, value)	{ OP_AND, region, at, length, value, NULL }
#define OR(region, at, length, value)	{ OP_OR, region, at, length, value, NULL }
#define XOR(region, at, length, value)	{ OP_XOR, region, at, length, value, NULL }
#define FILL(at, length, byte)		{ OP_FILL, AREA, at, length, byte, NULL }
#define MOVE(at, length)		{ OP_MOVE, AREA, at, length, 0, NULL }
#define POINTER(address)		{ OP_POINTER, AREA, 0, 0, address, NULL }
#define OFFSET(distance)		{ OP_OFFSET, AREA, 0, 0, distance, NULL }
${when(
  uses.pages,
  `#define PAGES(at, length, state)	{ OP_PAGES, AREA, at, length, state, NULL }

enum pages { EVICTED, READONLY, UNREADABLE, HOLE };
`,
)}
enum abi { X86_64, IA32_RT, IA32, X32 };
enum raise { TGKILL, TGKILL32, FAKE, TIMER, BLOCKED, IPI };
enum ends { RETURNED, REJECTED, ASTRAY, DIED, UNDELIVERED, ENDLESS };
${when(uses.stack, 'enum stack { ORDINARY, PLAIN, FRESH, READONLY_STACK, UNREADABLE_STACK, CLOSED_KEY };\n')}
/* One frame, and what is expected of it. */
struct probe {
	const char *name;
	const struct layout *layout;
	enum abi abi;
	enum raise raise;
${when(
  uses.stack,
  `	enum stack stack;		/* the alternate stack that it is delivered onto */
	unsigned int stack_bytes;
`,
)}	const unsigned char *load;	/* in the registers when the signal hits */
	const unsigned char *poison;	/* left there by the handler */
${when(
  uses.fake,
  `	const unsigned char *built;	/* fsave header and area of a frame that no signal made */
`,
)}	const struct op *edit;
	unsigned int nr_ops;
	unsigned int sent_bytes;	/* of the area and what is behind it */

	enum ends ends;
	int signal;			/* ASTRAY: which, 0 for any */
	struct expected state[MAX_COMPONENTS];
	uint32_t mxcsr[2];		/* one of these */
	unsigned int nr_mxcsr;		/* 0: anything */
};

struct test {
	const char *name;
	const struct probe *probes;
	unsigned int nr_probes;
	const char *skip;
	const char *newer;
};

/* Where things are in a frame: arch/x86/include/asm/sigframe.h. */
static const struct shape {
	const char *name;
	unsigned int bytes, pointer_at, pointer_bytes, fsave;
} shapes[] = {
	[X86_64] = { "x86_64", 440, 232, 8, 0 },
	[IA32_RT] = { "ia32 RT", 268, 240, 4, FSAVE_BYTES },
	[IA32] = { "ia32", 732, 84, 4, FSAVE_BYTES },
	[X32] = { "x32", 424, 216, 8, 0 },
};
`
