/** A kept frame through this machine's sigreturn, and what became of each component. */
import { release } from 'node:os'
import type { GenerationId } from '../contract/generations.ts'
import type { Probe } from '../probe/session.ts'
import type { Layout } from '../xstate/layout.ts'
import type { ReplayedFrame } from './captured.ts'
import { componentsOf, type ExplainedComponent } from './explain.ts'
import { foreignOf } from './meant.ts'
import { returningFrom, sendForeign } from './replay.ts'
import type { SavedFrame } from './saved.ts'

export interface SentFrameResult
  extends Pick<ReplayedFrame, 'outcome' | 'observed' | 'expected' | 'asExpected'> {
  readonly kernel: { readonly release: string; readonly generation: GenerationId | null }
  /** Of this machine's task. */
  readonly layout: Layout
  /** Nothing where the frame was not returned from. */
  readonly components: readonly ExplainedComponent[]
  readonly mxcsr: { readonly arrives: boolean; readonly before: number; readonly after: number } | null
}

/** @param generation of this machine's kernel, as its fingerprint says; null where that is not known */
export const sendFrame = (
  probe: Probe,
  frame: SavedFrame,
  generation: GenerationId | null,
): SentFrameResult => {
  const foreign = foreignOf(frame)
  const { outcome, observed, expected, asExpected, arrived } = sendForeign(
    returningFrom(probe, generation),
    foreign,
  )
  const common = {
    kernel: { release: release(), generation },
    layout: probe.layout,
    outcome,
    observed,
    expected,
    asExpected,
  }
  if (arrived === null) return { ...common, components: [], mxcsr: null }
  const { arrival, after } = arrived
  return {
    ...common,
    components: componentsOf(foreign, arrival, after),
    mxcsr: {
      arrives: arrival.arrived.includes('mxcsr'),
      before: foreign.image.mxcsr,
      after: after.mxcsr,
    },
  }
}
