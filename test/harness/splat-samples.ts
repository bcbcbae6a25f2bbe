/** What kernels print when something is wrong with them, and what they print otherwise; a line each. */
import type { LogReading, LogRecord } from '../../lib/harness/kernel-log.ts'

const lines = (text: string): string[] => text.trim().split('\n')

const registers = `RSP: 0018:ffffb2a9c0b67e28 EFLAGS: 00010246
RAX: 0000000000000000 RBX: ffff9c1a02d6a6c0 RCX: 0000000000000000
FS:  00007f1d3c6f0740(0000) GS:ffff9c1a7bd00000(0000) knlGS:0000000000000000
CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
CR2: 00007ffd0d5b7ff8 CR3: 0000000102f6a000 CR4: 0000000000750ee0
PKRU: 55555554`

const trace = `Call Trace:
 <TASK>
 ? __warn+0x81/0x130
 ? report_bug+0x171/0x1a0
 ? handle_bug+0x3c/0x80
 ? exc_invalid_op+0x17/0x70
 fpu__restore_sig+0x1f3/0x6c0
 restore_sigcontext+0x170/0x190
 __do_sys_rt_sigreturn+0xe3/0x110
 do_syscall_64+0x5d/0x90
 entry_SYSCALL_64_after_hwframe+0x73/0xdd
RIP: 0033:0x404597
 </TASK>`

/** Up to Linux 6.17. */
export const oldWarning = lines(`
------------[ cut here ]------------
WARNING: CPU: 1 PID: 77 at arch/x86/kernel/fpu/core.c:61 fpu__restore_sig+0x1f3/0x6c0
Modules linked in: nls_ascii nls_cp437 vfat fat ext4 crc16 mbcache jbd2 crc32c_generic
CPU: 1 PID: 77 Comm: sigframe-probe Not tainted 6.1.0-13-amd64 #1  Debian 6.1.55-1
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-1 04/01/2014
RIP: 0010:fpu__restore_sig+0x1f3/0x6c0
Code: 48 8b 44 24 08 65 48 2b 04 25 28 00 00 00 0f 85 <0f> 0b e9 4b fe ff ff
${registers}
${trace}
---[ end trace 0000000000000000 ]---`)

/** Since Linux 6.18. */
export const newWarning = lines(`
------------[ cut here ]------------
WARNING: arch/x86/kernel/fpu/xstate.c:1027 at get_xsave_addr+0x9f/0xc0, CPU#0: sigframe-probe/123
Modules linked in:
CPU: 0 UID: 0 PID: 123 Comm: sigframe-probe Not tainted 6.19.0 #1 PREEMPT(voluntary)
RIP: 0010:get_xsave_addr+0x9f/0xc0
${registers}
${trace}
---[ end trace 0000000000000000 ]---`)

/** A file that tells nothing of the FPU, a message that does. */
export const badState = lines(`
------------[ cut here ]------------
Bad FPU state detected at restore_fpregs_from_fpstate+0x45/0xa0, reinitializing FPU registers.
WARNING: CPU: 0 PID: 4242 at arch/x86/mm/extable.c:126 ex_handler_fprestore+0x62/0x70
CPU: 0 PID: 4242 Comm: node Tainted: G        W          6.1.0-13-amd64 #1
RIP: 0010:ex_handler_fprestore+0x62/0x70
${trace}
---[ end trace 0000000000000000 ]---`)

/** Nothing of the FPU. */
export const driverWarning = lines(`
------------[ cut here ]------------
WARNING: CPU: 3 PID: 9 at drivers/gpu/drm/ttm/ttm_bo.c:409 ttm_bo_release+0x2c5/0x330 [ttm]
CPU: 3 PID: 9 Comm: kworker/3:1 Not tainted 6.1.0-13-amd64 #1
RIP: 0010:ttm_bo_release+0x2c5/0x330 [ttm]
Call Trace:
 <TASK>
 ttm_bo_put+0x3c/0x70 [ttm]
 </TASK>
---[ end trace 0000000000000000 ]---`)

export const pageFault = lines(`
BUG: unable to handle page fault for address: ffffb2a9c0b68000
#PF: supervisor read access in kernel mode
#PF: error_code(0x0000) - not-present page
PGD 100000067 P4D 100000067 PUD 1001c1067 PMD 102d2a067 PTE 0
Oops: 0000 [#1] PREEMPT SMP NOPTI
CPU: 1 PID: 77 Comm: sigframe-probe Not tainted 6.1.0-13-amd64 #1
RIP: 0010:xrstor_from_user_sigframe+0x3a/0x60
${registers}
${trace}
Modules linked in:
CR2: ffffb2a9c0b68000
---[ end trace 0000000000000000 ]---`)

export const newOops = lines(`
Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP NOPTI
CPU: 0 UID: 0 PID: 123 Comm: sigframe-probe Not tainted 6.18.0 #1 PREEMPT(voluntary)
RIP: 0010:restore_fpregs_from_fpstate+0x45/0xa0
Call Trace:
 <TASK>
---[ end trace 0000000000000000 ]---`)

export const oldOops = lines(`
general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP NOPTI
CPU: 0 PID: 123 Comm: sigframe-probe Not tainted 6.1.0 #1
Call Trace:
---[ end trace 0000000000000000 ]---`)

export const kernelBug = lines(`
usercopy: Kernel memory overwrite attempt detected to SLUB object 'task_struct' (offset 5248, size 2688)!
------------[ cut here ]------------
kernel BUG at mm/usercopy.c:99!
invalid opcode: 0000 [#241] SMP PTI
CPU: 0 PID: 123 Comm: sigframe-probe Not tainted 5.4.0 #1
RIP: 0010:usercopy_abort+0x74/0x76
Call Trace:
 copy_xregs_to_user+0x12/0x40
---[ end trace 0000000000000000 ]---`)

export const softLockup = lines(`
watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [sigframe-probe:123]
Modules linked in:
CPU: 1 PID: 123 Comm: sigframe-probe Not tainted 6.1.0 #1
RIP: 0010:fpu__restore_sig+0x1f3/0x6c0
Call Trace:
 <TASK>
 __do_sys_rt_sigreturn+0xe3/0x110
 </TASK>`)

export const stall = lines(`
rcu: INFO: rcu_sched self-detected stall on CPU
rcu: 	1-....: (20999 ticks this GP) idle=6f4/1/0x4000000000000000 softirq=1024/1024 fqs=5249
	(t=21000 jiffies g=1813 q=29 ncpus=2)
CPU: 1 PID: 123 Comm: sigframe-probe Not tainted 6.1.0 #1
Call Trace:
 <TASK>
 </TASK>`)

export const hungTask = lines(`
INFO: task sigframe-probe:123 blocked for more than 120 seconds.
      Not tainted 6.1.0-13-amd64 #1 Debian 6.1.55-1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:sigframe-probe  state:D stack:0     pid:123   ppid:100    flags:0x00004006
Call Trace:
 <TASK>
 __schedule+0x34d/0x9e0
 </TASK>`)

export const lockdep = lines(`
======================================================
WARNING: possible circular locking dependency detected
6.1.0 #1 Not tainted
------------------------------------------------------
sigframe-probe/123 is trying to acquire lock:
stack backtrace:
CPU: 0 PID: 123 Comm: sigframe-probe Not tainted 6.1.0 #1
Call Trace:
 dump_stack_lvl+0x48/0x60`)

export const bareTrace = lines(`
CPU: 0 UID: 0 PID: 1 Comm: systemd Not tainted 6.12.43 #1
Hardware name: QEMU Standard PC
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 </TASK>`)

/** Each kind of complaint, with the line that tells most. */
export const splats: readonly (readonly [name: string, lines: readonly string[], title: string])[] = [
  ['a warning up to 6.17', oldWarning, oldWarning[1] ?? ''],
  ['a warning since 6.18', newWarning, newWarning[1] ?? ''],
  ['a warning with a message', badState, badState[1] ?? ''],
  ['a driver’s warning', driverWarning, driverWarning[1] ?? ''],
  ['a page fault', pageFault, pageFault[0] ?? ''],
  ['an oops up to 6.14', oldOops, oldOops[0] ?? ''],
  ['an oops since', newOops, newOops[0] ?? ''],
  ['a BUG', kernelBug.slice(1), kernelBug[2] ?? ''],
  ['a soft lockup', softLockup, softLockup[0] ?? ''],
  ['an RCU stall', stall, stall[0] ?? ''],
  ['a hung task', hungTask, hungTask[0] ?? ''],
  ['a lockdep report', lockdep.slice(1), lockdep[1] ?? ''],
  ['a call trace alone', bareTrace, bareTrace[0] ?? ''],
  [
    'an expedited stall',
    ['rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... }'],
    'rcu: INFO',
  ],
  ['KASAN', ['BUG: KASAN: slab-out-of-bounds in fpu_clone+0x1a/0x2f0'], 'BUG: KASAN'],
  ['UBSAN', ['UBSAN: shift-out-of-bounds in arch/x86/kernel/fpu/xstate.c:99:9'], 'UBSAN'],
  ['an MSR', ['unchecked MSR access error: WRMSR to 0xda0 (tried to write 0x0)'], 'unchecked MSR'],
  ['a hard lockup', ['watchdog: Watchdog detected hard LOCKUP on cpu 1'], 'watchdog'],
  ['a bad page', ['BUG: Bad page state in process sigframe-probe  pfn:12345'], 'BUG: Bad page'],
  ['a double fault', ['traps: PANIC: double fault, error_code: 0x0'], 'traps: PANIC'],
  ['a warning without a file', ['WARNING: at fpu_clone+0x1a/0x2f0, CPU#1: node/12'], 'WARNING: at'],
]

/** The faults that probe processes are there for. */
export const ownFaults = lines(`
sigframe-probe[6539] bad frame in rt_sigreturn frame:000000009255e96e ip:404597 sp:41b66000 orax:ffffffffffffffff in sigframe-probe[4597,401000+4000]
sigframe-probe[123] bad frame in rt_sigreturn frame:0000000094763aab ip:7f2d4 sp:7ffe orax:f in libc.so.6[7f2d+195000]
sigframe-probe[123] bad frame in 32bit sigreturn frame:0000000094763aab ip:f7 sp:ff orax:77 in sigframe-probe[4597,401000+4000]
sigframe-probe[123] bad frame in 32bit rt sigreturn frame:0000000094763aab ip:f7 sp:ff orax:ad
sigframe-probe[123] bad frame in sigreturn frame:0000000094763aab ip:f7 sp:ff orax:77
signal: sigframe-probe[123] overflowed sigaltstack
sigframe-probe[123]: segfault at 7f1d3c000000 ip 0000000000404597 sp 00007ffd0d5b7ff8 error 4 in sigframe-probe[401000+4000] likely on CPU 1 (core 0, socket 0)
Code: 48 8b 44 24 08 65 48 2b 04 25 28 00 00 00 0f 85 <0f> 0b e9 4b fe ff ff
traps: sigframe-probe[123] general protection fault ip:404597 sp:7ffd0d5b7ff8 error:0 in sigframe-probe[401000+4000]
traps: sigframe-probe[123] trap invalid opcode ip:404597 sp:7ffd0d5b7ff8 error:0 in sigframe-probe[401000+4000]
signal_fault: 1523 callbacks suppressed`)

/** What may stand in any log. */
export const harmless = lines(`
Linux version 6.12.43-cloud-amd64 (debian-kernel@lists.debian.org)
x86/fpu: Supporting XSAVE feature 0x001: 'x87 floating point registers'
x86/fpu: Enabled xstate features 0x2e7, context size is 2440 bytes, using 'compacted' format.
rcu: Hierarchical RCU implementation.
WARNING: this system has an old firmware, and its vendor shouts
PCI: Using host bridge windows from ACPI; if necessary, use "pci=nocrs" and report a bug
[Firmware Bug]: TSC ADJUST differs within socket(s), fixing all errors
ACPI BIOS Error (bug): Could not resolve symbol [\\_SB.PCI0]
perf: interrupt took too long (2526 > 2500), lowering kernel.perf_event_max_sample_rate to 79000
INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.5 msecs
random: crng reseeded due to virtual machine fork
other[5]: segfault at 0 ip 0000000000404597 sp 00007ffd0d5b7ff8 error 4 in other[401000+4000]
Code: 48 8b 44 24 08 65 48 2b 04 25 28 00 00 00 0f 85 <0f> 0b e9 4b fe ff ff`)

/** Processes may have any name. */
export const named = [
  'BUG: x[5]: segfault at 0 ip 0000000000404597 sp 00007ffd0d5b7ff8 error 4',
  'traps: BUG: a[1][5] general protection fault ip:404597 sp:7ffd0d5b7ff8 error:0',
  'signal: Call Trace:[5] overflowed sigaltstack',
  'Call Trace:[5]: segfault at 0 ip 0000000000404597 sp 00007ffd0d5b7ff8 error 4',
  'BUG: a\nb[5]: segfault at 0 ip 0000000000404597 sp 00007ffd0d5b7ff8 error 4',
  'Oops: x[5]: segfault at 0 ip 0000000000404597 sp 00007ffd0d5b7ff8 error 4',
]

/** Lines as records that follow upon one another. */
export const records = (
  texts: readonly string[],
  { seq = 0, usec = 1_000_000, ...rest }: Partial<LogRecord> = {},
): LogRecord[] =>
  texts.map((text, i) => ({
    facility: 0,
    level: 4,
    seq: seq + i,
    usec: usec + i,
    caller: null,
    text,
    ...rest,
  }))

export const reading = (found: readonly LogRecord[], changes: Partial<LogReading> = {}): LogReading => ({
  records: found,
  lost: 0,
  ended: true,
  ...changes,
})
