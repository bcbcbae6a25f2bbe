/* A 32-bit program without any library: a handler that crashes within a handler, each with its form of frame. */
struct kernel_sigaction {
	void (*handler)();
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask[2];
};

static long call(long number, long a, long b, long c, long d)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return result;
}

enum { nr_kill = 37, nr_getpid = 20, nr_rt_sigaction = 174, hup = 1, usr1 = 10, siginfo = 4 };

static void in_inner(int signal)
{
	asm volatile("ud2");
}

static void in_outer(int signal)
{
	call(nr_kill, call(nr_getpid, 0, 0, 0, 0), hup, 0, 0);
}

static void handle(int signal, void (*handler)(), unsigned long flags)
{
	struct kernel_sigaction action = { .handler = handler, .flags = flags };

	call(nr_rt_sigaction, signal, (long)&action, 0, 8);
}

void _start(void)
{
	handle(usr1, in_outer, siginfo);
	handle(hup, in_inner, 0);
	call(nr_kill, call(nr_getpid, 0, 0, 0, 0), usr1, 0, 0);
}
