/** The bytes by which cases fail, on simulated kernels: what they say has to be what the registers hold. */
import { describe, expect, test } from 'vitest'
import type { GenerationId } from '../../lib/contract/generations.ts'
import type { Treatment } from '../../lib/contract/treatment.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { bytesOf } from '../../lib/harness/bytes.ts'
import { withWitness } from '../../lib/harness/execute.ts'
import type { CaseBytes } from '../../lib/harness/results.ts'
import type { Returned, Seen } from '../../lib/probe/result.ts'
import { componentNamed } from '../../lib/xstate/components.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { machineNamed } from '../contract/simulated-cases.ts'
import { simulatedProbe } from '../contract/simulated-probe.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

interface Pair {
  readonly pair: readonly [Seen, Seen]
  readonly layout: Layout
}

/** A frame and its witness, through a kernel of a generation. */
const sent = (generation: GenerationId, edit: readonly EditOp[], name = 'zen4'): Pair => {
  const { probe } = simulatedProbe({ ...machineNamed(name), generation })
  const load = randomImage(probe.layout, { seed: 1 })
  const both = probe.runMany([edit, withWitness(edit)].map(one => ({ edit: one, load })))
  return { pair: both as [Seen, Seen], layout: probe.layout }
}

const differing = (wanted: Treatment, { pair, layout }: Pair): CaseBytes | null =>
  bytesOf(wanted, pair, layout)

const namesOf = (bytes: CaseBytes | null): string[] => (bytes?.components ?? []).map(({ name }) => name)

const untouched: readonly EditOp[] = []
/** Without MAGIC1 nothing but the legacy region is restored. */
const withoutMagic: readonly EditOp[] = [{ op: 'set', field: 'sw.magic1', value: 0 }]

describe('nothing to tell', () => {
  test.each(['classic', 'portable'] as const)('what is as it should be: %s', generation => {
    expect(differing('restored', sent(generation, untouched))).toBeNull()
    expect(differing('fx-only', sent(generation, withoutMagic))).toBeNull()
  })

  test.each(['killed', 'undelivered', 'as-stated'] as const)('%s leaves no registers', wanted => {
    expect(differing(wanted, sent('classic', untouched))).toBeNull()
  })

  test('a probe that came to no registers', () => {
    const { pair, layout } = sent('classic', untouched)
    const died = { kind: 'died', where: null, signal: 'SIGSEGV', code: null } as const
    expect(bytesOf('restored', [died, died], layout)).toBeNull()
    // The witness alone may have them.
    expect(bytesOf('fx-only', [died, pair[1]], layout)?.of).toBe('witness')
  })

  test('what no rule names', () => {
    const { pair, layout } = sent('classic', untouched)
    expect(bytesOf('unexplained', pair, layout)).toBeNull()
  })
})

describe('what should have been restored and is at init', () => {
  const { pair, layout } = sent('classic', withoutMagic)
  // The magic is put back: now it is a frame that should have been restored, and was not.
  const { sent: frame } = pair[0] as Returned
  const bytes = differing('restored', { pair, layout })

  test('every extended component, of the frame itself', () => {
    expect(bytes?.of).toBe('frame')
    expect(namesOf(bytes)).toEqual(layout.extended.map(({ name }) => name))
  })

  test.each(layout.extended.map(({ name }) => name))('%s: the frame’s bytes against zeros', name => {
    const one = bytes?.components.find(component => component.name === name)
    const { offset, size } = layout.component(name)
    expect(one).toMatchObject({ name, offset, size, wanted: 'restored', from: 0 })
    const significant = name === 'pkru' ? 4 : Math.min(size, 64)
    const whole = frame.fpstate.subarray(offset, offset + significant)
    expect(one?.expected.slice(0, 2 * significant)).toBe(hex(whole))
    expect(one?.observed).toMatch(/^0+$/)
    expect(one?.expected).toHaveLength(2 * Math.min(64, size))
    expect(one?.observed).toHaveLength(2 * Math.min(64, size))
  })
})

describe('what should have been refused and was restored', () => {
  const { pair, layout } = sent('classic', untouched)
  const bytes = differing('rejected', { pair, layout })

  test('all but PKRU, which gets the kernel’s default, whatever that is', () => {
    expect(namesOf(bytes)).toEqual([
      ...layout.components.map(({ name }) => name).filter(name => name !== 'pkru'),
      'mxcsr',
    ])
    expect(bytes?.components.every(({ wanted }) => wanted === 'init')).toBe(true)
  })

  test('x87 at init has FCW 0x37f; MXCSR 0x1f80', () => {
    const at = (name: string) => bytes?.components.find(one => one.name === name)
    expect(at('x87')?.expected).toMatch(/^7f0300/)
    expect(at('mxcsr')).toMatchObject({ offset: 24, size: 4, expected: '801f0000' })
  })
})

describe('where the difference lies', () => {
  /** As the simulated kernel answers, but for some bytes of one component. */
  const flipped = (name: 'zmm_hi256' | 'avx' | 'x87', at: readonly number[]): CaseBytes | null => {
    const { pair, layout } = sent('classic', untouched)
    const wrong = (seen: Seen): Seen => {
      const { after } = seen as Returned
      const image: XsaveImage = after
      for (const i of at) {
        const byte = layout.offset(name) + i
        image.bytes[byte] = (image.bytes[byte] ?? 0) ^ 0xff
      }
      return { ...seen, sent: (seen as Returned).sent, after: image } as unknown as Seen
    }
    return bytesOf('restored', [wrong(pair[0]), wrong(pair[1])], layout)
  }

  test('the row of the first one, and how many there are', () => {
    const [one, ...others] = flipped('zmm_hi256', [100, 101, 300])?.components ?? []
    expect(others).toEqual([])
    expect(one).toMatchObject({ name: 'zmm_hi256', from: 96, differing: 3 })
    const [a, b] = [one?.expected ?? '', one?.observed ?? '']
    expect(a.slice(0, 8)).toBe(b.slice(0, 8))
    expect(a.slice(8, 12)).not.toBe(b.slice(8, 12))
    expect(a.slice(12)).toBe(b.slice(12))
  })

  test('near its end the bytes end with it', () => {
    const [one] = flipped('avx', [255])?.components ?? []
    expect(one).toMatchObject({ from: 240, differing: 1 })
    expect(one?.expected).toHaveLength(32)
  })

  test('what carries no state is no difference: bytes between x87 registers', () => {
    expect(flipped('x87', [32 + 12])).toBeNull()
    const [one] = flipped('x87', [32])?.components ?? []
    expect(one).toMatchObject({ name: 'x87', from: 32, differing: 1, size: componentNamed('x87').size })
  })
})
