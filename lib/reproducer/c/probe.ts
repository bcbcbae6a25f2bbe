/** The process of one probe: its memory, its handlers, the edit, the raise. */
import { type Uses, when } from './uses.ts'

const pagesPart = `
/* The pages of the second buffer that hold these bytes become something else. */
static void change_pages(const struct op *op, const unsigned char *area)
{
	const unsigned long first = ((uintptr_t)area + op->at) / PAGE * PAGE;
	const unsigned long end = ((uintptr_t)area + op->at + op->length + PAGE - 1) / PAGE * PAGE;
	void *pages = (void *)first;
	int fd;

	switch ((enum pages)op->value) {
	case EVICTED:
		if (madvise(pages, end - first, MADV_DONTNEED))
			unable("madvise(MADV_DONTNEED)", errno);
		return;
	case READONLY:
		if (mprotect(pages, end - first, PROT_READ))
			unable("mprotect", errno);
		return;
	case UNREADABLE:
		if (mprotect(pages, end - first, PROT_NONE))
			unable("mprotect", errno);
		return;
	case HOLE:
		fd = syscall(SYS_memfd_create, "hole", 0);
		if (fd < 0)
			unable("memfd_create", errno);
		if (mmap(pages, end - first, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != pages)
			unable("mmap of a hole", errno);
	}
}
`

const spareDefinitions = `
/* The second buffer: a page before it for a 32-bit frame's fsave header, one behind it that nobody may read. */
static unsigned char *spare(void)
{
	return (unsigned char *)STACK + STACK_BYTES + probe->layout->room + 2 * PAGE;
}
`

const moveStep = `
		case OP_MOVE:
			memcpy(spare() + op->at - shape->fsave, area - shape->fsave, shape->fsave + op->length);
			area = spare() + op->at;
			set_pointer(head, (uintptr_t)area - shape->fsave);
			break;`

const noMove = `
		case OP_MOVE:
			break;`

export const editingOf = (uses: Uses): string => `
static const struct probe *probe;	/* the one under way */
static const struct shape *shape;	/* of its frame */

static void unable(const char *what, int error) __attribute__((noreturn));
static void unable(const char *what, int error)
{
	run->end = UNABLE;
	run->unable = what;
	run->error = error;
	_exit(0);
}
${when(uses.spare, spareDefinitions)}
static uint64_t get(const void *at, unsigned int length)
{
	uint64_t value = 0;

	memcpy(&value, at, length);
	return value;
}

static void set_pointer(unsigned char *head, uint64_t value)
{
	memcpy(head + shape->pointer_at, &value, shape->pointer_bytes);
}

static unsigned char *place_of(const struct op *op, unsigned char *head, unsigned char *area)
{
	if (op->region == AREA)
		return area + op->at;
	if (op->region == FSAVE)
		return area - FSAVE_BYTES + op->at;
	/* struct sigframe_ia32: 624 unused bytes lie between sigcontext and extramask */
	return head + op->at + (probe->abi == IA32 && op->at >= 96 ? 624 : 0);
}

/* Returns where the area lies then. */
static unsigned char *edit(unsigned char *head, unsigned char *area)
{
	const struct op *op;

	for (op = probe->edit; op != probe->edit + probe->nr_ops; op++) {
		unsigned char *at = place_of(op, head, area);
		uint64_t value = op->value;

		switch (op->code) {
		case OP_WRITE:
			memcpy(at, op->bytes, op->length);
			break;
		case OP_AND:
			value &= get(at, op->length);
			memcpy(at, &value, op->length);
			break;
		case OP_OR:
			value |= get(at, op->length);
			memcpy(at, &value, op->length);
			break;
		case OP_XOR:
			value ^= get(at, op->length);
			memcpy(at, &value, op->length);
			break;
		case OP_FILL:
			memset(at, (int)value, op->length);
			break;${uses.spare ? moveStep : noMove}
		case OP_POINTER:
			set_pointer(head, value);
			break;
		case OP_OFFSET:
			set_pointer(head, value + get(head + shape->pointer_at, shape->pointer_bytes));
			break;
		case OP_PAGES:
			break;
		}
	}
	return area;
}
${when(uses.pages, pagesPart)}
static void record(unsigned char *to, unsigned char *fsave, const unsigned char *area, unsigned int length)
{
	memcpy(fsave, area - shape->fsave, shape->fsave);
	memcpy(to, area, length);
}

/* Called from the handler with the frame. */
static void handle(unsigned char *head)
{
	unsigned char *area;
	const unsigned int bytes = probe->layout->xstate_size + sizeof(uint32_t);
	unsigned int sent = probe->sent_bytes;

	if (run->phase != ARMED)
		return;
	run->fired = 1;
	run->phase = HANDLER;
	area = (unsigned char *)get(head + shape->pointer_at, shape->pointer_bytes) + shape->fsave;
	if ((uintptr_t)area < STACK || (uintptr_t)area + bytes > STACK + STACK_BYTES)
		_exit(81);	/* not where it was to be written */
	record(run->written, run->written_fsave, area, bytes);
	run->frames = 1;
	area = edit(head, area);
	if (sent > IMAGE_BYTES)
		sent = IMAGE_BYTES;
	record(run->sent, run->sent_fsave, area, sent);
	run->pointer = get(head + shape->pointer_at, shape->pointer_bytes);
${when(
  uses.pages,
  `	for (const struct op *op = probe->edit; op != probe->edit + probe->nr_ops; op++)
		if (op->code == OP_PAGES)
			change_pages(op, area);
`,
)}	run->phase = RETURNING;
}
`

const installIa32 = `
static long int80(unsigned long number, unsigned long b, unsigned long c, unsigned long d, unsigned long s)
{
	long result = number;

	asm volatile("int $0x80"
		     : "+a"(result)
		     : "b"(b), "c"(c), "d"(d), "S"(s)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

/* Whether there are 32-bit system calls: their absence may be deadly. */
static void ask_int80(void)
{
	run->end = UNABLE;
	run->unable = "32-bit system calls (CONFIG_IA32_EMULATION)";
	run->error = ENOSYS;
	if (int80(20, 0, 0, 0, 0) != getpid())
		_exit(0);
	run->end = NOTHING;
}

/* The handler's frames are 32-bit ones, since it is a 32-bit call that registers it. */
static int install_ia32(int signal, unsigned int flags)
{
	run->action32.handler = low(entry32);
	run->action32.flags = flags | (probe->abi == IA32_RT ? SA_SIGINFO : 0);
	return (int)-int80(174, signal, (uintptr_t)&run->action32, 0, sizeof(run->action32.mask));
}
`

const installX32 = `
#define X32_BIT	0x40000000L

static int install_x32(int signal, unsigned int flags)
{
	struct {
		uint32_t handler, flags, restorer, mask[2];
	} *action = (void *)ALTSTACK;	/* not in use yet, and low */

	action->handler = low(entry64);
	action->flags = flags | SA_SIGINFO | 0x04000000;
	action->restorer = low(restorer_x32);
	action->mask[0] = action->mask[1] = 0;
	return syscall(X32_BIT | 512, signal, action, NULL, sizeof(action->mask)) ? errno : 0;
}
`

const fakePart = (uses: Uses): string => `
/* A frame that no signal made, on the stack that a signal would have used. */
static void fake(void)
{
	const unsigned int bytes = probe->layout->xstate_size + sizeof(uint32_t);
	const unsigned long at = (run->stack - bytes) / 64 * 64;
	unsigned char *area = (unsigned char *)at, *head;
	stack_t alternate;

	sigaltstack(NULL, &alternate);
	head = (unsigned char *)((at - shape->fsave - shape->bytes) / 16 * 16 - 8);
	if (shape->fsave)	/* 16-byte aligned as at a function's entry, where pointers have 4 bytes */
		head = (unsigned char *)((at - shape->fsave - shape->bytes + 4) / 16 * 16 - 4);
	memset(head, 0, area - head);
	if (!shape->fsave) {
		uint64_t *reg = (uint64_t *)(head + (probe->abi == X86_64 ? 48 : 32));

		if (probe->abi == X86_64) {
			*(uint64_t *)(head + 8) = 7;
			memcpy(head + 24, &alternate, sizeof(alternate));
		} else {
			const uint32_t stack[] = {
				(uintptr_t)alternate.ss_sp, alternate.ss_flags, alternate.ss_size,
			};

			*(uint32_t *)(head + 8) = 7;
			memcpy(head + 16, stack, sizeof(stack));
		}
		reg[REG_RIP] = low(at_raised);
		reg[REG_RSP] = (uintptr_t)head;
		reg[REG_EFL] = 0x202;
		reg[REG_CSGSFS] = 0x33 | 0x2bUL << 48;
		run->call[0] = probe->abi == X86_64 ? 15 : 0x40000201;
		run->how = BY_SYSCALL;
		run->stack = (uintptr_t)head + 8;
	}${when(
    uses.ia32,
    ` else {
		uint32_t *reg = (uint32_t *)(head + (probe->abi == IA32_RT ? 164 : 8));
		const uint32_t stack[] = {
				(uintptr_t)alternate.ss_sp, alternate.ss_flags, alternate.ss_size,
			};

		if (probe->abi == IA32_RT) {
			*(uint32_t *)(head + 144) = 1;
			memcpy(head + 152, stack, sizeof(stack));
		}
		reg[2] = reg[3] = reg[18] = 0x2b;	/* ES, DS, SS */
		reg[7] = (uintptr_t)head;
		reg[14] = low(at_raised);
		reg[15] = 0x33;
		reg[16] = 0x202;
		run->call[0] = run->sigreturn32;
		run->how = BY_INT80;
		run->stack = (uintptr_t)head + run->popped;
	}`,
  )}
	set_pointer(head, at - shape->fsave);
	memcpy(area - shape->fsave, probe->built + FSAVE_BYTES - shape->fsave, shape->fsave + bytes);
	run->phase = ARMED;
	handle(head);
	run->phase_at_raise = RETURNING;
	run->load = run->poison;
}
`

const stackPart = `
/* The frame is to come onto an alternate stack, whose pages may be of any kind. */
static void use_stack(unsigned char *end)
{
	const unsigned long whole = (probe->stack_bytes + PAGE - 1) / PAGE * PAGE;
	unsigned char *pages = end - whole;
	stack_t stack = { .ss_sp = end - probe->stack_bytes, .ss_size = probe->stack_bytes };

	if (whole > STACK_BYTES)
		unable("so large a stack", ENOMEM);
	switch (probe->stack) {
	case ORDINARY:
	case PLAIN:
	case FRESH:
		break;
	case READONLY_STACK:
		if (mprotect(pages, whole, PROT_READ))
			unable("mprotect", errno);
		break;
	case UNREADABLE_STACK:
		if (mprotect(pages, whole, PROT_NONE))
			unable("mprotect", errno);
		break;
	case CLOSED_KEY:
		if (syscall(SYS_pkey_alloc, 0, 0) != 1)
			unable("protection key 1", errno);
		if (syscall(SYS_pkey_mprotect, pages, whole, PROT_READ | PROT_WRITE, 1))
			unable("pkey_mprotect", errno);
		run->open_keys = 1;
		break;
	}
	map(OWN_STACK, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	run->stack = OWN_STACK + STACK_BYTES - PAGE;
	if (sigaltstack(&stack, NULL))
		unable("sigaltstack", errno);
}
`

const waitingPart = `
static const uint64_t no_signals;

/* Until the registers are loaded. */
static void block(int signal)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, signal);
	sigprocmask(SIG_BLOCK, &mask, NULL);
}
`

const spinPart = `
/* Loads the registers, lets signals in, and waits in user mode. */
static void spin(int signal)
{
	block(signal);
	run->how = BY_SPINNING;
	run->call[0] = SYS_rt_sigprocmask;
	run->call[1] = SIG_SETMASK;
	run->call[2] = (uintptr_t)&no_signals;
	run->call[3] = 0;
	run->call[4] = sizeof(no_signals);
}
`

const siblingPart = `
/*
 * Another process sends the signal: on the same CPU, while this one sleeps, or
 * on another one, while this one spins.
 */
static void start_sibling(int signal, int same_cpu)
{
	const pid_t target = getpid();
	const int cpu = sched_getcpu();
	cpu_set_t here, there;

	if (cpu < 0 || sched_getaffinity(0, sizeof(there), &there))
		unable("sched_getaffinity", errno);
	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	CPU_CLR(cpu, &there);
	if (!same_cpu && !CPU_COUNT(&there))
		unable("another CPU", ENODEV);
	if (sched_setaffinity(0, sizeof(here), &here))
		unable("sched_setaffinity", errno);
	switch (fork()) {
	case -1:
		unable("fork", errno);
	case 0: {
		const struct timespec soon = { .tv_nsec = 20000000 };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!same_cpu)
			sched_setaffinity(0, sizeof(there), &there);
		nanosleep(&soon, NULL);
		/* The CPU is to hold other registers meanwhile. */
		asm volatile("xrstor64 (%0)"
			     :
			     : "r"(run->left), "a"((uint32_t)run->rfbm), "d"((uint32_t)(run->rfbm >> 32))
			     : "memory");
		syscall(SYS_tgkill, target, target, signal);
		_exit(0);
	}
	}
}
`

export const probeOf = (uses: Uses): string => `
#if defined(__clang__) || __GNUC__ >= 11
#define NO_CANARY __attribute__((no_stack_protector))
#else
#define NO_CANARY __attribute__((optimize("no-stack-protector")))
#endif

/*
 * The kernel's answer to a bad frame. The thread pointer may be gone, so
 * nothing of the C library runs here but plain system calls.
 */
static void NO_CANARY on_fault(int signal, siginfo_t *info, void *context)
{
	greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
	static const unsigned long by_default[4];
	const unsigned long ip = reg[REG_RIP];
	int raised = ip > low(at_load) && ip <= low(at_raised);

	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~AC_AND_DF);
${when(uses.ia32, '\traised |= ip == low(at_raised32);\n')}	if (run->faults++) {
		/* What the answer left in the registers does not let the process go on. */
		syscall(SYS_rt_sigaction, signal, by_default, NULL, sizeof(*by_default));
		syscall(SYS_tgkill, run->pid, run->pid, signal);
		return;
	}
	run->end = SIGNALLED;
	run->signal = signal;
	run->sicode = info->si_code;
	run->address = (uintptr_t)info->si_addr;
	if (run->phase == IDLE && ip == low(at_load)) {
		run->where = AT_LOAD;
		reg[REG_RIP] = low(at_skip);
		return;
	}
	if (run->phase == ARMED && raised) {
		run->where = AT_DELIVERY;
		run->fired = 1;
	} else if (run->phase == RETURNING && raised && info->si_code == SI_KERNEL) {
		/* By the time it finds the FPU state bad, the kernel has the frame's RIP. */
		run->where = AT_SIGRETURN;
	} else {
		run->where = run->phase == RETURNING ? BEHIND : NOWHERE;
		_exit(0);
	}
	/* The frame may have brought segments with which nothing runs. */
	reg[REG_CSGSFS] &= 0xffffffffL << 16;
	reg[REG_CSGSFS] |= 0x33 | 0x2bL << 48;${when(
    uses.ia32,
    `
	if (ip == low(at_raised32))
		reg[REG_CSGSFS] ^= 0x33 ^ 0x23;`,
  )}
}

static void *map(unsigned long at, unsigned long bytes, int protection, int flags)
{
	void *mapped = mmap((void *)at, bytes, protection, flags | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (mapped != (void *)at)
		unable("memory below 4 GiB, at a fixed address", mapped == MAP_FAILED ? errno : EEXIST);
	return mapped;
}

static void map_memory(void)
{
	const struct layout *layout = probe->layout;
	void *code = map(LOW_CODE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	memcpy(code, blob, blob_end - blob);
	if (mprotect(code, PAGE, PROT_READ | PROT_EXEC))
		unable("executable memory below 4 GiB", errno);
	map(ALTSTACK, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	map(STACK, STACK_BYTES + layout->room + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
${when(
  uses.spare,
  `	/* Shared, so that pages can be evicted from it and still be had. */
	map((uintptr_t)spare() - PAGE, PAGE + layout->spare_bytes, PROT_READ | PROT_WRITE, MAP_SHARED);
	map((uintptr_t)spare() + layout->spare_bytes, PAGE, PROT_NONE, MAP_PRIVATE);
`,
)}}

/* The places of all components, as this CPU and this kernel have them. */
static void check_cpu(void)
{
	const struct layout *layout = probe->layout;
	unsigned int a, b, c, d, i;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		unable("XSAVE", ENODEV);
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	if (layout->xfeatures & ~(a | (uint64_t)d << 32))
		unable("all components of these frames in XCR0", ENODEV);
	for (i = 0; i < layout->nr_components; i++) {
		const struct component *one = &layout->components[i];

		if (one->index < 2)
			continue;
		__cpuid_count(0xd, one->index, a, b, c, d);
		if (a != one->size || b != one->offset)
			unable("the layout that these frames have: CPUID leaf 0xD differs", ENODEV);
	}
}
${when(uses.ia32, installIa32)}${when(uses.x32, installX32)}
/* The kernel's struct sigaction: the C library's function brings its own restorer. */
static int install_64(int signal, unsigned long flags)
{
	const struct {
		unsigned long handler, flags, restorer, mask;
	} action = { low(entry64), flags | SA_SIGINFO | 0x04000000, low(restorer64), 0 };

	return syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof(action.mask)) ? errno : 0;
}

static void install_handlers(int signal, int on_stack)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	const int flags = on_stack ? SA_ONSTACK : 0;
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_NODEFER | (on_stack ? 0 : SA_ONSTACK) };
	int error = 0;

	action.sa_sigaction = on_fault;
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		sigaction(faults[i], &action, NULL);
	if (probe->abi == X86_64)
		error = install_64(signal, flags);
${when(
  uses.ia32,
  `	if (shape->fsave)
		error = install_ia32(signal, flags);
`,
)}${when(
  uses.x32,
  `	if (probe->abi == X32)
		error = install_x32(signal, flags);
`,
)}	if (error)
		unable("the signal handler", error);
}
${when(uses.fake, fakePart(uses))}${when(uses.stack, stackPart)}${when(uses.spin || uses.sibling, waitingPart)}${when(uses.spin, spinPart)}${when(uses.sibling, siblingPart)}
/* In a process of its own. */
static void run_here(void)
{
	static unsigned char handler_stack[65536] __attribute__((aligned(64)));
	const struct layout *layout = probe->layout;
	const struct rlimit none = { 0, 0 };
	const int signal = ${uses.timer ? 'probe->raise == TIMER ? SIGALRM : SIGUSR1' : 'SIGUSR1'};
	stack_t alternate = { .ss_sp = (void *)ALTSTACK, .ss_size = STACK_BYTES };
	unsigned char *stack_end = (unsigned char *)STACK + STACK_BYTES;
	int on_stack = 0;
${when(
  uses.timer,
  '\tconst struct itimerval soon = { .it_value.tv_usec = 20000 };\n',
)}${when(uses.sibling, '\tstatic const struct timespec second = { .tv_sec = 1 };\n')}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
${when(
  uses.ia32,
  `	if (shape->fsave || probe->raise == TGKILL32)
		ask_int80();
`,
)}${when(
  uses.x32,
  `	if (probe->abi == X32 && syscall(0x40000000L | SYS_getpid) != getpid())
		unable("x32 system calls (CONFIG_X86_X32_ABI)", ENOSYS);
`,
)}${when(
  uses.permission,
  `	/* ARCH_REQ_XCOMP_PERM: tile data is in no frame before. */
	if (layout->xfeatures & 1 << 18 && syscall(SYS_arch_prctl, 0x1023, 18))
		unable("the permission for AMX", errno);
`,
)}	check_cpu();
	map_memory();
${when(
  uses.ia32,
  `	syscall(SYS_arch_prctl, 0x1003, &run->fs_base);	/* ARCH_GET_FS */
`,
)}	memcpy(run->before, probe->load, layout->xstate_size);
	memcpy(run->left, probe->poison, layout->xstate_size);
	run->load = run->before;
	run->poison = run->left;
	run->after_image = run->after;
	run->rfbm = layout->xfeatures;
	run->stack = (uintptr_t)stack_end;
	run->handler_stack = (uintptr_t)handler_stack + sizeof(handler_stack);
	run->handler = handle;
	run->popped = probe->abi == IA32_RT ? 4 : 8;
	run->sigreturn32 = probe->abi == IA32_RT ? 173 : 119;
	run->phase_at_raise = ARMED;
	run->pid = getpid();
	run->call[0] = SYS_tgkill;
	run->call[1] = run->pid;
	run->call[2] = run->pid;
	run->call[3] = signal;
	if (sigaltstack(&alternate, NULL))
		unable("sigaltstack", errno);
${when(
  uses.stack,
  `	if (probe->stack != ORDINARY)
		on_stack = 1;
`,
)}	install_handlers(signal, on_stack);
${when(
  uses.stack,
  `	if (on_stack)
		use_stack(stack_end);
`,
)}	switch (probe->raise) {
	case TGKILL:
		break;
	case TGKILL32:
		run->how = BY_CODE32;
		break;
	case FAKE:
${when(uses.fake, '\t\tfake();\n')}		break;
	case TIMER:
${when(
  uses.timer,
  `		spin(signal);
		if (setitimer(ITIMER_REAL, &soon, NULL))
			unable("setitimer", errno);
`,
)}		break;
	case IPI:
${when(
  uses.sibling && uses.spin,
  `		spin(signal);
		start_sibling(signal, 0);
`,
)}		break;
	case BLOCKED:
${when(
  uses.sibling,
  `		block(signal);
		start_sibling(signal, 1);
		run->call[0] = SYS_ppoll;
		run->call[1] = run->call[2] = 0;
		run->call[3] = (uintptr_t)&second;
		run->call[4] = (uintptr_t)&no_signals;
		run->call[5] = sizeof(no_signals);
`,
)}		break;
	}
	((void (*)(void))low(fire))();
	if (run->end == NOTHING)
		run->end = CAME_BACK;
	_exit(0);
}

/* Runs a probe, and waits for its end. */
static void run_probe(const struct probe *which)
{
	struct timespec timeout = { .tv_sec = TIMEOUT_SECONDS };
	sigset_t child, old;
	siginfo_t info = { 0 };
	pid_t pid;

	probe = which;
	shape = &shapes[probe->abi];
	memset(run, 0, sizeof(*run));
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &old);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* Whatever whoever started us has blocked. */
		sigemptyset(&child);
		sigprocmask(SIG_SETMASK, &child, NULL);
		run_here();
	}
	if (pid < 0) {
		run->end = UNABLE;
		run->unable = "fork";
		run->error = errno;
	} else {
		int arrived;

		do
			arrived = sigtimedwait(&child, NULL, &timeout);
		while (arrived < 0 && errno == EINTR);
		if (arrived < 0) {
			kill(pid, SIGKILL);
			run->end = TIMED_OUT;
		}
		while (waitid(P_PID, pid, &info, WEXITED) && errno == EINTR)
			;
	}
	if (pid > 0 && run->end != TIMED_OUT && run->end != UNABLE &&
	    (info.si_code != CLD_EXITED || info.si_status != 0)) {
		run->end = ENDED;
		run->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
		run->status = info.si_status;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
}
`
