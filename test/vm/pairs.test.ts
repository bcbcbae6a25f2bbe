/** Frames across machines, as far as no register is needed: what can arrive, who gets which, what is refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { generations } from '../../lib/contract/generations.ts'
import { arrivalOf, isWhole, tellsFrom } from '../../lib/foreign/arrival.ts'
import type { CapturedFrame } from '../../lib/foreign/captured.ts'
import { checkCapturedFrame, checkCapturedFrames, checkReplayedFrames } from '../../lib/foreign/check.ts'
import { policyFor } from '../../lib/foreign/expect.ts'
import { type ForeignFrame, foreignFrame } from '../../lib/foreign/foreign.ts'
import { abis } from '../../lib/frame/abi.ts'
import { type FrameSource, framesFor } from '../../lib/vm/pairs/jobs.ts'
import { initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { createRandom, randomComponent, randomImage } from '../../lib/xstate/random.ts'
import { base64, capturedFrame } from '../foreign/frames.ts'
import { anyLayout, anySeed, hostileValues, known } from '../xstate/arbitrary.ts'

/** The state of a machine on which all arrives that it has registers for. */
const translated = ({ image, layout }: ForeignFrame, here: Layout): XsaveImage => {
  const to = initImage(here)
  to.mxcsr = image.mxcsr
  for (const { name, ranges, offset, mask } of layout.components) {
    if (!here.has(name) || (image.xstateBv & mask) === 0n) continue
    const target = here.component(name)
    for (const range of ranges)
      to.bytes.set(
        image.bytes.subarray(range.offset, range.offset + range.size),
        target.offset + range.offset - offset,
      )
    if (here.xsave) to.xstateBv |= mask
  }
  return to
}

const foreignOf = (layout: Layout, seed = 99): ForeignFrame =>
  foreignFrame(capturedFrame(layout, 'x86_64', randomImage(layout, { seed })))

describe('what arrives of a foreign frame', () => {
  it('is all that both machines have, where nothing goes wrong; the rest is unknown', () => {
    fc.assert(
      fc.property(anyLayout, anyLayout, anySeed, (there, here, seed) => {
        const foreign = foreignOf(there, seed)
        const arrival = arrivalOf(foreign, translated(foreign, here))
        const names = there.components.map(({ name }) => name)
        const has = (mask: bigint): boolean => ((here.hostFeatures | here.features) & mask) !== 0n
        expect(arrival.unknown).toEqual(
          there.components.filter(({ mask }) => !has(mask)).map(({ name }) => name),
        )
        // Tiles of a task that has none of its own are lost, not unknown.
        expect(arrival.lost).toEqual(names.filter(name => !here.has(name) && !arrival.unknown.includes(name)))
        expect(arrival.arrived).toEqual([...names.filter(name => here.has(name)), 'mxcsr'])
        expect(arrival.leftOver).toEqual([])
        expect(isWhole(arrival)).toBe(names.every(name => here.has(name)))
      }),
    )
  })

  it('tells each component that does not', () => {
    fc.assert(
      fc.property(anyLayout, anyLayout, anySeed, (there, here, seed) => {
        const foreign = foreignOf(there)
        for (const { name } of here.components) {
          const after = translated(foreign, here)
          randomComponent(after.bytes, here, name, createRandom(seed))
          const arrival = arrivalOf(foreign, after)
          const which = there.has(name) ? 'lost' : 'leftOver'
          expect(arrival[which]).toContain(name)
          expect(arrival.arrived).not.toContain(name)
          expect(isWhole(arrival)).toBe(false)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('counts a component at init as none that could be lost or unknown', () => {
    const there = known('skylake')
    const image = randomImage(there, { seed: 5, components: ['x87', 'sse', 'avx'] })
    const foreign = foreignFrame(capturedFrame(there, 'x86_64', image))
    expect(arrivalOf(foreign, translated(foreign, known('haswell')))).toEqual({
      arrived: ['x87', 'sse', 'avx', 'mxcsr'],
      lost: [],
      unknown: [],
      leftOver: [],
      unneeded: [],
    })
  })

  it('has MXCSR, which is of no component', () => {
    const foreign = foreignOf(known('haswell'))
    const after = translated(foreign, known('skylake'))
    after.mxcsr = 0x1f80
    expect(arrivalOf(foreign, after).lost).toEqual(['mxcsr'])
  })

  it('cannot be told where the handler leaves the same', () => {
    fc.assert(
      fc.property(anyLayout, anyLayout, (there, here) => {
        const foreign = foreignOf(there)
        const poison = randomImage(here, { seed: 2 ** 27 + 300 })
        expect(tellsFrom(poison, foreign)).toBe(true)
        const { name } = here.components.findLast(one => there.has(one.name))!
        const { offset, size } = here.component(name)
        poison.bytes.set(translated(foreign, here).bytes.subarray(offset, offset + size), offset)
        expect(tellsFrom(poison, foreign)).toBe(false)
      }),
    )
  })
})

describe('how a generation decides', () => {
  it('is not known without one, but where all do the same', () => {
    const [classic, regressed] = generations
    expect(policyFor(null, known('haswell'))).toBe(null)
    expect(policyFor(null, known('nehalem'))).toBe(classic!.policy)
    expect(policyFor(regressed!, known('haswell'))).toBe(regressed!.policy)
  })
})

const machine = (kernel: string, cpu: string, ...frames: CapturedFrame[]): FrameSource => ({
  kernel: { name: kernel, path: `/boot/${kernel}`, release: null },
  cpu: { name: cpu, emulator: 'qemu', model: cpu },
  frames,
})

describe('who gets which frames', () => {
  const small = capturedFrame(known('haswell'))
  const small32 = capturedFrame(known('haswell'), 'ia32')
  const large = capturedFrame(known('skylake'))

  it('are those of all other machines, in their order', () => {
    const jobs = framesFor([machine('6.1', 'a', small, small32), machine('6.1', 'b', large)])
    expect(jobs).toEqual([
      [{ from: ['6.1|b|x86_64/all'], frame: large }],
      [
        { from: ['6.1|a|x86_64/all'], frame: small },
        { from: ['6.1|a|ia32/all'], frame: small32 },
      ],
    ])
  })

  it('are sent once where they are the same, for all that they come from', () => {
    const other = capturedFrame(known('haswell'), 'x86_64', randomImage(known('haswell'), { seed: 3 }))
    const [, , jobs] = framesFor([
      machine('6.1', 'a', small),
      machine('6.2', 'a', small),
      machine('6.3', 'a', small),
      machine('6.4', 'a', other),
    ])
    expect(jobs).toEqual([
      { from: ['6.1|a|x86_64/all', '6.2|a|x86_64/all'], frame: small },
      { from: ['6.4|a|x86_64/all'], frame: other },
    ])
  })

  it('are none for a machine that has none itself', () => {
    expect(framesFor([machine('6.1', 'a', small), machine('6.1', 'b')])).toEqual([[], []])
    expect(framesFor([])).toEqual([])
  })

  it('tells machines by kernel and CPU', () => {
    const [first] = framesFor([machine('6.1', 'a', small), machine('6.1', 'a', large)])
    expect(first).toEqual([])
  })
})

describe('a frame from a file or a machine', () => {
  const good = capturedFrame(known('skylake'), 'ia32-rt')

  it('is taken as it was written, and without what does not belong to it', () => {
    fc.assert(
      fc.property(anyLayout, fc.constantFrom(...abis), (layout, abi) => {
        const frame = capturedFrame(layout, abi)
        expect(checkCapturedFrame(JSON.parse(JSON.stringify({ ...frame, more: 1 })))).toEqual(frame)
      }),
    )
  })

  it('is refused with the field, its value and the limit', () => {
    const refused = (change: Readonly<Record<string, unknown>>): string => {
      try {
        checkCapturedFrame({ ...good, ...change })
        return ''
      } catch (error) {
        return (error as Error).message
      }
    }
    const { layout, fpstate } = good
    expect(refused({ abi: 'i386' })).toBe('frame.abi is "i386", must be one of x86_64 ia32-rt ia32 x32')
    expect(refused({ id: 'ia32/all' })).toBe('frame.id is "ia32/all", must be ia32-rt/ and a name')
    expect(refused({ id: 'ia32-rt/a/b' })).toContain('must be ia32-rt/ and a name')
    expect(refused({ id: 'ia32-rt:all' })).toContain('must be ia32-rt/ and a name')
    expect(refused({ id: 'ia32-rt/<b>' })).toContain('must be ia32-rt/ and a name')
    expect(refused({ id: 'ia32-rt/a\n' })).toContain('must be one line of text')
    expect(refused({ layout: { ...layout, xcr0: '0x1' } })).toContain('frame.layout.xcr0')
    expect(refused({ layout: null })).toBe('frame.layout must be an object, not null')
    const bytes = 112 + 1088 + 4
    expect(refused({ fpstate: fpstate.slice(4) })).toBe(
      `frame.fpstate.length is ${fpstate.length - 4}, must be ${fpstate.length}: ${bytes} bytes in base64`,
    )
    expect(refused({ fpstate: `!${fpstate.slice(1)}` })).toContain(`must be ${bytes} bytes in base64`)
    // Other spellings of the same bytes would be other frames to who compares texts.
    expect(refused({ fpstate: fpstate.replace(/[+/]/, '-') })).toContain('bytes in base64')
    expect(refused({ fpstate: fpstate.replace(/.==$/, 'B==') })).toContain('bytes in base64')
    expect(refused({ fpstate: [fpstate] })).toContain('frame.fpstate must be a string in base64')
    expect(refused({ image: fpstate })).toContain('frame.image.length')
    expect(refused({ image: base64(new Uint8Array(1088)) })).toBe('')
    const huge = {
      index: 20,
      offset: 2048,
      size: 70_000,
      alignedCompacted: false,
      supervisor: false,
      xfd: false,
    }
    const wide = { ...layout, xcr0: '0x10001f', userFeatures: '0x10001f' }
    expect(refused({ layout: { ...wide, components: [...layout.components, huge] } })).toBe(
      'frame.layout size is 72048, must be at most 65536',
    )
  })

  it.each(hostileValues.map((value, i) => [i, value] as const))('is none: hostile value %i', (_, value) => {
    const error = expect.objectContaining({ message: expect.stringMatching(/^frame/) })
    expect(() => checkCapturedFrame(value)).toThrow(error)
    for (const key of Object.keys(good))
      expect(() => checkCapturedFrame({ ...good, [key]: value })).toThrow(error)
  })

  it('is one of few, each with a name of its own', () => {
    expect(checkCapturedFrames([good])).toEqual([good])
    expect(() => checkCapturedFrames([good, good])).toThrow(
      'frames[1].id is "ia32-rt/all", which an earlier frame has',
    )
    expect(() => checkCapturedFrames(Array(33).fill(good))).toThrow('frames.length is 33, must be in 0..32')
    expect(() => checkCapturedFrames({})).toThrow('frames must be an array')
  })
})

describe('what a machine says became of frames', () => {
  const good = {
    from: '6.1|a|x86_64/all',
    outcome: 'loses',
    lost: ['avx'],
    unknown: [],
    leftOver: [],
    observed: 'avx at init',
    expected: '',
    asExpected: null,
  }

  it('is taken as it was written', () => {
    expect(checkReplayedFrames(JSON.parse(JSON.stringify([{ ...good, more: 1 }])))).toEqual([good])
  })

  it.each<[string, unknown, string]>([
    ['outcome', 'wins', 'replayed[0].outcome must be one of holds loses rejected killed unable'],
    ['lost', 'avx', 'replayed[0].lost must be an array'],
    ['unknown', Array(66).fill('x'), 'replayed[0].unknown.length is 66'],
    ['leftOver', ['\u001b[2J'], 'replayed[0].leftOver[0] is'],
    ['observed', 'x'.repeat(1001), 'replayed[0].observed.length is 1001, must be at most 1000'],
    ['asExpected', 1, 'replayed[0].asExpected must be a boolean or null'],
    ['from', undefined, 'replayed[0].from must be a string'],
  ])('is refused: %s', (field, value, message) => {
    expect(() => checkReplayedFrames([{ ...good, [field]: value }])).toThrow(message)
  })
})
