/** Frames of other machines, translated to this one's layout, through this machine's own sigreturn. */
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import type { ReplayedFrame } from '../../lib/foreign/captured.ts'
import { replayFrame } from '../../lib/foreign/replay.ts'
import type { Abi } from '../../lib/frame/abi.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import { type TranslatedFrame, translateFrame } from '../../lib/frame/translate.ts'
import { fingerprintKernel } from '../../lib/harness/host.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { isInitComponent } from '../../lib/xstate/compare.ts'
import { type ComponentName, maskOf } from '../../lib/xstate/components.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, session } from '../probe/support.ts'
import { known } from '../xstate/arbitrary.ts'
import { base64, capturedFrame } from './frames.ts'

beforeEach(needsProbes)

const abisOf = (probe: Probe) =>
  (['x86_64', 'ia32-rt', 'ia32'] as const).filter(abi => probe.lack(abi) === null)

const translatedFrom = (image: XsaveImage, to: Layout, abi: Abi) =>
  translateFrame({ abi, layout: image.layout, head: null, ...buildFpstate(image.layout, image, abi) }, to)

const done = (result: ReturnType<typeof translateFrame>): TranslatedFrame => {
  if (result.kind === 'translated') return result
  throw new Error(JSON.stringify(result))
}

/** The frame as it is, through this machine's sigreturn. */
const asIs = (probe: Probe, image: XsaveImage, abi: Abi): ReplayedFrame =>
  replayFrame(probe, 'x', capturedFrame(image.layout, abi, image), null)

/** The same, translated to this machine's layout. */
const replayTranslated = (probe: Probe, image: XsaveImage, abi: Abi): ReplayedFrame => {
  const { layout } = probe
  const { fsave, fpstate, image: there } = done(translatedFrom(image, layout, abi))
  return replayFrame(
    probe,
    'x',
    {
      id: `${abi}/translated`,
      abi,
      layout: layout.toJSON(),
      fpstate: base64(fsave ?? new Uint8Array(0), fpstate),
      image: base64(there.bytes),
    },
    null,
  )
}

const whole = { outcome: 'holds', lost: [], unknown: [], leftOver: [] }

/** What of a layout this machine's task has, too. */
const common = (there: Layout, here: Layout): ComponentName[] =>
  there.components.filter(({ name }) => here.has(name)).map(({ name }) => name)

/** Where this machine has a component elsewhere. */
const elsewhere = (there: Layout, here: Layout): ComponentName[] =>
  common(there, here).filter(name => there.offset(name) !== here.offset(name))

/** The components of this machine in the reverse order. */
const reversed = (here: Layout): Layout =>
  createLayout({
    vendor: 'Elsewhere',
    xcr0: here.features,
    userFeatures: here.features,
    mxcsrMask: here.mxcsrMask,
    components: here.extended
      .toReversed()
      .reduce<{ index: number; offset: number; size: number }[]>((placed, { index, size }) => {
        const last = placed.at(-1)
        const end = last === undefined ? 576 : last.offset + last.size
        placed.push({ index, size, offset: Math.ceil(end / 64) * 64 })
        return placed
      }, [])
      .map(one => ({ ...one, alignedCompacted: false, supervisor: false, xfd: false })),
  })

describe('a frame whose components lie elsewhere', () => {
  it.for(['zen4', 'zen3', 'ice-lake-sp', 'alder-lake'] as const)(
    'is lost as it is, and holds translated: %s',
    (name, ctx) => {
      const probe = session(undefined, ctx)
      const { layout } = probe
      const there = known(name)
      if (elsewhere(there, layout).length === 0) return ctx.skip('this machine has all of it in its place')
      const image = randomImage(there, { seed: 31, components: common(there, layout) })
      for (const abi of abisOf(probe)) {
        const before = asIs(probe, image, abi)
        expect(['loses', 'rejected', 'killed']).toContain(before.outcome)
        expect(replayTranslated(probe, image, abi)).toMatchObject(whole)
      }
    },
  )

  it('holds translated, with all that this machine has in another order', ctx => {
    const probe = session(undefined, ctx)
    const { layout } = probe
    if (layout.extended.length < 2) return ctx.skip('this machine has no two components to be swapped')
    const image = randomImage(reversed(layout), { seed: 32 })
    for (const abi of abisOf(probe)) {
      expect(asIs(probe, image, abi).outcome).not.toBe('holds')
      const replayed = replayTranslated(probe, image, abi)
      expect(replayed).toMatchObject(whole)
      expect(replayed.observed).toBe(`${[...layout.components.map(c => c.name), 'mxcsr'].join(' ')} arrived`)
    }
  })
})

const needsRoom = (probe: Probe, ctx: TestContext): void => {
  const { size, hostFeatures } = probe.layout
  if (size < 640) ctx.skip('this machine’s frames have no room for one component more')
  if ((hostFeatures & maskOf(['component_20'])) !== 0n) ctx.skip('this machine has it')
}

/** x87, SSE, and a component that no CPU has yet, in frames of this machine's size: all generations look at their header. */
const withUnheardOf = ({ size, vendor, mxcsrMask }: Layout): Layout =>
  createLayout({
    vendor,
    xcr0: 0x10_0003n,
    userFeatures: 0x10_0003n,
    mxcsrMask,
    components: [
      {
        index: 20,
        offset: size - 64,
        size: 64,
        alignedCompacted: false,
        supervisor: false,
        xfd: false,
      },
    ],
  })

/** A frame that is rejected as it is, for the components that this machine lacks; translated it holds without them. */
const expectRefused = (probe: Probe, used: XsaveImage, idle: XsaveImage, lacks: readonly string[]): void => {
  const { layout } = probe
  for (const abi of abisOf(probe)) {
    expect(asIs(probe, used, abi)).toMatchObject({ outcome: 'rejected', unknown: lacks })
    const refused = translatedFrom(used, layout, abi)
    expect(refused).toMatchObject({ kind: 'lacking', lacks: lacks.map(name => ({ name, kind: 'absent' })) })
    const { dropped } = done(translatedFrom(idle, layout, abi))
    expect(dropped.map(({ name }) => name)).toEqual(expect.arrayContaining([...lacks]))
    expect(replayTranslated(probe, idle, abi)).toMatchObject(whole)
  }
}

describe('a frame with components that this machine lacks', () => {
  it('is rejected and refused with their names; and taken, translated, with them at init: Intel’s MPX', ctx => {
    const probe = session(undefined, ctx)
    const { layout } = probe
    const { generation } = fingerprintKernel(probe)
    const there = known('skylake-sp')
    if ((layout.hostFeatures & maskOf(['bndregs'])) !== 0n) return ctx.skip('this machine has MPX')
    if (!layout.xsave || there.size > layout.size)
      return ctx.skip('Skylake’s frames are larger than this machine’s: what is in them is not looked at')
    if (generation.id === 'regressed' && there.size !== layout.size)
      return ctx.skip('this kernel looks at frames of this machine’s size alone')
    const components = common(there, layout)
    expectRefused(
      probe,
      randomImage(there, { seed: 41, components: [...components, 'bndregs', 'bndcsr'] }),
      randomImage(there, { seed: 41, components }),
      ['bndregs', 'bndcsr'],
    )
  })

  it('is rejected and refused with their names; and taken, translated, with them at init: an unheard-of one', ctx => {
    const probe = session(undefined, ctx)
    needsRoom(probe, ctx)
    const there = withUnheardOf(probe.layout)
    const idle = randomImage(there, { seed: 42 })
    const used = randomImage(there, { seed: 42, components: ['x87', 'sse', 'component_20'] })
    expect(isInitComponent(idle.bytes, there, 'component_20')).toBe(true)
    expectRefused(probe, used, idle, ['component_20'])
  })
})

describe('a frame that is larger than this machine’s', () => {
  it('holds translated, with the tiles at init that make it so, and is refused with tiles in use', ctx => {
    const probe = session(undefined, ctx)
    const { layout } = probe
    const there = known('sapphire-rapids-tiles')
    const components = common(there, layout)
    if (layout.has('xtiledata')) return ctx.skip('this machine’s tasks have tiles')
    const image = randomImage(there, { seed: 43, components })
    const tiles = randomImage(there, { seed: 43, components: [...components, 'xtiledata'] })
    const kind = (layout.hostFeatures & maskOf(['xtiledata'])) === 0n ? 'absent' : 'withheld'
    const before = asIs(probe, image, 'x86_64')
    // Without more than SSE all of it is in the legacy region.
    if (components.length > 2 && fingerprintKernel(probe).generation.id !== 'larger')
      expect(before).toMatchObject({ outcome: 'loses', lost: expect.arrayContaining(components.slice(2)) })
    for (const abi of abisOf(probe)) {
      expect(translatedFrom(tiles, layout, abi)).toMatchObject({ lacks: [{ name: 'xtiledata', kind }] })
      expect(replayTranslated(probe, image, abi)).toMatchObject(whole)
    }
  })

  it('and one without XSAVE hold translated', ctx => {
    const probe = session(undefined, ctx)
    const image = randomImage(known('nehalem'), { seed: 44 })
    for (const abi of abisOf(probe)) expect(replayTranslated(probe, image, abi)).toMatchObject(whole)
  })
})
