/** What the kernel complained of on the console before the run: what comes later is in the bundle by itself. Pure. */

import type { Bundle } from '../harness/results.ts'
import { type Splat, splatsIn } from '../harness/splats.ts'
import { complained } from '../harness/whole-run.ts'

// CONFIG_PRINTK_TIME, and CONFIG_PRINTK_CALLER; either may be missing.
const stamp = /^\[\s*(\d+)\.(\d{6})\](?:\[\s*([TC]\d+)\])? ?/

/** Each complaint. The console has no levels: what is on it is a warning or worse, by loglevel=5. */
export const splatsOn = (lines: readonly string[]): readonly Splat[] =>
  splatsIn(
    lines.map((line, seq) => {
      const [whole = '', seconds = '0', micros = '0', caller = null] = stamp.exec(line) ?? []
      const usec = Number(seconds) * 1_000_000 + Number(micros)
      return { facility: 0, level: 4, seq, usec, caller, text: line.slice(whole.length) }
    }),
  )

/**
 * The bundle, failed by what the FPU code complained of while booting. What else did, of an emulated board for one, is
 * told and fails nothing.
 */
export const withBootComplaints = (bundle: Bundle, splats: readonly Splat[]): Bundle => {
  const titles = splats.filter(({ ofFpu }) => ofFpu).map(({ title }) => title)
  if (titles.length === 0) return bundle
  const failure = {
    name: 'boot',
    reason: 'the FPU code complained while the kernel booted',
    quote: titles.join('; '),
    expected: 'no warning and no call trace',
  } as const
  return { ...bundle, cases: [...bundle.cases, ...complained([failure])] }
}
