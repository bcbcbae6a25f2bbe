/** What the kernel complained of on the console before the run: what comes later is the bundle's. Pure. */
import { splatsIn } from '../harness/splats.ts'

const stamped = /^\[\s*(\d+)\.(\d{6})\](?:\[\s*([TC]\d+)\])? ?(.*)$/

/** The first line of each complaint. */
export const warningsOn = (lines: readonly string[]): readonly string[] => {
  const records = lines.flatMap((line, seq) => {
    const found = stamped.exec(line)
    if (found === null) return []
    const [, seconds = '0', micros = '0', caller = null, text = ''] = found
    // The console has no levels: what is on it is a warning or worse, by loglevel=5.
    return [{ facility: 0, level: 4, seq, usec: Number(seconds) * 1_000_000 + Number(micros), caller, text }]
  })
  return splatsIn(records).map(({ title }) => title)
}
