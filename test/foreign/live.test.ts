/** Frames of other machines through this machine's own sigreturn. */
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { behaviour, type GenerationId, generations } from '../../lib/contract/generations.ts'
import { captureFrames } from '../../lib/foreign/capture.ts'
import { checkCapturedFrames, checkReplayedFrames } from '../../lib/foreign/check.ts'
import { foreignFrame } from '../../lib/foreign/foreign.ts'
import { replayFrame, replayFrames } from '../../lib/foreign/replay.ts'
import { fsaveSize } from '../../lib/frame/fsave.ts'
import type { FrameParts } from '../../lib/frame/reader.ts'
import { fingerprintKernel } from '../../lib/harness/host.ts'
import type { ProbeRequest } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { framesFor } from '../../lib/vm/pairs/jobs.ts'
import { diffComponents } from '../../lib/xstate/compare.ts'
import { maskOf } from '../../lib/xstate/components.ts'
import { fieldOffset, type XsaveImage } from '../../lib/xstate/image.ts'
import { createLayout, type Layout, type LayoutComponent } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, session } from '../probe/support.ts'
import { known, knownNames, knownSource } from '../xstate/arbitrary.ts'
import { base64, capturedFrame } from './frames.ts'

beforeEach(needsProbes)

/** Null without XSAVE, where nothing tells generations apart; kernels that are of none are not judged here. */
const generationHere = (probe: Probe, ctx: TestContext): GenerationId | null => {
  const { generation, deviations, evidence } = fingerprintKernel(probe)
  if (deviations.length > 0) ctx.skip(`this kernel deviates from ${generation.id}`)
  return evidence.length === 0 ? null : (generation.id as GenerationId)
}

/** A session whose probes end as the hook has it. */
const hooked = (probe: Probe, runSync: (request: ProbeRequest) => Seen): Probe =>
  new Proxy(probe, {
    get: (target, name) => {
      if (name === 'runSync') return runSync
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

const abisOf = (probe: Probe) =>
  (['x86_64', 'ia32-rt', 'ia32'] as const).filter(abi => probe.lack(abi) === null)

describe('frames of this machine', () => {
  it('are what was in the registers, of every ABI, as files keep them', () => {
    const probe = session()
    const skipped: string[] = []
    const frames = captureFrames(probe, { skipped: why => skipped.push(why) })
    expect(checkCapturedFrames(JSON.parse(JSON.stringify(frames)))).toEqual(frames)
    const uses = probe.layout.has('avx') && probe.layout.extended.length > 1 ? ['all', 'avx'] : ['all']
    const abis = abisOf(probe)
    expect(frames.map(({ id }) => id)).toEqual(abis.flatMap(abi => uses.map(use => `${abi}/${use}`)))
    expect(skipped).toHaveLength(3 - abis.length)
    const [all, avx] = frames.map(frame => foreignFrame(frame).image)
    if (probe.layout.xsave) expect(all!.xstateBv).toBe(probe.layout.features & all!.xstateBv)
    if (uses.length > 1) expect(avx!.xstateBv).toBe(7n)
  })

  it('hold here, and are as expected', ctx => {
    const probe = session(undefined, ctx)
    const generation = generationHere(probe, ctx)
    for (const frame of captureFrames(probe)) {
      const replayed = replayFrame(probe, `a|b|${frame.id}`, frame, generation)
      expect(replayed).toMatchObject({
        from: `a|b|${frame.id}`,
        outcome: 'holds',
        lost: [],
        unknown: [],
        leftOver: [],
        asExpected: true,
      })
      const { layout } = probe
      const used = frame.id.endsWith('/avx') ? ['x87', 'sse', 'avx'] : layout.components.map(c => c.name)
      expect(replayed.observed).toBe(`${[...used, 'mxcsr'].join(' ')} arrived`)
    }
  })

  it('are not captured where the kernel wrote something else, nor where it wrote nothing', () => {
    const probe = session()
    const other = randomImage(probe.layout, { seed: 4 })
    const why: string[] = []
    const skipped = (text: string) => why.push(text)
    expect(
      captureFrames(
        hooked(probe, () => probe.runSync({ load: other })),
        { skipped },
      ),
    ).toEqual([])
    expect(why[0]).toMatch(/^x86_64\/all: the kernel wrote a frame without x87 sse .*mxcsr$/)
    const died: Seen = { kind: 'died', where: null, signal: 'SIGSEGV', code: null }
    expect(
      captureFrames(
        hooked(probe, () => died),
        { skipped },
      ),
    ).toEqual([])
    expect(why.at(-1)).toMatch(/: no frame was delivered: died$/)
  })
})

/** A frame of x87, SSE and AVX, as the oldest CPU with AVX makes it. */
const haswell = capturedFrame(known('haswell'))

const needsMoreThanAvx = (probe: Probe, ctx: TestContext): void => {
  if (!probe.layout.has('avx') || probe.layout.size <= 832) ctx.skip('this machine has no more than AVX')
}

/** A layout whose PKRU lies elsewhere, and where data lies that is read as PKRU here. */
const misleading = (layout: Layout): Layout | null => {
  if (!['pkru', 'opmask', 'zmm_hi256', 'hi16_zmm'].every(name => layout.has(name as 'pkru'))) return null
  const component = (index: number, offset: number, size: number): LayoutComponent => {
    return { index, offset, size, alignedCompacted: false, supervisor: false, xfd: false }
  }
  const end = layout.end('pkru')
  // As long as what the size of this layout asks for, and no longer than this machine's own.
  const size = Math.max(
    end,
    layout.sizeFor(maskOf(['x87', 'sse', 'avx', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru'])),
  )
  const features = maskOf(['x87', 'sse', 'avx', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru'])
  return createLayout({
    vendor: 'Elsewhere',
    xcr0: features,
    userFeatures: features,
    mxcsrMask: 0xffff,
    components: [
      component(2, 576, 256),
      component(9, 832, 8),
      component(5, 896, 64),
      component(6, 960, 512),
      component(7, size - 1024, 1024),
    ],
  })
}

/** Haswell with a component of later times, so that its frames have so many bytes and MAGIC2. */
const withFar = (bytes: number): Layout => {
  const far = { index: 20, size: 64, alignedCompacted: false, supervisor: false, xfd: false }
  return createLayout({
    ...knownSource('haswell'),
    xcr0: 0x10_0007n,
    userFeatures: 0x10_0007n,
    components: [...knownSource('haswell').components, { ...far, offset: bytes - far.size }],
  })
}

describe('frames of other machines', () => {
  it.for(knownNames)('are treated as expected: %s', (name, ctx) => {
    const probe = session(undefined, ctx)
    const generation = generationHere(probe, ctx)
    const there = known(name)
    for (const abi of abisOf(probe)) {
      const replayed = replayFrame(probe, 'x', capturedFrame(there, abi), generation)
      expect(replayed).toMatchObject({ asExpected: true })
      expect(replayed.expected).not.toBe('')
      expect(checkReplayedFrames([replayed])).toEqual([replayed])
      const { hostFeatures, features } = probe.layout
      const unknown = there.components.filter(c => ((hostFeatures | features) & c.mask) === 0n)
      expect(replayed.unknown).toEqual(unknown.map(c => c.name))
    }
  })

  it('hold where this machine has more, unless its kernel is regressed', ctx => {
    const probe = session(undefined, ctx)
    needsMoreThanAvx(probe, ctx)
    const generation = generationHere(probe, ctx)
    const { outcome, lost } = replayFrame(probe, 'x', haswell, generation)
    const regressed = behaviour(generations.find(({ id }) => id === generation)!, 'shrunk-frame-restores')
    expect({ outcome, lost }).toEqual(
      regressed === 'restored' ? { outcome: 'holds', lost: [] } : { outcome: 'loses', lost: ['avx'] },
    )
  })

  it('are not as expected where the kernel is of another generation', ctx => {
    const probe = session(undefined, ctx)
    needsMoreThanAvx(probe, ctx)
    const holds = replayFrame(probe, 'x', haswell, null).outcome === 'holds'
    const other = holds ? 'regressed' : 'classic'
    const replayed = replayFrame(probe, 'x', haswell, other)
    expect(replayed.asExpected).toBe(false)
    expect(replayed.expected).toBe(
      holds
        ? 'FX-only: legacy state restored, everything else silently at init, by magic2-is-required; lost: avx'
        : 'restored by XRSTOR',
    )
  })

  it('have their x87 state in the fsave header, where they are 32-bit ones', ctx => {
    const probe = session(undefined, ctx)
    if (!probe.layout.xsave || probe.lack('ia32') !== null) return ctx.skip('needs XSAVE and 32-bit frames')
    const generation = generationHere(probe, ctx)
    const frame = capturedFrame(known('sse-only'), 'ia32')
    const bytes = Buffer.from(frame.fpstate, 'base64')
    bytes.fill(0, fsaveSize + fieldOffset.st, fsaveSize + fieldOffset.xmm)
    const replayed = replayFrame(probe, 'x', { ...frame, fpstate: base64(bytes) }, generation)
    expect(replayed).toMatchObject({ outcome: 'holds', asExpected: true })
    expect(replayed.expected).not.toContain('lost')
  })

  it('are expected nothing of where the generation is not known, but without XSAVE', ctx => {
    const probe = session(undefined, ctx)
    const { expected, asExpected } = replayFrame(probe, 'x', haswell, null)
    if (probe.layout.xsave) expect({ expected, asExpected }).toEqual({ expected: '', asExpected: null })
    else expect(asExpected).toBe(true)
  })

  it('are sent to the last byte, with zeros behind them', ctx => {
    const probe = session(undefined, ctx)
    const sent: FrameParts[] = []
    const watched = hooked(probe, request => {
      const seen = probe.runSync(request)
      if ('sent' in seen) sent.push(seen.sent)
      return seen
    })
    for (const abi of abisOf(probe)) {
      for (const name of ['nehalem', 'haswell', 'sapphire-rapids-tiles'] as const) {
        const frame = capturedFrame(known(name), abi)
        replayFrame(watched, 'x', frame, null)
        const { area, fsave } = foreignFrame(frame)
        const { fpstate, fsave: sentFsave } = sent.at(-1)!
        expect(Buffer.compare(fpstate.subarray(0, area.length), area)).toBe(0)
        expect(fpstate.subarray(area.length).every(byte => byte === 0)).toBe(true)
        expect(fpstate.length).toBe(Math.max(area.length, probe.limits.frameBytes))
        expect(sentFsave).toEqual(fsave)
      }
    }
  })

  it('end the process whose keys they change, and the session goes on', ctx => {
    const probe = session(undefined, ctx)
    const there = misleading(probe.layout)
    if (there === null || there.size > probe.layout.size) return ctx.skip('needs AVX-512 and PKRU')
    const generation = generationHere(probe, ctx)
    if (generation === 'regressed' && there.size !== probe.layout.size) return ctx.skip('FX-only there')
    for (const abi of abisOf(probe)) {
      const image = randomImage(there, { seed: 1 })
      const at = probe.layout.offset('pkru')
      image.bytes[at] = 0xff
      const [replayed, after] = replayFrames(
        probe,
        [
          { from: ['x'], frame: capturedFrame(there, abi, image) },
          { from: ['y'], frame: capturedFrame(probe.layout, abi) },
        ],
        generation,
      )
      expect(replayed).toMatchObject({ outcome: 'killed', lost: [], unknown: [], asExpected: true })
      expect(replayed!.expected).toMatch(/PKRU then closes the process’s own memory$/)
      expect(after).toMatchObject({ outcome: 'holds' })
    }
  })

  it('go to the second buffer where there is more room for them', ctx => {
    const probe = session(undefined, ctx)
    const { inPlaceBytes, spareBytes } = probe.limits
    const size = spareBytes - 64
    if (size <= inPlaceBytes) return ctx.skip('there is as much room on the stack')
    const generation = generationHere(probe, ctx)
    const from: string[] = []
    const watched = hooked(probe, request => {
      const seen = probe.runSync(request)
      if ('sentFrom' in seen && seen.sentFrom.pointed) from.push(seen.sentFrom.buffer)
      return seen
    })
    for (const abi of abisOf(probe)) {
      const replayed = replayFrame(watched, 'x', capturedFrame(withFar(size), abi), generation)
      expect(replayed).toMatchObject({ asExpected: true, unknown: [] })
      expect(replayed.outcome).not.toBe('unable')
      expect(from.at(-1)).toBe('spare')
    }
  })

  it('cannot be sent where there is no room for them', ctx => {
    const probe = session(undefined, ctx)
    const there = withFar(60_064)
    expect(replayFrame(probe, 'x', capturedFrame(there), null)).toMatchObject({
      outcome: 'unable',
      observed: expect.stringMatching(/^the frame has 60068 bytes, and there is room for \d+$/),
      asExpected: null,
    })
  })

  it('are told for each machine that they come from', () => {
    const probe = session()
    const cpu = { name: 'a', emulator: 'qemu', model: 'a' } as const
    const machine = (name: string) => ({ kernel: { name, path: '', release: null }, cpu, frames: [haswell] })
    const [jobs] = framesFor([machine('6.1'), machine('6.2'), machine('6.3')])
    const replayed = replayFrames(probe, jobs!, null)
    expect(replayed.map(({ from }) => from)).toEqual(['6.2|a|x86_64/all', '6.3|a|x86_64/all'])
    expect({ ...replayed[0], from: '' }).toEqual({ ...replayed[1], from: '' })
  })
})

describe('what can become of a frame', () => {
  it.each<[string, Seen, object]>([
    [
      'a signal before the frame is sent',
      { kind: 'signal', where: 'handler', signal: 'SIGSEGV', siCode: 1, siAddr: 0n },
      { outcome: 'unable', observed: 'SIGSEGV (si_code 1) at handler, before the frame was sent' },
    ],
    [
      'a signal where it led',
      { kind: 'signal', where: 'after', signal: 'SIGFPE', siCode: 7, siAddr: 0n } as Seen,
      { outcome: 'killed', observed: 'SIGFPE (si_code 7) at after' },
    ],
    ['no progress', { kind: 'timeout', timeoutMs: 5 }, { outcome: 'killed', observed: 'no progress' }],
    [
      'a process that stays',
      { kind: 'stuck', timeoutMs: 5, pid: 7 },
      { outcome: 'killed', observed: 'stuck: SIGKILL did not end it' },
    ],
    [
      'a lost process',
      { kind: 'died', where: null, signal: 'SIGBUS', code: null },
      { outcome: 'killed', observed: 'died of SIGBUS' },
    ],
    [
      'a refusal',
      { kind: 'refused', call: 'fork', errno: 'ENOMEM' },
      { outcome: 'unable', observed: 'fork refused with ENOMEM', expected: '', asExpected: null },
    ],
  ])('%s', (_, seen, expected) => {
    const probe = session()
    expect(
      replayFrame(
        hooked(probe, () => seen),
        'x',
        haswell,
        'classic',
      ),
    ).toMatchObject(expected)
  })

  it('is nothing any more where frames before made no progress', () => {
    const probe = session()
    let sent = 0
    const stuck = hooked(probe, () => {
      sent += 1
      return { kind: 'timeout', timeoutMs: 5 }
    })
    const jobs = [1, 2, 3, 4, 5].map(i => ({ from: [`${i}`], frame: haswell }))
    expect(replayFrames(stuck, jobs, null).map(({ outcome, observed }) => `${outcome}: ${observed}`)).toEqual(
      [
        ...Array(3).fill('killed: no progress'),
        ...Array(2).fill('unable: not sent: 3 frames before made no progress'),
      ],
    )
    expect(sent).toBe(3)
  })

  it('is told from what the handler leaves, also where a frame has the same', () => {
    const probe = session()
    const { layout } = probe
    const poisons: XsaveImage[] = []
    const watched = hooked(probe, request => {
      poisons.push(request.poison as XsaveImage)
      return probe.runSync(request)
    })
    replayFrame(watched, 'x', haswell, null)
    const [first] = poisons
    const { outcome } = replayFrame(watched, 'x', capturedFrame(layout, 'x86_64', first), null)
    expect(outcome).toBe('holds')
    expect(diffComponents(poisons[1]!.bytes, first!.bytes, layout)).toEqual(
      layout.components.map(c => c.name),
    )
  })

  it('is not told of another frame', () => {
    const probe = session()
    const other = capturedFrame(known('haswell'), 'x86_64', randomImage(known('haswell'), { seed: 3 }))
    const edits: ProbeRequest['edit'][] = []
    const first = hooked(probe, request => {
      edits.push(request.edit)
      return probe.runSync(request)
    })
    replayFrame(first, 'x', other, null)
    const swapped = hooked(probe, request => probe.runSync({ ...request, edit: edits[0]! }))
    expect(replayFrame(swapped, 'x', haswell, null)).toMatchObject({
      outcome: 'unable',
      observed: 'the frame sent is not the frame captured: a fault of sigframe',
    })
  })
})
