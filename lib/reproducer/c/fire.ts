/** What a probe leaves behind, and the assembly in which the registers are live. */
import { type Uses, when } from './uses.ts'

const openKeys = String.raw`
/* The kernel has closed all keys but the first. */
"	cmpl	$0, 144(%r12)\n"
"	je	7f\n"
"	xorl	%eax, %eax\n"
"	xorl	%ecx, %ecx\n"
"	xorl	%edx, %edx\n"
"	wrpkru\n"
"7:\n"`

const code32 = (uses: Uses): string => String.raw`
/*
 * tgkill from 32-bit code. 0x23 and 0x33 are __USER32_CS and __USER_CS.
 */
"5:	movl	%edi, %ebx\n"
"	movl	%esi, %ecx\n"
"	ljmpl	*to_code32(%rip)\n"
"	.balign	8\n"
"to_code32:\n"
"	.long	LOW_CODE + code32 - blob\n"
"	.word	0x23\n"
"	.code32\n"
"code32:\n"
"	movl	$270, %eax\n"
"	int	$0x80\n"
"at_raised32:\n"
"	ljmp	$0x33, $(LOW_CODE + at_raised - blob)\n"
/*
 * A handler that was registered by int $0x80 is entered in 32-bit code. It
 * returns by int $0x80 too, with the stack pointer as its restorer leaves it.
 */
"	.balign	16\n"
"entry32:\n"
"	ljmp	$0x33, $(LOW_CODE + 6f - blob)\n"
"	.code64\n"
"6:	movl	%esp, %ebx\n"
"	movl	$RUN, %r12d\n"
"	movq	96(%r12), %rsp\n"${when(uses.closedKey, openKeys)}
"	movq	%rbx, %rdi\n"
"	call	*104(%r12)\n"
"	movl	32(%r12), %eax\n"
"	movl	36(%r12), %edx\n"
"	movq	24(%r12), %rcx\n"
"	movl	124(%r12), %esi\n"
"	addl	120(%r12), %ebx\n"
"	xrstor64 (%rcx)\n"
"	movl	%ebx, %esp\n"
"	movl	%esi, %eax\n"
"	int	$0x80\n"
"	ud2\n"`

const restoreFs = String.raw`
/* The return from a 32-bit frame may have taken the thread pointer away. */
"	movl	$158, %eax\n"
"	movl	$0x1002, %edi\n"
"	movq	136(%rbx), %rsi\n"
"	syscall\n"`

// What is between at_load and at_raised can be interrupted.
const int80 = String.raw`
"	jmp	at_raised\n"
"4:	int	$0x80\n"`

const spin = String.raw`
"	jmp	at_raised\n"
"3:	syscall\n"
"8:	pause\n"
"	cmpl	$0, 132(%rbx)\n"
"	je	8b\n"`

const ways = ({ ia32, fake, spin: spins }: Uses): string =>
  when(
    ia32 || spins,
    String.raw`
"	cmpl	$1, 112(%rbx)\n"${when(
      ia32,
      String.raw`
"	je	5f\n"`,
    )}${when(
      ia32 && fake,
      String.raw`
"	cmpl	$2, 112(%rbx)\n"
"	je	4f\n"`,
    )}${when(
      spins,
      String.raw`
"	cmpl	$3, 112(%rbx)\n"
"	je	3f\n"`,
    )}`,
  )

export const fireOf = (uses: Uses): string => String.raw`
enum end { NOTHING, CAME_BACK, SIGNALLED, ENDED, TIMED_OUT, UNABLE };
enum where { NOWHERE, AT_LOAD, AT_DELIVERY, AT_SIGRETURN, BEHIND };
enum phase { IDLE, ARMED, HANDLER, RETURNING };
enum how { BY_SYSCALL, BY_CODE32, BY_INT80, BY_SPINNING };

/* One probe: what its process is told and what it tells. Shared memory. */
struct run {
	/* The assembly reads these, at their offsets. */
	unsigned long stack;		/*   0: at the raise; the frame goes below */
	const void *load;		/*   8 */
	void *after_image;		/*  16 */
	const void *poison;		/*  24 */
	uint64_t rfbm;			/*  32 */
	unsigned long saved_sp;		/*  40 */
	unsigned long call[6];		/*  48: number and arguments */
	unsigned long handler_stack;	/*  96 */
	void (*handler)(unsigned char *head);	/* 104 */
	enum how how;			/* 112 */
	volatile enum phase phase;	/* 116 */
	unsigned int popped;		/* 120: what a 32-bit restorer has popped */
	unsigned int sigreturn32;	/* 124: its system call */
	enum phase phase_at_raise;	/* 128 */
	volatile unsigned int fired;	/* 132 */
	unsigned long fs_base;		/* 136 */
	unsigned int open_keys;		/* 144 */

	pid_t pid;
	enum end end;
	enum where where;
	int signal, sicode, status;
	unsigned long address;
	const char *unable;		/* what could not be done, and why */
	int error;
	unsigned int faults, frames;
	unsigned long pointer;		/* of the frame as sent */
${when(
  uses.ia32,
  `	struct {
		uint32_t handler, flags, restorer, mask[2];
	} action32;
`,
)}	unsigned char written_fsave[FSAVE_BYTES], sent_fsave[FSAVE_BYTES];
	unsigned char written[IMAGE_BYTES + 64];	/* as the kernel wrote it */
	unsigned char sent[IMAGE_BYTES];
	unsigned char before[IMAGE_BYTES] __attribute__((aligned(64)));
	unsigned char left[IMAGE_BYTES] __attribute__((aligned(64)));
	unsigned char after[IMAGE_BYTES] __attribute__((aligned(64)));
};

_Static_assert(offsetof(struct run, call) == 48 && offsetof(struct run, handler_stack) == 96 &&
	       offsetof(struct run, how) == 112 && offsetof(struct run, open_keys) == 144,
	       "the assembly has these offsets");
_Static_assert(RUN + sizeof(struct run) <= ALTSTACK, "too large");

static struct run *const run = (struct run *)RUN;

/*
 * From XRSTOR over the raise to XSAVE nothing compiled runs. This code is
 * copied to LOW_CODE, and works there alone.
 */
asm(
"	.pushsection .text\n"
"	.set	LOW_CODE, 0x10000000\n"
"	.set	RUN, 0x10001000\n"
"	.balign	64\n"
"blob:\n"
"fire:\n"
"	pushq	%rbx\n"
"	pushq	%rbp\n"
"	pushq	%r12\n"
"	pushq	%r13\n"
"	pushq	%r14\n"
"	pushq	%r15\n"
"	movl	$RUN, %ebx\n"
"	movq	%rsp, 40(%rbx)\n"
"	movq	(%rbx), %rsp\n"
"	movl	32(%rbx), %eax\n"
"	movl	36(%rbx), %edx\n"
"	movq	8(%rbx), %rcx\n"
"at_load:\n"
"	xrstor64 (%rcx)\n"
"	movl	128(%rbx), %eax\n"
"	movl	%eax, 116(%rbx)\n"
"	movq	48(%rbx), %rax\n"
"	movq	56(%rbx), %rdi\n"
"	movq	64(%rbx), %rsi\n"
"	movq	72(%rbx), %rdx\n"
"	movq	80(%rbx), %r10\n"
"	movq	88(%rbx), %r8\n"${ways(uses)}
"	syscall\n"${when(uses.ia32 && uses.fake, int80)}${when(uses.spin, spin)}
"at_raised:\n"
"	movl	$RUN, %ebx\n"
"	movl	32(%rbx), %eax\n"
"	movl	36(%rbx), %edx\n"
"	movq	16(%rbx), %rcx\n"
"	xsave64	(%rcx)\n"
"at_skip:\n"
"	movl	$RUN, %ebx\n"
"	movq	40(%rbx), %rsp\n"
"	pushfq\n"
"	andq	$~0x40400, (%rsp)\n"
"	popfq\n"${when(uses.ia32, restoreFs)}
"	popq	%r15\n"
"	popq	%r14\n"
"	popq	%r13\n"
"	popq	%r12\n"
"	popq	%rbp\n"
"	popq	%rbx\n"
"	ret\n"
/*
 * The signal handler, as the kernel enters it: what it loads before it returns
 * tells what the return left alone.
 */
"	.balign	16\n"
"entry64:\n"
"	movq	%rsp, %rbx\n"
"	movl	$RUN, %r12d\n"
"	movq	96(%r12), %rsp\n"${when(uses.closedKey, openKeys)}
"	movq	%rbx, %rdi\n"
"	call	*104(%r12)\n"
"	movq	%rbx, %rsp\n"
"	movl	32(%r12), %eax\n"
"	movl	36(%r12), %edx\n"
"	movq	24(%r12), %rcx\n"
"	xrstor64 (%rcx)\n"
"	ret\n"
"	.balign	16\n"
"restorer64:\n"
"	movl	$15, %eax\n"
"	syscall\n"
"	ud2\n"${when(
  uses.x32,
  String.raw`
"	.balign	16\n"
"restorer_x32:\n"
"	movl	$0x40000201, %eax\n"
"	syscall\n"
"	ud2\n"`,
)}${when(uses.ia32, code32(uses))}
"blob_end:\n"
"	.popsection\n");

#define LABEL(name) extern const char name[] __attribute__((visibility("hidden")))
LABEL(blob);
LABEL(blob_end);
LABEL(fire);
LABEL(at_load);
LABEL(at_raised);
LABEL(at_skip);
LABEL(entry64);
LABEL(restorer64);
${when(uses.x32, 'LABEL(restorer_x32);\n')}${when(uses.ia32, 'LABEL(at_raised32);\nLABEL(entry32);\n')}
/* Where it is once it was copied. */
static unsigned long low(const char *label)
{
	return LOW_CODE + ((uintptr_t)label - (uintptr_t)blob);
}
`
