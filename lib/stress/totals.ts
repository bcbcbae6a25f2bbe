/** Sums of what many requests of many processes tell. Pure. */
import { type Abi, abis } from '../frame/abi.ts'
import type { StressCounts, StressOn } from '../probe/stress.ts'

export interface Totals {
  /** In order of their numbers. */
  readonly on: readonly StressOn[]
  readonly signals: Readonly<Record<Abi, number>>
  readonly refused: number
  readonly switches: number
}

const none = (cpu: number): StressOn => ({ cpu, rounds: 0, signals: 0, timed: 0, moves: 0, lost: 0 })

export const noTotals = (cpus: readonly number[]): Totals => ({
  on: cpus.map(none),
  signals: Object.fromEntries(abis.map(abi => [abi, 0])) as Totals['signals'],
  refused: 0,
  switches: 0,
})

/** One of another CPU's adds nothing but its counts. */
export const addOn = (a: StressOn, b: StressOn): StressOn => ({
  cpu: a.cpu,
  rounds: a.rounds + b.rounds,
  signals: a.signals + b.signals,
  timed: a.timed + b.timed,
  moves: a.moves + b.moves,
  lost: a.lost + b.lost,
})

export const add = (a: Totals, b: Totals | StressCounts): Totals => {
  const on = new Map(a.on.map(one => [one.cpu, one]))
  for (const one of b.on) on.set(one.cpu, addOn(on.get(one.cpu) ?? none(one.cpu), one))
  return {
    on: [...on.values()].sort((x, y) => x.cpu - y.cpu),
    signals: Object.fromEntries(abis.map(abi => [abi, a.signals[abi] + b.signals[abi]])) as Totals['signals'],
    refused: a.refused + b.refused,
    switches: a.switches + b.switches,
  }
}

/** All CPUs as one; its number means nothing. */
export const overall = ({ on }: Pick<Totals, 'on'>): StressOn => on.reduce(addOn, none(-1))
