import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { classify, indistinct } from '../../lib/contract/classify.ts'
import type { Treatment } from '../../lib/contract/treatment.ts'
import { magic1, magic2Size } from '../../lib/frame/format.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import { knownLayouts } from '../../lib/xstate/known-layouts.ts'
import { createLayout, type Layout, legacyFeatures } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { frameOf, registersAfter, simulatedRejection, simulatedSeen } from './simulated-kernel.ts'

const layouts = Object.values(knownLayouts)
  .map(createLayout)
  .filter(layout => layout.xsave && layout.extended.length > 0)
const anyLayout = fc.constantFrom(...layouts)
const seeds = fc.integer({ min: 1, max: 1000 })

const sentBytes = (layout: Layout, seed: number, witness: boolean): Uint8Array => {
  const bytes = new Uint8Array(layout.size + magic2Size)
  const image = randomImage(layout, { seed })
  bytes.set(image.bytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(464, magic1, true)
  view.setBigUint64(472, layout.features, true)
  view.setUint32(480, layout.size, true)
  view.setBigUint64(512, witness ? layout.features & ~legacyFeatures : layout.features, true)
  return bytes
}

type Change = (after: XsaveImage, poison: XsaveImage) => void
const nothing: Change = () => undefined

const pair = (layout: Layout, seed: number, treatment: Treatment, change: Change = nothing) => {
  const images = {
    load: randomImage(layout, { seed }),
    poison: randomImage(layout, { seed: 2 ** 30 + 300 + seed }),
  }
  return [false, true].map(witness => {
    const sent = sentBytes(layout, seed, witness)
    const frame = frameOf(sent, layout)
    const after = registersAfter(frame, layout, treatment)
    change(after, images.poison)
    return simulatedSeen(layout, sent, after, images)
  }) as [ReturnType<typeof simulatedSeen>, ReturnType<typeof simulatedSeen>]
}

describe('classify', () => {
  test('tells a dropped component from a restored one', () => {
    fc.assert(
      fc.property(anyLayout, seeds, fc.constantFrom('restored', 'fx-only'), (layout, seed, treatment) => {
        const [seen, witness] = pair(layout, seed, treatment as Treatment)
        expect(indistinct(seen, witness, layout)).toBeNull()
        expect(classify(seen, witness, layout).observed).toBe(treatment)
      }),
    )
  })

  test('finds no treatment where one component was kept', () => {
    fc.assert(
      fc.property(
        anyLayout,
        seeds,
        fc.nat(),
        fc.constantFrom('restored', 'fx-only'),
        (layout, seed, pick, treatment) => {
          const { name, mask } = layout.extended[
            pick % layout.extended.length
          ] as (typeof layout.extended)[number]
          const [seen, witness] = pair(layout, seed, treatment as Treatment, (after, poison) => {
            after.component(name).set(poison.component(name))
            after.xstateBv |= mask
          })
          const found = classify(seen, witness, layout)
          expect(found.observed).toBe('unexplained')
          expect(found.text).toContain(`${name} kept from before the return`)
        },
      ),
    )
  })

  test('finds no treatment where the frame is restored and its witness is not', () => {
    const layout = layouts[0] as Layout
    const [restored] = pair(layout, 3, 'restored')
    const [, legacy] = pair(layout, 3, 'fx-only')
    expect(classify(restored, legacy, layout).observed).toBe('unexplained')
  })

  test('wants the kernel’s own SIGSEGV for a rejection', () => {
    const layout = layouts[0] as Layout
    expect(classify(simulatedRejection, simulatedRejection, layout).observed).toBe('rejected')
    for (const wrong of [{ signal: 'SIGBUS' }, { siCode: 1 }, { siAddr: 4096n }, { where: 'delivery' }]) {
      const seen = { ...simulatedRejection, ...wrong } as typeof simulatedRejection
      expect(classify(seen, seen, layout).observed).toBe('unexplained')
    }
  })

  test('MXCSR that is not the frame’s is no restore', () => {
    const layout = layouts[0] as Layout
    const [seen, witness] = pair(layout, 5, 'restored', after => {
      after.mxcsr ^= 0x6000
    })
    expect(classify(seen, witness, layout).text).toContain('mxcsr is not the frame’s')
  })

  test('a poison that is the same as what is expected is indistinct', () => {
    const layout = layouts[0] as Layout
    const images = { load: randomImage(layout, { seed: 5 }), poison: randomImage(layout, { seed: 5 }) }
    const sent = sentBytes(layout, 5, false)
    const frame = frameOf(sent, layout)
    const seen = simulatedSeen(layout, sent, registersAfter(frame, layout, 'restored'), images)
    expect(indistinct(seen, seen, layout)).toContain('the poison has the same')
  })
})
