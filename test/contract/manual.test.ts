/** What the manuals say of odd bytes, against a simulated CPU and against this one. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HardwareAsk } from '../../lib/contract/predict/hardware.ts'
import { answerByTheManual } from '../../lib/contract/predict/manual.ts'
import { askHardware } from '../../lib/harness/task.ts'
import { diffComponents, sameMxcsr } from '../../lib/xstate/compare.ts'
import { fieldOffset, initImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { session } from '../probe/support.ts'
import { known, knownNames } from '../xstate/arbitrary.ts'
import { simulatedXrstor } from './simulated-kernel.ts'

interface Oddity {
  readonly name: string
  readonly edit: (view: DataView, layout: Layout) => void
}

const oddities: readonly Oddity[] = [
  { name: 'nothing', edit: () => undefined },
  { name: 'XCOMP_BV 1', edit: view => view.setBigUint64(fieldOffset.xcompBv, 1n, true) },
  { name: 'compacted', edit: view => view.setBigUint64(fieldOffset.xcompBv, (1n << 63n) | 7n, true) },
  { name: 'byte 528', edit: view => view.setUint8(fieldOffset.reserved, 1) },
  { name: 'byte 535', edit: view => view.setUint8(fieldOffset.reserved + 7, 1) },
  {
    name: 'XSTATE_BV bit 62',
    edit: view =>
      view.setBigUint64(
        fieldOffset.xstateBv,
        view.getBigUint64(fieldOffset.xstateBv, true) | (1n << 62n),
        true,
      ),
  },
  { name: 'MXCSR bit 16', edit: view => view.setUint32(fieldOffset.mxcsr, 0x1_1f80, true) },
  {
    name: 'an exception pending',
    edit: view => {
      view.setUint16(fieldOffset.fcw, 0x37e, true)
      view.setUint16(fieldOffset.fsw, 0x8081, true)
    },
  },
]

const askOf = (
  layout: Layout,
  { edit }: Oddity,
  {
    seed,
    mask,
    misalignedBy,
    instruction,
  }: Pick<HardwareAsk, 'mask' | 'misalignedBy' | 'instruction'> & {
    readonly seed: number
  },
): HardwareAsk => {
  const { bytes } = randomImage(layout, { seed })
  const area = bytes.slice()
  if (layout.xsave) edit(new DataView(area.buffer), layout)
  return { instruction, bytes: area, mask, misalignedBy, endsAt: null }
}

const anyAsk = (layout: Layout) =>
  fc.record({
    oddity: fc.constantFrom(...oddities),
    seed: fc.nat(1000),
    mask: fc.bigInt(0n, layout.features).map(mask => (mask & layout.features) | 3n),
    misalignedBy: fc.constantFrom(0, 0, 0, 1, 8, 16, 32),
    instruction: fc.constantFrom(
      ...(layout.xsave ? (['xrstor', 'xrstor', 'fxrstor'] as const) : (['fxrstor'] as const)),
    ),
  })

/** What of an answer counts: a fault, or the state. */
const agrees = (answer: unknown, seen: unknown, layout: Layout): boolean => {
  if (!(answer instanceof Uint8Array) || !(seen instanceof Uint8Array)) return answer === seen
  return diffComponents(answer, seen, layout).length === 0 && sameMxcsr(answer, seen)
}

const shown = (answer: unknown): unknown => (answer instanceof Uint8Array ? 'loaded' : answer)

const told = ({ name }: Oddity, ...answers: readonly unknown[]): string =>
  `${name}: ${answers.map(shown).join(' and ')}`

describe('what the manuals say of odd bytes', () => {
  // The simulated one has XSAVE.
  it.each(knownNames.filter(name => known(name).xsave))(
    'is what a CPU does that was written after them: %s',
    name => {
      const layout = known(name)
      let said = 0
      fc.assert(
        fc.property(anyAsk(layout), ({ oddity, ...rest }) => {
          const ask = askOf(layout, oddity, rest)
          const answer = answerByTheManual(ask, layout)
          if (answer === null) return
          said += 1
          const seen = simulatedXrstor(
            { layout, generation: 'classic', xsaves: true },
            ask,
            initImage(layout),
          )
          expect(agrees(answer, seen, layout), told(oddity, answer, seen)).toBe(true)
        }),
      )
      expect(said).toBeGreaterThan(20)
    },
  )

  it('is what this CPU does', ctx => {
    const probe = session(undefined, ctx)
    const { layout } = probe
    const before = initImage(layout)
    fc.assert(
      fc.property(anyAsk(layout), ({ oddity, ...rest }) => {
        const ask = askOf(layout, oddity, rest)
        const answer = answerByTheManual(ask, layout)
        if (answer === null) return
        const [seen] = askHardware(probe, [{ ask, before }])
        if (seen === null) return
        // Emulators may let reserved bits of MXCSR pass, and AMD’s CPUs drop pointers where none is pending.
        if (oddity.name === 'MXCSR bit 16' && seen instanceof Uint8Array) return
        expect(agrees(answer, seen, layout), told(oddity, answer, seen)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('is a fault for a compacted area that contradicts itself, and nothing for one that may be right', () => {
    const layout = known('ice-lake-sp')
    const common = { seed: 1, mask: layout.features, misalignedBy: 0, instruction: 'xrstor' } as const
    const answer = (xcompBv: bigint, xstateBv: bigint, reserved = 0) => {
      const edit = (view: DataView): void => {
        view.setBigUint64(fieldOffset.xcompBv, xcompBv, true)
        view.setBigUint64(fieldOffset.xstateBv, xstateBv, true)
        view.setUint8(575, reserved)
      }
      return answerByTheManual(askOf(layout, { name: '', edit }, common), layout)
    }
    const bit63 = 1n << 63n
    expect(answer(bit63 | 7n, 7n)).toBeNull()
    expect(answer(bit63 | 7n, 0xfn)).toBe('fault')
    expect(answer(bit63 | 7n | (1n << 40n), 7n)).toBe('fault')
    expect(answer(bit63 | 7n, 7n, 1)).toBe('fault')
    expect(answer(bit63 | layout.features, layout.features)).toBeNull()
  })

  it('is nothing of MXCSR where it is emulated', () => {
    const layout = known('haswell')
    const odd = oddities.find(({ name }) => name === 'MXCSR bit 16') as Oddity
    const ask = askOf(layout, odd, { seed: 1, mask: 7n, misalignedBy: 0, instruction: 'xrstor' })
    expect(answerByTheManual(ask, layout)).toBe('fault')
    expect(answerByTheManual(ask, layout, true)).toBeNull()
  })

  it('is nothing where they leave it open', () => {
    const layout = known('sapphire-rapids')
    const compacted: Oddity = {
      name: 'compacted',
      edit: (view, { features }) => view.setBigUint64(fieldOffset.xcompBv, (1n << 63n) | features, true),
    }
    const common = { seed: 1, mask: layout.features, misalignedBy: 0, instruction: 'xrstor' } as const
    expect(answerByTheManual(askOf(layout, compacted, common), layout)).toBeNull()
    const { bytes, ...rest } = askOf(layout, oddities[0] as Oddity, common)
    expect(answerByTheManual({ ...rest, bytes, endsAt: 600 }, layout)).toBeNull()
    const tiles = bytes.slice()
    tiles.fill(0xff, layout.offset('xtilecfg'), layout.end('xtilecfg'))
    new DataView(tiles.buffer).setBigUint64(fieldOffset.xstateBv, layout.features, true)
    expect(answerByTheManual({ ...rest, bytes: tiles }, layout)).toBeNull()
  })
})
