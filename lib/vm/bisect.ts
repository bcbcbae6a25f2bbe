/** What `git bisect run` is told: good, bad, or that this commit cannot tell. */
import { type Bundle, type CaseResult, isOfTheRun } from '../harness/results.ts'
import { oneLine, plural } from '../report/text.ts'
import { isMisread } from './exit-code.ts'
import type { MachineResult, VmReport } from './machine.ts'

/** As git bisect run reads them: 125 skips the commit. */
export const bisectCodes = { good: 0, bad: 1, untold: 125 } as const

export interface BisectVerdict {
  readonly code: 0 | 1 | 125
  /** In one line. */
  readonly why: string
}

/**
 * Parts of the names of functions that write or read signal frames, or handle the FPU's state: arch/x86/kernel/signal*.c
 * (`__do_sys_rt_sigreturn`, `x64_setup_rt_frame`, `ia32_restore_sigcontext`), arch/x86/kernel/fpu/ (`fpu__restore_sig`,
 * `__fpu_restore_sig`, `restore_fpregs_from_user`, `copy_fpstate_to_sigframe`, `copy_uabi_to_xstate`, `xfd_update_state`).
 * Not `arch_do_signal_or_restart` nor `get_signal`: every task that dies of a signal passes through them.
 */
const functionParts = [
  'sigreturn',
  'setup_frame',
  'rt_frame',
  'sigframe',
  'sigcontext',
  'fpu__',
  'fpu_restore_sig',
  'fpregs',
  'fpstate',
  'xstate',
  'xfd_',
  'xrstor',
]

// In traces a function stands with its offset, `RIP: 0010:name.part.0+0x12/0x340`; a `?` before it says that the stack
// alone may still hold it.
const inFunction = new RegExp(`(?<!\\? )\\b\\w*(?:${functionParts.join('|')})\\w*(?:\\.\\w+)*\\+0x`)
const inFile = /\barch\/x86\/kernel\/(?:fpu\/\w+|signal(?:_32|_64|_compat)?|ia32\/ia32_signal)\.[ch]:\d/

/** Whether a line of the console blames signal frames or the FPU. */
export const blamesFrames = (line: string): boolean => inFunction.test(line) || inFile.test(line)

const longestWhy = 500

type Told = 'good' | 'bad' | 'untold'

interface MachineVerdict {
  readonly told: Told
  readonly why: string
}

/** That a demand could not be looked into says nothing of the kernel. */
const isUnlooked = (one: CaseResult): boolean =>
  isOfTheRun(one) && one.selftest !== 'kernel' && one.rules.length === 0

const bad: ReadonlySet<string> = new Set(['fail', 'stuck', 'timeout', 'crash'])

const isBad = ({ verdict }: CaseResult, rule: string | null): boolean =>
  bad.has(verdict) || (rule !== null && verdict === 'xfail')

/** A host that is busy makes one case late, or two. */
const lateByChance = 2

/** What the kernel's log and its taint say is of any of its parts; of the frames it is where a trace says so. */
const isOfFrames = ({ id }: CaseResult, { kernel }: Bundle): boolean =>
  !/^kernel\/(?:log|taint)\//.test(id) || (kernel?.log?.lines.some(blamesFrames) ?? false)

const withoutChance = (cases: readonly CaseResult[]): readonly CaseResult[] =>
  cases.filter(({ verdict }) => verdict === 'timeout').length > lateByChance
    ? cases
    : cases.filter(({ verdict }) => verdict !== 'timeout')

const ofBundle = (bundle: Bundle, rule: string | null): MachineVerdict => {
  const asked = withoutChance(bundle.cases)
    .filter(({ rules }) => rule === null || (rules as readonly string[]).includes(rule))
    .filter(one => isOfFrames(one, bundle))
  const failed = asked.filter(one => isBad(one, rule) && !isUnlooked(one))
  const [first] = failed
  if (first !== undefined)
    return {
      told: 'bad',
      why: `bad in ${failed.length} of ${plural(asked.length, 'case')}, first ${first.id}`,
    }
  const broken = asked.find(({ verdict }) => verdict === 'broken')
  if (broken !== undefined) return { told: 'untold', why: `${broken.id} is broken: ${broken.reason}` }
  const unlooked = asked.find(one => isUnlooked(one) && one.verdict !== 'skip')
  if (unlooked !== undefined) return { told: 'untold', why: unlooked.reason }
  const telling = asked.filter(({ verdict }) => verdict !== 'skip')
  return telling.length > 0
    ? { told: 'good', why: `good in ${plural(telling.length, 'case')} that could tell` }
    : { told: 'untold', why: rule === null ? 'no case ran' : `no case of ${rule} ran` }
}

/** The line of the console for which the machine's death is the probes' doing. A late one may only be slow. */
const blamed = ({ status, phase, console }: MachineResult): string | undefined =>
  phase === 'probes' && (status === 'oops' || status === 'panic') ? console.find(blamesFrames) : undefined

const nothing: MachineVerdict = { told: 'untold', why: 'no results' }

const ofMachine = (machine: MachineResult, rule: string | null): MachineVerdict => {
  const { status, reason, bundle } = machine
  const cases = bundle === null ? nothing : ofBundle(bundle, rule)
  if (cases.told === 'bad') return cases
  if (status === 'stuck') return { told: 'bad', why: `stuck: ${reason}` }
  if (rule === null && isMisread(machine))
    return { told: 'bad', why: 'a frame of another machine is not treated as its generation does' }
  const line = blamed(machine)
  if (line !== undefined) return { told: 'bad', why: `${status} in ${line}` }
  return status === 'ran' ? cases : { told: 'untold', why: `${status}${reason === '' ? '' : `: ${reason}`}` }
}

/**
 * The verdict over all machines: bad if one is, else untold if one is.
 * @param rule the one that alone is asked; null for all that was run
 */
export const bisectVerdict = (
  { machines }: Pick<VmReport, 'machines'>,
  rule: string | null,
): BisectVerdict => {
  const verdicts = machines.map(machine => ({ machine, ...ofMachine(machine, rule) }))
  for (const told of ['bad', 'untold', 'good'] as const) {
    const found = verdicts.find(one => one.told === told)
    if (found === undefined) continue
    const { kernel, cpu } = found.machine
    return {
      code: bisectCodes[told],
      why: oneLine(`${kernel.name} on ${cpu.name}: ${found.why}`, longestWhy),
    }
  }
  return { code: bisectCodes.untold, why: 'no machine ran' }
}
