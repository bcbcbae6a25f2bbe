/** What a machine is told: its kernel by the command line, PID 1 by /job, the run by /task.json. */
import type { Task } from './guest/task.ts'
import { inMachine } from './initramfs/contents.ts'
import type { Entry } from './initramfs/newc.ts'
import type { Acceleration } from './machine.ts'

/** Seconds without a word of the run, which tells of each case: above its own limits for one. */
const quietSeconds = 45
/** Cases that take long say nothing meanwhile. */
const quietSecondsLong = 900

/** What of a setting is told. */
export interface Told {
  readonly acceleration: Acceleration
  /** Seconds for the run. */
  readonly seconds: number
  /** More of the kernel's command line. */
  readonly append: string
}

/**
 * `loglevel=5`: warnings are printed; first, because earlyprintk prints at once. `oops=panic`, `panic=-1`: the machine
 * ends. A busy host holds a machine up for seconds: only what lasts longer is a lockup or a stall.
 */
export const commandLine = ({ append }: Pick<Told, 'append'>): string =>
  [
    'loglevel=5 console=ttyS0 earlyprintk=serial,ttyS0,115200 oops=panic panic=-1',
    'watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120',
    append,
  ]
    .filter(text => text !== '')
    .join(' ')

/**
 * Where instructions are emulated, an optimizing compiler costs more than it saves for code that runs for a second: a
 * third of a run's CPU time.
 */
const nodeOptions: Readonly<Record<Acceleration, readonly string[]>> = {
  kvm: [],
  tcg: ['--no-opt', '--single-threaded-gc'],
  interpreter: ['--no-opt', '--single-threaded-gc'],
}

/** The files of PID 1's job: native/init/job.h. */
export const jobOf = (task: Task, { seconds, acceleration }: Omit<Told, 'append'>): readonly Entry[] => {
  const quiet = task.kind === 'run' && task.long ? quietSecondsLong : quietSeconds
  const lines = [
    `seconds ${seconds}`,
    `quiet ${quiet}`,
    `arg ${inMachine.node}`,
    ...nodeOptions[acceleration].map(option => `arg ${option}`),
    `arg ${inMachine.guest}`,
    `arg ${inMachine.task}`,
    'env PATH=/usr/bin:/bin',
    'env HOME=/root',
    'env LD_LIBRARY_PATH=/lib',
    `cwd ${inMachine.package}`,
  ]
  const file = (name: string, text: string): Entry => ({
    kind: 'file',
    name: name.slice(1),
    executable: false,
    bytes: Buffer.from(text),
  })
  return [file(inMachine.job, `${lines.join('\n')}\n`), file(inMachine.task, JSON.stringify(task))]
}
