/** Tells apart how a machine ended, from what it wrote. Pure. */
import { lastWords } from './console.ts'
import type { MachinePhase, MachineStatus } from './machine.ts'
import type { Said } from './said.ts'
import type { Limits, Watched } from './watch.ts'

export interface Told {
  readonly status: MachineStatus
  /** Empty for `ran`. */
  readonly reason: string
  readonly phase: MachinePhase
}

/** What is looked at. */
export interface Seen {
  readonly watched: Omit<Watched, 'console' | 'data'>
  /** The console's lines. */
  readonly console: readonly string[]
  readonly said: Said
  readonly limits: Limits
  /** Whether the run itself found the probe process to be unkillable. */
  readonly stuckCase: string | null
  /** What is wrong with an answer that arrived whole. */
  readonly invalid: string | null
}

const phaseOf = ({ said, console, watched }: Seen): MachinePhase => {
  if (said.answer !== null) return 'end'
  if (said.started) return 'probes'
  return said.booted || console.length > 0 || watched.cut !== null ? 'boot' : 'emulator'
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''

/** QEMU tells of each property that its CPU lacks; that is no fault. */
const faultIn = (errors: string): string =>
  lastLine(
    errors
      .split('\n')
      .filter(line => !/warning: (TCG|host) doesn't support requested feature/.test(line))
      .join('\n'),
  )

const at = ({ lastCase, started }: Said): string => {
  if (lastCase !== null) return `in ${lastCase.replace(/^(\d+) (.*)/, '$2, case $1')}`
  return started ? 'before the first case' : 'before the run'
}

const outOfMemory = /[Cc]annot allocate memory|cannot set up guest memory/

/** What the emulator did to the machine, or null where it only ran it. */
const byEmulator = ({ watched, console, said }: Seen): Pick<Told, 'status' | 'reason'> | null => {
  const { failed, code, signal, errors, cut } = watched
  if (cut === 'interrupt') return { status: 'interrupted', reason: 'interrupted' }
  if (failed !== null) return { status: 'refused', reason: failed }
  if (cut !== null || (code === 0 && signal === null)) return null
  const fault = faultIn(errors)
  if (outOfMemory.test(fault)) return { status: 'memory', reason: fault }
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`
  const when = console.length === 0 && !said.booted ? '' : ` ${at(said)}`
  return { status: 'refused', reason: `${fault === '' ? 'the emulator gave up' : fault} (${how})${when}` }
}

/** What the kernel said when it died, or null where it did not. */
const byKernel = ({ console, said }: Seen): Pick<Told, 'status' | 'reason'> | null => {
  const { panic, oops, memory, lacks } = lastWords(console)
  if (panic === null && oops === null) return null
  if (memory !== null) return { status: 'memory', reason: memory }
  if (panic !== null && lacks !== null && !said.booted)
    return { status: 'lacks', reason: `the kernel is without ${lacks}` }
  if (oops !== null) return { status: 'oops', reason: `${oops}, ${at(said)}` }
  return { status: 'panic', reason: `${panic}, ${at(said)}` }
}

/** Whom SIGKILL does not end: the probe process itself, before those that wait for its CPU. */
const stuckTask = (tasks: readonly string[]): string | null => {
  const task = tasks.find(text => / sigframe-probe /.test(text)) ?? tasks[0]
  if (task === undefined) return null
  const [pid, name, state, where] = task.split(' ')
  return `${name} (pid ${pid}, state ${state}${where === '-' ? '' : `, in ${where}`})`
}

/** What PID 1 says, or null where all went well. */
const byInit = ({ said, stuckCase, watched, invalid }: Seen): Pick<Told, 'status' | 'reason'> | null => {
  if (said.lacks.length > 0)
    return {
      status: 'lacks',
      reason: `the kernel is without what Node or the probes need: ${said.lacks.join(', ')}`,
    }
  if (stuckCase !== null) return { status: 'stuck', reason: stuckCase }
  const task = stuckTask(said.unkillable)
  if (task !== null) return { status: 'stuck', reason: `SIGKILL does not end ${task}, ${at(said)}` }
  if (said.oom > 0 && said.answer === null)
    return { status: 'memory', reason: `the kernel killed ${said.oom} times for want of memory, ${at(said)}` }
  if (said.late !== null) return { status: 'timeout', reason: `${said.late}, ${at(said)}` }
  if (said.failed !== null) return { status: 'broken', reason: said.failed }
  if (invalid !== null) return { status: 'broken', reason: `the results are not valid: ${invalid}` }
  if (said.answer !== null || watched.cut !== null) return null
  if (said.answered) return { status: 'cut-off', reason: 'the results arrived incomplete' }
  if (said.ended !== null && said.ends)
    return { status: 'broken', reason: `the run ended with ${said.ended} and no results, ${at(said)}` }
  return null
}

const byTime = ({ watched, limits, console, said }: Seen): Pick<Told, 'status' | 'reason'> | null => {
  switch (watched.cut) {
    case 'output':
      return { status: 'cut-off', reason: `it wrote without end, ${at(said)}` }
    case 'silence':
      return { status: 'hang', reason: `silent for ${limits.silence} s, ${at(said)}` }
    case 'time':
      if (console.length === 0 && !said.booted)
        return {
          status: 'silent',
          reason: `nothing was printed in ${limits.bootSeconds} s: no start, or a kernel without CONFIG_SERIAL_8250_CONSOLE`,
        }
      return said.booted
        ? { status: 'timeout', reason: `not off after ${limits.seconds} s, ${at(said)}` }
        : { status: 'hang', reason: `PID 1 had not begun after ${limits.bootSeconds} s` }
    default:
      return null
  }
}

/** How the machine ended. */
export const tellStatus = (seen: Seen): Told => {
  const phase = phaseOf(seen)
  const { said, console } = seen
  const bad = byEmulator(seen) ?? byKernel(seen) ?? byInit(seen) ?? byTime(seen)
  if (bad !== null) return { ...bad, phase }
  if (said.answer !== null) return { status: 'ran', reason: '', phase }
  if (console.length === 0 && !said.booted)
    return {
      status: 'silent',
      reason:
        'it went off without a word: no start, or a kernel without CONFIG_SERIAL_8250_CONSOLE, CONFIG_PRINTK or CONFIG_TTY',
      phase,
    }
  return { status: 'cut-off', reason: `it went off without results, ${at(said)}`, phase }
}
