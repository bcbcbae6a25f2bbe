/** What Bochs and the boot loader of its CD read. Pure. Names are relative to the machine's folder: no path needs quoting. */
import { checkInteger, outOfRange } from '../../../errors.ts'
import type { MachineSpec } from '../emulator.ts'

/**
 * Instructions that are a second of the machine, about what an idle host emulates in one. The guest's clock is made of
 * them: the time limits inside do not depend on what else the host does, and waiting costs nothing.
 */
export const instructionsPerSecond = 50_000_000

export const names = {
  console: 'console.log',
  data: 'data.log',
  /** Why Bochs ended: one line. */
  log: 'bochs.log',
  /** What it printed. */
  output: 'output.log',
  config: 'bochsrc',
  commands: 'commands',
  script: 'run.sh',
  bios: 'bios',
  vgaBios: 'vgabios',
  /** The CD, and the folder that it is made of. */
  image: 'boot.iso',
  content: 'cd',
} as const

/** What Linux must not use, by its names for it (since 5.18). */
const cleared = ['xsaves', 'xsavec', 'ht', 'tsc_deadline_timer']

const clearing = 'clearcpuid='

/**
 * The kernel's command line with what it needs under Bochs:
 * - no XSAVES and XSAVEC: Linux does not accept the sizes that CPUID states for them, and does without XSAVE then;
 * - no HT, for CPUID speaks of more cores than there are, and no TSC deadline timer: 6.12 and later warn of both;
 * - the TSC's rate as it is: CPUID states that of the real CPU, 70 times as much, and all waiting takes as much longer;
 * - a triple fault for a restart: it ends Bochs, which would boot again otherwise;
 * - the serial console at its highest speed: a byte takes as long as on a real line;
 * - no self-tests of the kernel's ciphers, which take longer than all else.
 */
export const bochsCommandLine = (commandLine: string): string => {
  const words = commandLine.split(' ').filter(word => word !== '')
  // The kernel heeds the last one alone.
  const asked = words.findLast(word => word.startsWith(clearing))?.slice(clearing.length)
  const kept = words
    .filter(word => !word.startsWith(clearing))
    .map(word => word.replace(/^console=(ttyS\d+)$/, 'console=$1,115200'))
  const all = [...(asked ? asked.split(',') : []), ...cleared]
  return [
    ...kept,
    `${clearing}${[...new Set(all)].join(',')}`,
    `tsc_early_khz=${instructionsPerSecond / 1000}`,
    'reboot=t',
    'cryptomgr.notests',
  ].join(' ')
}

/** What ISOLINUX takes: a longer line, it cuts without a word. */
const longestCommandLine = 2000

/** @throws RangeError for a line that the boot loader would read as something else */
export const menuText = (commandLine: string): string => {
  if (commandLine.length > longestCommandLine)
    throw outOfRange(
      'the kernel command line',
      commandLine,
      `must be at most ${longestCommandLine} characters`,
    )
  if (/[^\x20-\x7e]/.test(commandLine))
    throw outOfRange('the kernel command line', commandLine, 'must be printable ASCII')
  return [
    'default linux',
    'prompt 0',
    'timeout 0',
    'label linux',
    '  kernel /kernel',
    '  initrd /initrd',
    `  append ${commandLine}`,
    '',
  ].join('\n')
}

/** Bochs holds no more in memory; what a machine has beyond it would be a file. */
const mostMemoryMib = 2048
const mostCpus = 8

/** @throws RangeError */
export const configText = ({
  cpu,
  cpus,
  memoryMib,
}: Pick<MachineSpec, 'cpu' | 'cpus' | 'memoryMib'>): string => {
  const memory = Math.min(memoryMib, mostMemoryMib)
  checkInteger('cpus', cpus, 1, mostCpus)
  if (!/^\w+$/.test(cpu)) throw outOfRange('cpu', cpu, 'must be a model that bochs --help cpu lists')
  return [
    'config_interface: textconfig',
    'display_library: term, options="hideIPS"',
    'plugin_ctrl: parallel=0, gameport=0, speaker=0',
    `cpu: model=${cpu}, count=${cpus}, ips=${instructionsPerSecond}, reset_on_triple_fault=0, ignore_bad_msrs=1`,
    `memory: guest=${memory}, host=${memory}`,
    `romimage: file=${names.bios}, options=fastboot`,
    `vgaromimage: file=${names.vgaBios}`,
    'clock: sync=none, time0=utc',
    'ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14',
    `ata0-master: type=cdrom, path=${names.image}, status=inserted`,
    'boot: cdrom',
    // What ends the machine is a panic: a power-off, a triple fault, or what Bochs cannot do. All else could fill the disk.
    `log: ${names.log}`,
    'panic: action=fatal',
    'error: action=ignore',
    'info: action=ignore',
    'debug: action=ignore',
    `com1: enabled=1, mode=file, dev=${names.console}`,
    `com2: enabled=1, mode=file, dev=${names.data}`,
    '',
  ].join('\n')
}

/** For the debugger that Debian's Bochs is built with: go on. */
export const commandsText = 'c\n'

/** Blocks of 512 bytes: what Bochs can write to one file, whatever the machine does. Without SIGXFSZ the rest is lost. */
const mostBlocks = (64 << 20) / 512

/**
 * Bochs ends with 1 also where the machine turns its power off. With 0 ends this where it did, or started again; with
 * Bochs' own code and complaint where Bochs gave up. Who kills the shell kills Bochs, by PR_SET_PDEATHSIG.
 */
export const scriptText = (debugs: boolean): string =>
  [
    `trap '' XFSZ; ulimit -f ${mostBlocks} 2> /dev/null`,
    `: > ${names.log}`,
    `setpriv --pdeathsig KILL -- bochs -q -f ${names.config}${debugs ? ` -rc ${names.commands}` : ''} > ${names.output} 2>&1`,
    'code=$?',
    `if grep -qE 'soft power off|3rd \\([0-9]+\\) exception' ${names.log}; then exit 0; fi`,
    `grep -ahE '>>PANIC<<' ${names.output} ${names.log} | tail -n 1 | sed 's/^.*>>PANIC<< //' >&2`,
    'exit $code',
    '',
  ].join('\n')
