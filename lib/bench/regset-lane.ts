/** The lane of traced probes: each is set at its first stop and read at its second. */
import type { RegsetAnswer } from '../neighbours/ptrace/answer.ts'
import type { PreparedRegset } from '../neighbours/ptrace/ask.ts'
import type { Probe } from '../probe/session.ts'
import { diffComponents } from '../xstate/compare.ts'
import { randomImage } from '../xstate/random.ts'
import { BenchError, type Lane } from './lane.ts'

/** Looking at the registers takes longer than a probe: of so many, one is looked at. */
const sampled = 1024

/** What the regset holds now. @returns why it cannot be read, too */
const regsetNow = (probe: Probe, load: ReturnType<typeof randomImage>): Uint8Array | string => {
  const answer = probe.regset({ load, loaded: [{ call: 'get' }] })
  if (answer.kind !== 'done') return answer.kind
  const read = answer.loaded[0]
  return read === undefined || read.errno !== null ? `PTRACE_GETREGSET: ${read?.errno}` : read.bytes
}

/**
 * None where nothing can be traced, or there is no such regset.
 * @param probe a session that stays on its CPU
 */
export const regsetLanes = (probe: Probe): Lane[] => {
  const { layout } = probe
  if (!layout.xsave) return []
  const load = randomImage(layout, { seed: 7 })
  const set = randomImage(layout, { seed: 8 })
  const bytes = regsetNow(probe, set)
  probe.unpin()
  if (typeof bytes === 'string') return []
  const ask = probe.prepareRegset({ load, loaded: [{ call: 'set', bytes }], ended: [{ call: 'get' }] })
  let asks: PreparedRegset[] = []
  const problemOf = (answer: RegsetAnswer, thorough: boolean): string | null => {
    if (answer.kind !== 'done') return `${answer.kind} instead of a second stop`
    if (!answer.succeeded) return 'a call failed'
    if (!thorough) return null
    const read = answer.ended[0]?.bytes
    const lost = read === undefined ? ['nothing read'] : diffComponents(read, set.bytes, layout)
    return lost.length === 0 ? null : `${lost.join(' ')} not as set`
  }
  return [
    {
      name: 'ptrace regsets',
      wanted: { ratio: 0.8 },
      weight: 4,
      run: count => {
        if (asks.length !== count) asks = new Array<PreparedRegset>(count).fill(ask)
        try {
          probe.eachRegset(asks, (answer, i) => {
            const problem = problemOf(answer, i % sampled === 0)
            if (problem !== null) throw new BenchError(`bench: ptrace regsets: probe ${i}: ${problem}`)
          })
        } finally {
          // The other lanes are for a thread that may run anywhere.
          probe.unpin()
        }
      },
      against: [
        {
          name: 'plain',
          run: count => {
            const ns = probe.traceLoop(ask, count)
            probe.unpin()
            if (ns === null)
              throw new BenchError('bench: the plain loop of regsets ended otherwise than meant')
            return ns
          },
        },
      ],
    },
  ]
}
