/* A process whose stacks hold signal frames. It prints one line of JSON, then waits; or, told so, crashes. */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { threads = 3, alternate_size = 64 << 10 };

struct seen {
	void *fpstate;
	int tid;
};

static struct seen returned[2], thread_seen[threads], outer, inner;
static pthread_barrier_t arrived;
static int crashes;
static __thread int number = -1;

static int tid(void)
{
	return syscall(SYS_gettid);
}

static struct seen seen_in(void *context)
{
	return (struct seen){ ((ucontext_t *)context)->uc_mcontext.fpregs, tid() };
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

/* Raises with registers that hold known bytes, and looks at nothing that could change them before. */
static void raise_loaded(int signal)
{
	static unsigned char value[32] __attribute__((aligned(32)));

	for (int i = 0; i < 32; i++)
		value[i] = 0xa0 + i;
	if (__builtin_cpu_supports("avx"))
		asm volatile("vmovdqu %0, %%ymm15\n\tvmovdqu %0, %%ymm3" : : "m"(value) : "memory");
	else
		asm volatile("movdqu %0, %%xmm15\n\tmovdqu %0, %%xmm3" : : "m"(value) : "memory");
	asm volatile("syscall"
		     :
		     : "a"(SYS_tgkill), "D"(getpid()), "S"(tid()), "d"(signal)
		     : "rcx", "r11", "memory");
}

static void on_return(int signal, siginfo_t *info, void *context)
{
	returned[signal == SIGUSR2] = seen_in(context);
}

/* Deep below all that comes later, so that nothing overwrites what is left over. */
__attribute__((noinline)) static void return_deep_down(int signal)
{
	volatile char *deep = alloca(256 << 10);

	deep[0] = 0;
	raise(signal);
}

static void print(const char *state, struct seen seen, int last)
{
	printf("{\"state\":\"%s\",\"fpstate\":\"%p\",\"tid\":%d}%s", state, seen.fpstate, seen.tid, last ? "" : ",");
}

static void on_inner(int signal, siginfo_t *info, void *context)
{
	inner = seen_in(context);
	printf("{\"avx\":%s,\"frames\":[", __builtin_cpu_supports("avx") ? "true" : "false");
	for (int i = 0; i < threads; i++)
		print("in flight", thread_seen[i], 0);
	print("left over", returned[0], 0);
	print("left over", returned[1], 0);
	print("in flight", outer, 0);
	print("in flight", inner, 1);
	printf("]}\n");
	fflush(stdout);
	if (crashes)
		__builtin_trap();
	wait_for_ever();
}

static void on_outer(int signal, siginfo_t *info, void *context)
{
	outer = seen_in(context);
	raise_loaded(SIGHUP);
}

static void on_thread(int signal, siginfo_t *info, void *context)
{
	thread_seen[number] = seen_in(context);
	pthread_barrier_wait(&arrived);
	wait_for_ever();
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaction(signal, &action, NULL);
}

static void *in_thread(void *argument)
{
	number = (int)(intptr_t)argument;
	raise_loaded(SIGALRM);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_attr_t attributes;
	stack_t alternate = { .ss_sp = malloc(alternate_size), .ss_size = alternate_size };

	crashes = argc > 1 && strcmp(argv[1], "crash") == 0;
	handle(SIGUSR1, on_return, 0);
	handle(SIGUSR2, on_return, SA_ONSTACK);
	handle(SIGTERM, on_outer, 0);
	handle(SIGHUP, on_inner, SA_ONSTACK);
	handle(SIGALRM, on_thread, 0);

	return_deep_down(SIGUSR1);

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	pthread_barrier_init(&arrived, NULL, threads + 1);
	for (int i = 0; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attributes, in_thread, (void *)(intptr_t)i) != 0)
			return 1;
	}
	pthread_barrier_wait(&arrived);

	/* One that is returned from on an alternate stack, and another stack for what comes next: it would overwrite it. */
	sigaltstack(&alternate, NULL);
	return_deep_down(SIGUSR2);
	stack_t next = { .ss_sp = malloc(alternate_size), .ss_size = alternate_size };
	sigaltstack(&next, NULL);

	raise_loaded(SIGTERM);
	return 0;
}
