/** What was seen, against what is expected: in words, and as a verdict. */
import { type Uses, when } from './uses.ts'

const foldPart = `
/*
 * The x87 state of a 32-bit frame is that of its fsave header: convert_to_fxsr()
 * in arch/x86/kernel/fpu/regset.c.
 */
static void fold(unsigned char *area, const unsigned char *fsave)
{
	const uint32_t tags = get(fsave + 8, 4);
	unsigned int i, abridged = 0;

	if (!shape->fsave)
		return;
	for (i = 0; i < 8; i++)
		abridged |= ((tags >> 2 * i & 3) != 3) << i;
	memcpy(area, fsave, 2);
	memcpy(area + 2, fsave + 4, 2);
	area[4] = abridged;
	area[5] = 0;
	memcpy(area + 6, fsave + 18, 2);
	memset(area + 8, 0, 16);
	memcpy(area + 8, fsave + 12, 4);
	memcpy(area + 16, fsave + 20, 4);
	for (i = 0; i < 8; i++)
		memcpy(area + 32 + 16 * i, fsave + 28 + 10 * i, 10);
}
`

export const judgeOf = (uses: Uses): string => String.raw`
enum verdict { PASS, FAIL, SKIP };

static int aloud;	/* whether anything is said */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list arguments;

	if (!aloud)
		return;
	va_start(arguments, format);
${when(uses.ktap, '\tprintf("# ");\n')}	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
}
${when(uses.ia32, foldPart)}
static int in_use(const unsigned char *image, const struct component *one)
{
	return get(image + XSTATE_BV, 8) >> one->index & 1;
}

/*
 * A component's value, without what holds no state: XSTATE_BV is a hint, the
 * init value may stand for it; FOP, FIP and FDP count with a pending exception.
 * Returns its length.
 */
static unsigned int value_of(unsigned char *to, const unsigned char *image, const struct component *one)
{
	unsigned int i;

	if (one->index) {
		memset(to, 0, one->size);
		if (in_use(image, one))
			memcpy(to, image + one->offset, one->used);
		return one->size;
	}
	memset(to, 0, X87_BYTES);
	if (!in_use(image, one)) {
		to[0] = 0x7f;
		to[1] = 0x03;
		return X87_BYTES;
	}
	memcpy(to, image, 5);
	if (to[2] & 0x80)
		memcpy(to + 6, image + 6, MXCSR - 6);
	for (i = 0; i < 8; i++)
		memcpy(to + 24 + 16 * i, image + 32 + 16 * i, 10);
	return X87_BYTES;
}

static int same(const unsigned char *a, const unsigned char *b, const struct component *one)
{
	static unsigned char x[IMAGE_BYTES], y[IMAGE_BYTES];
	const unsigned int length = value_of(x, a, one);

	value_of(y, b, one);
	return !memcmp(x, y, length);
}

static const unsigned char *init_image(void)
{
	static const unsigned char image[IMAGE_BYTES];

	return image;
}

static void say_bytes(const char *what, const unsigned char *bytes, unsigned int length)
{
	char text[16 * 3 + 1] = "";
	unsigned int i;

	for (i = 0; i < length && i < 16; i++)
		sprintf(text + 3 * i, " %02x", bytes[i]);
	say("      %-8s%s", what, text);
}

/* Where a value can come from. */
static void say_origin(const struct component *one)
{
	if (same(run->after, run->sent, one))
		say("      which is what the frame has");
	else if (same(run->after, init_image(), one))
		say("      which is the init state");
	else if (same(run->after, run->left, one))
		say("      which is what the handler left in the registers: not touched by the return");
	else if (same(run->after, run->before, one))
		say("      which is what the registers held before the signal");
	else
		say("      which comes from none of the frame, the handler and the time before the signal");
}

static enum verdict judge_component(unsigned int which)
{
	static unsigned char is[IMAGE_BYTES], meant[IMAGE_BYTES];
	static const char *const words[] = {
		[ANYTHING] = "may be anything",
		[INIT] = "at init",
		[AS_LOADED] = "as before the signal",
		[AS_POISON] = "as the handler left it",
		[BYTES] = "as edited",
	};
	const struct component *one = &probe->layout->components[which];
	const struct expected *expected = &probe->state[which];
	const unsigned int length = value_of(is, run->after, one);
	unsigned int at;

	if (expected->holds == INIT)
		value_of(meant, init_image(), one);
	if (expected->holds == AS_LOADED)
		value_of(meant, run->before, one);
	if (expected->holds == AS_POISON)
		value_of(meant, run->left, one);
	if (expected->holds == BYTES)
		memcpy(meant, expected->bytes, length);
	if (expected->holds == ANYTHING || !memcmp(is, meant, length)) {
		say("    %-10s as expected: %s", one->name, words[expected->holds]);
		return PASS;
	}
	for (at = 0; is[at] == meant[at];)
		at++;
	say("    %-10s NOT AS EXPECTED (%s), from byte %u of %u on", one->name, words[expected->holds], at,
	    length);
	say_bytes("expected", meant + at, length - at);
	say_bytes("got", is + at, length - at);
	say_origin(one);
	return FAIL;
}

static enum verdict judge_registers(void)
{
	const uint32_t mxcsr = get(run->after + MXCSR, 4);
	enum verdict verdict = PASS;
	unsigned int i;

	for (i = 0; i < probe->layout->nr_components; i++)
		if (judge_component(i) != PASS)
			verdict = FAIL;
	for (i = 0; i < probe->nr_mxcsr && probe->mxcsr[i] != mxcsr;)
		i++;
	if (i < probe->nr_mxcsr || !probe->nr_mxcsr) {
		say("    %-10s as expected: 0x%x", "MXCSR", mxcsr);
		return verdict;
	}
	say("    %-10s NOT AS EXPECTED: 0x%x instead of 0x%x (the frame's is 0x%x)", "MXCSR", mxcsr,
	    probe->mxcsr[0], (unsigned int)get(run->sent + MXCSR, 4));
	return FAIL;
}

/* What a frame says of itself. */
struct fields {
	unsigned int magic1, extended_size, xstate_size, mxcsr;
	unsigned long long xfeatures, xstate_bv, xcomp_bv;
};

static struct fields fields_of(const unsigned char *area)
{
	const unsigned char *sw = area + SW_BYTES;

	return (struct fields){
		.magic1 = get(sw, 4),
		.extended_size = get(sw + 4, 4),
		.xfeatures = get(sw + 8, 8),
		.xstate_size = get(sw + 16, 4),
		.xstate_bv = get(area + XSTATE_BV, 8),
		.xcomp_bv = get(area + XCOMP_BV, 8),
		.mxcsr = get(area + MXCSR, 4),
	};
}

/* The frame as the kernel wrote it: of this layout, right in itself, with all that was in the registers. */
static enum verdict judge_written(void)
{
	static unsigned char area[IMAGE_BYTES];
	const struct layout *layout = probe->layout;
	const unsigned int size = layout->xstate_size;
	const struct fields is = fields_of(run->written);
	const uint32_t magic2 = get(run->written + size, 4);
	enum verdict verdict = PASS;
	unsigned int i;

	if (is.xstate_size != size || is.xfeatures != layout->xfeatures) {
		say("  frames here have xstate_size %u and xfeatures 0x%llx, not %u and 0x%llx:",
		    is.xstate_size, is.xfeatures, size, (unsigned long long)layout->xfeatures);
		say("  another layout");
		return SKIP;
	}
	if (is.magic1 != MAGIC1 || magic2 != MAGIC2 || is.extended_size != size + 4 + shape->fsave ||
	    (is.xstate_bv & 3) != 3 || is.xstate_bv & ~layout->xfeatures || is.xcomp_bv) {
		say("  the frame as the kernel wrote it does not describe itself: magic1 0x%x,", is.magic1);
		say("  extended_size %u, magic2 0x%x, XSTATE_BV 0x%llx, XCOMP_BV 0x%llx", is.extended_size,
		    magic2, is.xstate_bv, is.xcomp_bv);
		verdict = FAIL;
	}
	memcpy(area, run->written, size);
${when(uses.ia32, '\tfold(area, run->written_fsave);\n')}	for (i = 0; i < layout->nr_components; i++) {
		if (same(area, run->before, &layout->components[i]))
			continue;
		say("  the frame as the kernel wrote it has not the %s that was in the registers",
		    layout->components[i].name);
		verdict = FAIL;
	}
	if (get(area + MXCSR, 4) != get(run->before + MXCSR, 4)) {
		say("  the frame as the kernel wrote it has not the MXCSR that was in the registers");
		verdict = FAIL;
	}
	return verdict;
}

static int kernel_segv(enum where where)
{
	return run->end == SIGNALLED && run->where == where && run->signal == SIGSEGV &&
	       run->sicode == SI_KERNEL && !run->address;
}

static int ends_as_expected(void)
{
	switch (probe->ends) {
	case RETURNED:
		return run->end == CAME_BACK && run->frames;
	case REJECTED:
		return kernel_segv(AT_SIGRETURN);
	case ASTRAY:
		if (probe->signal && probe->signal != run->signal)
			return 0;
		return kernel_segv(AT_SIGRETURN) || (run->end == SIGNALLED && run->where == BEHIND);
	case DIED:
		return run->end == ENDED && run->phase == RETURNING && run->signal == SIGSEGV;
	case UNDELIVERED:
		return kernel_segv(AT_DELIVERY);
	case ENDLESS:
		return run->end == TIMED_OUT && run->phase == RETURNING;
	}
	return 0;
}

static void say_end(const char *how)
{
	static const char *const places[] = {
		[NOWHERE] = "somewhere",
		[AT_LOAD] = "at the load",
		[AT_DELIVERY] = "at the delivery",
		[AT_SIGRETURN] = "at sigreturn",
		[BEHIND] = "behind sigreturn",
	};
	static const char *const phases[] = {
		[IDLE] = "before the signal",
		[ARMED] = "at the delivery",
		[HANDLER] = "in the handler",
		[RETURNING] = "at sigreturn",
	};

	switch (run->end) {
	case CAME_BACK:
		say("  ended %s: returned%s", how, run->frames ? "" : ", and no signal came");
		break;
	case SIGNALLED:
		say("  ended %s: %s %s, si_code %d, si_addr 0x%lx", how, strsignal(run->signal),
		    places[run->where], run->sicode, run->address);
		break;
	case ENDED:
		if (run->signal)
			say("  ended %s: the process died %s of: %s", how, phases[run->phase],
			    strsignal(run->signal));
		else
			say("  ended %s: the process exited %s with %d", how, phases[run->phase],
			    run->status);
		break;
	case TIMED_OUT:
		say("  ended %s: hung %s for %d seconds", how, phases[run->phase], TIMEOUT_SECONDS);
		break;
	case NOTHING:
	case UNABLE:
		say("  ended %s: not at all", how);
	}
}

static enum verdict judge(void)
{
	static const char *const raises[] = {
		[TGKILL] = "tgkill",
		[TGKILL32] = "tgkill of 32-bit code",
		[FAKE] = "nothing: a frame that no signal made",
		[TIMER] = "a timer",
		[BLOCKED] = "another process, in a sleep",
		[IPI] = "a process on another CPU",
	};
	static const char *const ends[] = {
		[RETURNED] = "a return",
		[REJECTED] = "SIGSEGV at sigreturn, si_code 128",
		[ASTRAY] = "a signal from where the frame leads",
		[DIED] = "the end of the process by SIGSEGV at sigreturn",
		[UNDELIVERED] = "SIGSEGV at the delivery, si_code 128",
		[ENDLESS] = "a return that does not end",
	};
	struct fields sent;
	enum verdict written = PASS, registers = PASS;
	int fits;

	say("%s: %s, raised by %s", probe->name, shape->name, raises[probe->raise]);
	if (run->end == UNABLE) {
		say("  cannot be had: %s%s%s", run->unable, run->error ? ": " : "",
		    run->error ? strerror(run->error) : "");
		return SKIP;
	}
	if (run->end == ENDED && run->phase == IDLE) {
		say("  cannot be had: the process died of %s before the signal", strsignal(run->signal));
		return SKIP;
	}
	if (run->end == SIGNALLED && run->where == AT_LOAD) {
		say("  the registers of this CPU do not take the image");
		return SKIP;
	}
	if (run->frames) {
		written = judge_written();
		if (written == SKIP)
			return SKIP;
${when(uses.ia32, '\t\tfold(run->sent, run->sent_fsave);\n')}		sent = fields_of(run->sent);
		say("  sent: magic1 0x%x, xstate_size %u, extended_size %u, xfeatures 0x%llx", sent.magic1,
		    sent.xstate_size, sent.extended_size, sent.xfeatures);
		say("        XSTATE_BV 0x%llx, XCOMP_BV 0x%llx, MXCSR 0x%x, fpstate at 0x%lx", sent.xstate_bv,
		    sent.xcomp_bv, sent.mxcsr, run->pointer);
	}
	fits = ends_as_expected();
	say_end(fits ? "as expected" : "NOT AS EXPECTED");
	if (!fits)
		say("  expected: %s", ends[probe->ends]);
	if (run->end == CAME_BACK || (run->end == SIGNALLED && run->where == AT_SIGRETURN)) {
		if (!fits)
			say("  the registers afterwards, against those of what is expected:");
		registers = judge_registers();
	}
	return fits && written == PASS && registers == PASS ? PASS : FAIL;
}

/* All frames of a test. Silent ones speak where something is wrong. */
static enum verdict run_test(const struct test *test, int silent)
{
	enum verdict verdict = PASS;

	for (unsigned int i = 0; i < test->nr_probes; i++) {
		enum verdict one;

		run_probe(&test->probes[i]);
		aloud = !silent;
		one = judge();
		if (silent && one == FAIL) {
			aloud = 1;
			judge();
		}
		if (one == SKIP)
			return SKIP;
		if (one == FAIL)
			verdict = FAIL;
	}
	return verdict;
}

static void say_host(void)
{
	unsigned int brand[12] = { 0 };
	struct utsname name;

	aloud = 1;
	uname(&name);
	for (unsigned int i = 0; i < 3; i++)
		__get_cpuid(0x80000002 + i, brand + 4 * i, brand + 4 * i + 1, brand + 4 * i + 2,
			    brand + 4 * i + 3);
	say("Linux %s %s, %.48s", name.release, name.machine, (const char *)brand);
}

/*
 * The C library's restartable sequences are memory that the kernel touches on
 * each way back to user mode: with the protection keys of a frame it may not.
 */
static void without_rseq(char **arguments)
{
	static const char wanted[] = "glibc.pthread.rseq=0";
	const char *is = getenv("GLIBC_TUNABLES");
	char tunables[1024];

	if (is && strstr(is, wanted))
		return;
	snprintf(tunables, sizeof(tunables), "%s%s%s", is ? is : "", is ? ":" : "", wanted);
	if (!setenv("GLIBC_TUNABLES", tunables, 1))
		execv("/proc/self/exe", arguments);
}

static void share_memory(void)
{
	void *at = mmap((void *)RUN, sizeof(struct run), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at == (void *)RUN)
		return;
	printf("${uses.ktap ? '1..0 # SKIP ' : 'SKIP: '}no memory below 4 GiB, at a fixed address\n");
	_exit(4);
}
`

export const mainOfOne = String.raw`
/* 0: as expected, 1: not, 4: cannot be run here. */
int main(int argc, char **argv)
{
	enum verdict verdict;

	(void)argc;
	without_rseq(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGCHLD, SIG_DFL);
	share_memory();
	say_host();
	verdict = run_test(tests, 0);
	if (verdict == SKIP)
		printf("SKIP: cannot be run here\n");
	else
		printf("%s: %s\n", verdict == PASS ? "PASS: as expected" : "FAIL: not as expected", tests->name);
	return verdict == PASS ? 0 : verdict == FAIL ? 1 : 4;
}
`

export const mainOfMany = String.raw`
int main(int argc, char **argv)
{
	const unsigned int count = sizeof(tests) / sizeof(*tests);
	unsigned int verdicts[3] = { 0 }, expected_failures = 0;

	(void)argc;
	without_rseq(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGCHLD, SIG_DFL);
	printf("TAP version 13\n");
	share_memory();
	printf("1..%u\n", count);
	say_host();
	for (unsigned int i = 0; i < count; i++) {
		const struct test *test = &tests[i];
		const enum verdict verdict = test->skip ? SKIP : run_test(test, 1);
		const int newer = verdict == FAIL && test->newer;
		const char *why = test->skip;

		if (verdict == SKIP && !why)
			why = run->end == UNABLE ? run->unable : run->frames ? "another layout" : "not possible here";
		printf("%sok %u %s", verdict == FAIL && !newer ? "not " : "", i + 1, test->name);
		if (verdict == SKIP)
			printf(" # SKIP %s", why);
		if (newer)
			printf(" # XFAIL %s", test->newer);
		printf("\n");
		expected_failures += newer;
		verdicts[verdict]++;
	}
	verdicts[FAIL] -= expected_failures;
	printf("# Totals: pass:%u fail:%u xfail:%u xpass:0 skip:%u error:0\n", verdicts[PASS], verdicts[FAIL],
	       expected_failures, verdicts[SKIP]);
	if (verdicts[FAIL])
		return 1;
	return verdicts[PASS] || expected_failures ? 0 : 4;
}
`
