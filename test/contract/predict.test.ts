/**
 * The model against the simulated kernels, which are written apart from it: every frame of every selftest, on every
 * known CPU, for every generation.
 */
import { describe, expect, test } from 'vitest'
import { generations } from '../../lib/contract/generations.ts'
import { differing } from '../../lib/contract/predict/compare.ts'
import { type Ended, predict } from '../../lib/contract/predict/predict.ts'
import { sentFrame } from '../../lib/contract/predict/sent.ts'
import type { Task } from '../../lib/contract/predict/task.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { FrameParts } from '../../lib/frame/reader.ts'
import { executeCase } from '../../lib/harness/execute.ts'
import type { ProbeRequest } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import { isSimulated, knownMachines, plannedOn, selftests } from './simulated-cases.ts'
import { type Machine, simulatedXrstor } from './simulated-kernel.ts'
import { limitsOf, simulatedProbe } from './simulated-probe.ts'

const headEdits = /head\./

/** What a probe came to, in the model's words; null where that is not the fpstate's doing. */
const endOf = (seen: Seen): string | null => {
  if (seen.kind === 'returned') return 'returned'
  if (seen.kind === 'signal') return seen.where === 'sigreturn' ? 'rejected' : null
  return seen.kind === 'died' ? 'killed' : seen.kind
}

const predictedBy = (
  machine: Machine,
  seen: Seen & { poison: XsaveImage },
  request: ProbeRequest,
): Ended | string => {
  const { layout } = machine
  const task: Task = {
    layout,
    compacts: machine.xsaves,
    avxLoadsMxcsr: true,
    keepsPointers: true,
    keepsZmmHi256: machine.losesZmmHi256 !== true,
  }
  const policy = generations.find(({ id }) => id === machine.generation)!.policy
  const limits = limitsOf(layout)
  const { primitives } = compileEdit(request.edit as EditOp[], layout, limits, 'edit', request.abi)
  const frame = sentFrame((seen as unknown as { sentView: FrameParts }).sentView, primitives, limits)
  const first = predict(frame, task, policy)
  if (first.end === 'unknown') return 'unknown'
  if (first.end !== 'ask') return first
  const again = predict(frame, task, policy, simulatedXrstor(machine, first.ask, seen.poison))
  return again.end === 'unknown' || again.end === 'ask' ? again.end : again
}

const compare = (machine: Machine, seen: Seen, request: ProbeRequest): string | null => {
  // A shadow stack's token is no matter of the frame.
  if (!('sentView' in seen) || request.shadowStack === true) return null
  const end = endOf(seen)
  const predicted = predictedBy(machine, seen as never, request)
  if (typeof predicted === 'string') return predicted
  const meant = ['rejected', 'killed'].includes(predicted.end) ? predicted.end : 'returned'
  if (
    end === null ||
    headEdits.test(JSON.stringify(request.edit, (_, v) => (typeof v === 'bigint' ? `${v}` : v)))
  )
    return null
  if (end !== meant) return `${end}, predicted ${predicted.end}`
  if (!('afterView' in seen)) return null
  const names = differing(seen.afterView as Uint8Array, machine.layout, predicted.registers)
  return names.length === 0 ? null : `${predicted.end}, but ${names.join(' ')} differ`
}

describe.each(knownMachines)('on %s', (_, host) => {
  test.each(generations.map(({ id }) => id))('as %s', generation => {
    const machine = { ...host, generation }
    const { probe } = simulatedProbe(machine)
    const wrong: string[] = []
    let count = 0
    for (const planned of selftests.flatMap(one => plannedOn(host.layout, one))) {
      if (!isSimulated(planned.test)) continue
      const watched: Probe = {
        ...probe,
        runMany: (requests: ProbeRequest[]) =>
          probe.runMany(requests).map((seen, i) => {
            const problem = compare(machine, seen, requests[i]!)
            count += 1
            if (problem !== null) wrong.push(`${planned.id}: ${problem}`)
            return seen
          }),
      } as never
      executeCase(watched, planned.test, planned.context)
    }
    expect(wrong).toEqual([])
    expect(count).toBeGreaterThan(100)
  })
})
