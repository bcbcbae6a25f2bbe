/** Finds in the kernel's log what it complained of: warnings, oopses, lockups, each with its call trace. Pure. */
import type { LogRecord } from './kernel-log.ts'

/** One complaint of the kernel. */
export interface Splat {
  /** The line that tells most of it. */
  readonly title: string
  /** All of it, cut after `longestSplat` lines. */
  readonly lines: readonly string[]
  /** Lines after those. */
  readonly more: number
  /** Whether it comes from the FPU code. */
  readonly ofFpu: boolean
}

export const longestSplat = 40
const longestLine = 500

/** Microseconds. A splat is printed at a stretch; a slow console stretches it. */
const longestPause = 1_000_000

const probeName = 'sigframe-probe'

// A user process's fault. Before the bracket stands its name, which is anybody's choice: also `BUG: x`.
const userFault =
  /^(?:signal: |traps: )?(.{1,60})\[\d+\](?: bad frame in |: segfault at | overflowed sigaltstack| [\w -]+ ip:)/s
const badFrame = /\[\d+\] bad frame in /

const cutHere = /^-+\[ cut here \]-+$/
const endTrace = /^---\[ end trace /
const callTrace = /^Call Trace:/

const lockdep = [
  'possible (?:circular|recursive|irq)',
  'suspicious RCU usage',
  'inconsistent lock state',
  'bad unlock balance',
  'held lock freed',
  'lock held when returning',
  'Nested lock was not taken',
  'kernel stack',
].join('|')

/** How splats begin. A driver's line that only begins with WARNING is none. */
const beginnings: readonly RegExp[] = [
  cutHere,
  // As up to 6.17, and as since then.
  /^WARNING: (?:CPU: \d+ PID: \d+|.*\.[chS]:\d+|.*CPU#\d+: )/,
  new RegExp(`^WARNING: (?:${lockdep})`),
  /^(?:[\w ]+: )?BUG: |^\[ BUG: |^kernel BUG at /,
  /^(?:rcu: )?INFO: (?:\w+ (?:self-)?detected .*stall|task .+ blocked )/,
  /^Oops: |\b[0-9a-f]{4} \[#\d+\]|^general protection fault[,:]|^Kernel panic |PANIC: double fault/,
  /^Bad FPU state detected |^UBSAN: |^unchecked MSR access error: |hard LOCKUP/,
]

/** Where no splat has begun these are one; else they are parts of it. */
const bare = /^Call Trace:|^CPU: \d+ (?:UID: \d+ )?PID: \d+ Comm: /

/** What the FPU code prints as a warning or worse; what it prints at boot is information. */
const fpuPrint = /^x86\/fpu: /
const levelWarning = 4

const fpuCode =
  /arch\/x86\/(?:kernel|include\/asm)\/fpu\/|\bx86\/fpu: |Bad FPU state|RIP: \S*:\w*(?:fpu|fpregs|xstate|xsave|xrstor)\w*\+0x/

const isBeginning = (line: string): boolean => beginnings.some(one => one.test(line))

const begins = ({ text, level }: LogRecord): boolean =>
  isBeginning(text.trimStart()) || (level <= levelWarning && fpuPrint.test(text))

const faultOf = ({ text }: LogRecord): 'own' | 'other' | null => {
  const name = userFault.exec(text)?.[1]
  if (name === undefined) return null
  return name === probeName ? 'own' : 'other'
}

/** Whether the kernel refused a signal frame of a process that is no probe process. */
export const isForeignBadFrame = (record: LogRecord): boolean =>
  badFrame.test(record.text) && faultOf(record) === 'other'

/** Without user processes' faults, and without the line of code bytes behind each. */
const withoutFaults = (records: readonly LogRecord[]): LogRecord[] => {
  let fault: LogRecord | null = null
  return records.filter(record => {
    if (faultOf(record) !== null) {
      fault = record
      return false
    }
    const isCode = fault !== null && fault.caller === record.caller && record.text.startsWith('Code: ')
    fault = null
    return !isCode
  })
}

/** A splat that is being read. */
interface Block {
  readonly lines: string[]
  more: number
  last: LogRecord
  traced: boolean
}

const extend = (block: Block, record: LogRecord): void => {
  for (const line of record.text.split('\n')) {
    if (block.lines.length < longestSplat) block.lines.push(line.slice(0, longestLine))
    else block.more += 1
  }
  block.last = record
  block.traced ||= callTrace.test(record.text)
}

const goesOn = ({ last, traced }: Block, record: LogRecord): boolean => {
  if (record.usec - last.usec > longestPause || endTrace.test(last.text) || cutHere.test(record.text))
    return false
  // Before its call trace one splat has several beginnings: `BUG: …`, then `Oops: …`.
  return !traced || !begins(record)
}

const finished = ({ lines, more }: Block): Splat => {
  const trace = lines.findIndex(line => callTrace.test(line))
  const head = (trace === -1 ? lines : lines.slice(0, trace + 1)).filter(line => !cutHere.test(line))
  return {
    title: (head.find(line => isBeginning(line.trimStart())) ?? head[0] ?? '').trim(),
    lines,
    more,
    ofFpu: head.some(line => fpuCode.test(line)),
  }
}

/** The splats in the order in which they began; where the log says who printed, also those that are interleaved. */
export const splatsIn = (records: readonly LogRecord[]): Splat[] => {
  const blocks: Block[] = []
  const current = new Map<string | null, Block>()
  for (const record of withoutFaults(records)) {
    const block = current.get(record.caller)
    if (block !== undefined && goesOn(block, record)) {
      extend(block, record)
    } else if (begins(record) || bare.test(record.text)) {
      const begun: Block = { lines: [], more: 0, last: record, traced: false }
      extend(begun, record)
      blocks.push(begun)
      current.set(record.caller, begun)
    } else {
      current.delete(record.caller)
    }
  }
  return blocks.map(finished)
}
