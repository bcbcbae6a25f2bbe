/** What a kernel's console says of how it ended. Pure. */
import { stripVTControlCharacters } from 'node:util'

/** Lines from where it began to end: traces are long. */
const mostLines = 400
/** Lines where nothing tells where that was. */
const lastLines = 32
const longestLine = 240

// Carriage returns, and what firmware sends before the kernel runs.
const isPrintable = (character: string): boolean => character >= ' ' || character === '\t'

/** The console's lines, without what is for terminals only. */
export const linesOf = (text: string): readonly string[] =>
  stripVTControlCharacters(text)
    .split('\n')
    .map(line => [...line].filter(isPrintable).join('').trimEnd())
    .filter(line => line !== '')

const cut = (line: string): string => (line.length > longestLine ? `${line.slice(0, longestLine)}…` : line)

const withoutTime = (line: string): string => line.replace(/^(<\d+>)?\[\s*\d+\.\d+\](\[[\sTC]*\d+\])?\s*/, '')

/** The message of the line that matches, without its time; null where none does. */
const find = (lines: readonly string[], pattern: RegExp): string | null => {
  const found = lines.map(withoutTime).find(line => pattern.test(line))
  return found === undefined ? null : cut(found)
}

/** The kernel's last words. */
export interface LastWords {
  /** `Kernel panic - not syncing: …` */
  readonly panic: string | null
  /** What came before a panic that is an oops's end: the exception and where it hit. */
  readonly oops: string | null
  /** That memory ran out. */
  readonly memory: string | null
  /** The option that the kernel lacks to start the first program at all. */
  readonly lacks: string | null
}

// drivers/tty/sysrq.c: PID 1 asks for the stacks of what does not end
const sysrqLine = /^sysrq: /
// kernel/panic.c
const panicLine = /^Kernel panic - not syncing/
// arch/x86/kernel/dumpstack.c __die_header, arch/x86/mm/fault.c show_fault_oops, traps.c
const oopsLine =
  /^(Oops|BUG: (unable to handle|kernel NULL)|general protection fault|kernel BUG at|divide error|invalid opcode|stack segment|double fault|int3)/
// mm/oom_kill.c, init/initramfs.c
const memoryLine =
  /Out of memory|System is deadlocked on memory|Initramfs unpacking failed: (write error|no space)|invoked oom-killer/

const lackLines: readonly (readonly [RegExp, string])[] = [
  [
    /VFS: Unable to mount root fs|VFS: Cannot open root device/,
    'CONFIG_BLK_DEV_INITRD, or had not enough memory: the initramfs was not unpacked',
  ],
  [
    /Failed to execute \/init \(error -8\)|Requested init .* failed \(error -8\)/,
    'CONFIG_BINFMT_ELF, CONFIG_64BIT (64-bit programs)',
  ],
  [
    /No working init found/,
    'CONFIG_BINFMT_ELF, CONFIG_64BIT or CONFIG_BLK_DEV_INITRD (no first program ran)',
  ],
]

export const lastWords = (lines: readonly string[]): LastWords => {
  const lack = lackLines.find(([pattern]) => find(lines, pattern) !== null)
  return {
    panic: find(lines, panicLine),
    oops: find(lines, oopsLine),
    memory: find(lines, memoryLine),
    lacks: lack === undefined ? null : lack[1],
  }
}

const longestText = 1 << 20

/** A console's beginning and end: what one says that writes without bound, it says there. */
export const withoutMiddle = (text: string): string =>
  text.length <= 2 * longestText ? text : `${text.slice(0, longestText)}\n…\n${text.slice(-longestText)}`

/** What tells most of how it ended: from where the kernel began to tell of its end, otherwise the last lines. */
export const tellingLines = (lines: readonly string[]): readonly string[] => {
  const start = lines.findIndex(line => {
    const text = withoutTime(line)
    return oopsLine.test(text) || panicLine.test(text) || sysrqLine.test(text)
  })
  return (start === -1 ? lines.slice(-lastLines) : lines.slice(start, start + mostLines)).map(cut)
}
