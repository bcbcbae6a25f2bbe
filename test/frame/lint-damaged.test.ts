/** Damaged frames, linted and sent: what this kernel or this CPU does not take has an error, of every ABI. */
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { SavedFrame } from '../../lib/foreign/saved.ts'
import { sendFrame } from '../../lib/foreign/send.ts'
import { abis } from '../../lib/frame/abi.ts'
import { frameFields, magic2 } from '../../lib/frame/format.ts'
import { lintFrame } from '../../lib/frame/lint/lint.ts'
import { isEmulated } from '../../lib/hosts/host.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, recorded, session } from '../probe/support.ts'

beforeEach(needsProbes)

const savedOf = (probe: Probe, abi: SavedFrame['abi'], seed: number): SavedFrame => {
  const { layout } = probe
  const { written } = recorded(probe.runSync({ abi, load: randomImage(layout, { seed }) }))
  return {
    source: 'captured',
    origin: '',
    host: null,
    kernel: null,
    layout,
    permissions: [],
    abi,
    address: null,
    head: null,
    fsave: written.fsave,
    fpstate: written.fpstate,
    image: null,
    seed: null,
  }
}

/** Changes a frame's bytes in place. */
type Damage = (area: DataView, fsave: Uint8Array | null) => void

const { at: featuresAt } = frameFields['sw.xfeatures']
const { at: sizeAt } = frameFields['sw.xstateSize']
const { at: extendedAt } = frameFields['sw.extendedSize']
const xstateBvAt = 512
const xcompBvAt = 520

const flipped =
  (at: number) =>
  (bit: number): Damage =>
  area =>
    area.setBigUint64(at, area.getBigUint64(at, true) ^ (1n << BigInt(bit)), true)

const compactedWith =
  (extra: bigint): Damage =>
  area =>
    area.setBigUint64(xcompBvAt, area.getBigUint64(xstateBvAt, true) | (1n << 63n) | extra, true)

const byteOf = (from: number, end: number): fc.Arbitrary<Damage> =>
  fc.tuple(fc.integer({ min: from, max: end - 1 }), fc.nat(255)).map(
    ([at, value]): Damage =>
      area =>
        area.setUint8(at, value),
  )

const anyDamage = ({ size, extended }: Layout): fc.Arbitrary<Damage> => {
  const anySize = fc.constantFrom(0, 575, 576, 832, size - 1, size, size + 4, size + 64, 0xffff_ffff)
  const sized =
    (at: number) =>
    (value: number): Damage =>
    area =>
      area.setUint32(at, value, true)
  const last = extended.at(-1)
  return fc.oneof(
    anySize.map(sized(sizeAt)),
    anySize.map(sized(extendedAt)),
    fc.nat(19).map(flipped(featuresAt)),
    fc.nat(19).map(flipped(xstateBvAt)),
    fc.nat(63).map(flipped(xstateBvAt)),
    fc.nat(63).map(flipped(xcompBvAt)),
    fc.option(fc.nat(62)).map(bit => compactedWith(bit === null ? 0n : 1n << BigInt(bit))),
    byteOf(528, 576),
    byteOf(0, 32),
    byteOf(0, size),
    ...(last === undefined ? [] : [byteOf(last.offset, last.end)]),
    fc.tuple(fc.nat(111), fc.nat(255)).map(
      ([at, value]): Damage =>
        (_, fsave) =>
          fsave?.fill(value, at, at + 1),
    ),
    fc.constant<Damage>(area => {
      area.setUint32(832, magic2, true)
      area.setUint32(sizeAt, 832, true)
      area.setUint32(extendedAt, 836, true)
    }),
  )
}

/** Some kernels and no others go wrong with these, each as lint says of it. */
const ofSomeKernels = ['xstate-size-not-native', 'xstate-size-too-large', 'magic2-stale']

describe.each(abis)('%s', abi => {
  it('what is not whole after the return has an error', ctx => {
    const probe = session(undefined, ctx)
    const { layout } = probe
    const lack = probe.lack(abi)
    if (lack !== null) return ctx.skip(lack)
    if (!layout.has('avx')) return ctx.skip('this machine has no AVX')
    if (isEmulated(probe.cpu)) return ctx.skip('an emulator takes what no CPU does')
    const good = [1, 2, 3].map(seed => savedOf(probe, abi, seed))
    fc.assert(
      fc.property(
        fc.constantFrom(...good),
        fc.array(anyDamage(layout), { minLength: 1, maxLength: 3 }),
        (frame, damages) => {
          const fpstate = Uint8Array.from(frame.fpstate)
          const fsave = frame.fsave === null ? null : Uint8Array.from(frame.fsave)
          for (const damage of damages) damage(new DataView(fpstate.buffer), fsave)
          const bad = { ...frame, fpstate, fsave }
          const findings = lintFrame(bad, layout)
          if (findings.some(({ severity }) => severity === 'error')) return
          if (findings.some(({ check }) => ofSomeKernels.includes(check))) return
          const { outcome, observed } = sendFrame(probe, bad, null)
          expect({ outcome, observed, findings: findings.map(({ message }) => message) }).toMatchObject({
            outcome: 'holds',
          })
        },
      ),
      { numRuns: 1500 },
    )
  })
})
