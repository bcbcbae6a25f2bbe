/** What forms of a regset the kernel takes and gives: sizes, headers, and what lies between the registers. */

import type { Probe } from '../../probe/session.ts'
import { fieldOffset, XsaveImage } from '../../xstate/image.ts'
import { legacyFeatures, legacySize } from '../../xstate/layout.ts'
import { randomImage } from '../../xstate/random.ts'
import type { CaseContext, TrialCase } from '../selftest.ts'
import { asStated, trialOf } from './answer.ts'
import {
  allRefused,
  ask,
  differing,
  heeded,
  hostSize,
  regsetOf,
  regsetSize,
  spoilt,
  succeeded,
  type Wrong,
} from './regsets.ts'

type Run = TrialCase['trial']

const unexplained = (text: string) => ({ observed: 'unexplained', text }) as const

const swAt = 464
const swBytes = 48

/** Two states that have nothing in common: what is in the registers, and what is set. */
const statesOf = ({ layout, seed }: CaseContext) => ({
  load: randomImage(layout, { seed }),
  other: randomImage(layout, { seed: seed + 1 }),
})

const bit = (index: number): bigint => 1n << BigInt(index)

/** The regset's size, beside what the host's components take. */
export const coversHost: Run = trialOf((probe, { layout, cpu }) => {
  const size = regsetSize(probe)
  const host = hostSize(cpu)
  const text = `${size} bytes; frames of this task have ${layout.size}`
  return size === host ? asStated(text) : unexplained(`${text}; the host’s components end at ${host}`)
})

/** Sizes that are no multiple of 8, for both calls. */
export const oddSizes: Run = trialOf((probe, context) => {
  const { load, other } = statesOf(context)
  const size = regsetSize(probe)
  const bytes = regsetOf(probe, other)
  const odd = [1, 4, 7, 9, size - 4, size - 1, size + 1, size + 4]
  return allRefused(
    probe,
    load,
    odd.flatMap((asked): Wrong[] => [
      { text: `read ${asked}`, call: { call: 'get', size: asked } },
      { text: `set ${asked}`, call: { call: 'set', bytes, size: asked } },
    ]),
    'EINVAL',
  )
})

const whole = (probe: Probe, load: XsaveImage): Uint8Array => {
  const { loaded } = ask(probe, { load, loaded: [{ call: 'get' }] })
  return succeeded(loaded[0], 'PTRACE_GETREGSET').bytes
}

/** Reads with these sizes: each is to be told so many bytes, and to have the beginning of the whole. */
const readsAs = (
  probe: Probe,
  load: XsaveImage,
  sizes: readonly (number | bigint)[],
  toldOf: (size: number | bigint) => number,
) => {
  const all = whole(probe, load)
  const { loaded } = ask(probe, { load, loaded: sizes.map(size => ({ call: 'get', size }) as const) })
  for (const [i, size] of sizes.entries()) {
    const { size: told, bytes, overran } = succeeded(loaded[i], `PTRACE_GETREGSET of ${size} bytes`)
    if (told !== BigInt(toldOf(size))) return unexplained(`with ${size} bytes: told ${told}`)
    if (overran) return unexplained(`with ${size} bytes: more than ${told} are written`)
    if (Buffer.compare(bytes, all.subarray(0, bytes.length)) !== 0)
      return unexplained(`with ${size} bytes: another content than that of the whole`)
  }
  return asStated(`${sizes.join(', ')}`)
}

export const readsLarger: Run = trialOf((probe, context) => {
  const size = regsetSize(probe)
  return readsAs(
    probe,
    statesOf(context).load,
    [size + 8, size + 4096, 2n ** 63n, 2n ** 64n - 8n],
    () => size,
  )
})

export const readsSmaller: Run = trialOf((probe, context) => {
  const size = regsetSize(probe)
  const sizes = [0, 8, swAt, 512, 520, 576, size - 8].filter(one => one < size)
  return readsAs(probe, statesOf(context).load, sizes, Number)
})

export const setsSmaller: Run = trialOf((probe, context) => {
  const { load, other } = statesOf(context)
  const size = regsetSize(probe)
  const bytes = regsetOf(probe, other)
  const sizes = [...new Set([0, 8, 512, 576, context.layout.size, size - 8])].filter(one => one < size)
  return allRefused(
    probe,
    load,
    sizes.map(asked => ({ text: `set ${asked}`, call: { call: 'set', bytes, size: asked } })),
    'EFAULT',
  )
})

/** Sets, and expects the registers to be as they were set. */
const setsAs = (
  probe: Probe,
  { load, other }: { readonly load: XsaveImage; readonly other: XsaveImage },
  sets: readonly Wrong[],
) => {
  for (const { text, call } of sets) {
    const { loaded, after } = ask(probe, { load, loaded: [call, { call: 'get' }] })
    succeeded(loaded[0], text)
    const { bytes } = succeeded(loaded[1], 'PTRACE_GETREGSET')
    const states = { wanted: other.bytes, before: load.bytes }
    const found =
      heeded(probe.layout, after.bytes, states, text) ?? heeded(probe.layout, bytes, states, `${text}, read`)
    if (found !== null) return found
  }
  return asStated(sets.map(({ text }) => text).join(', '))
}

export const setsLarger: Run = trialOf((probe, context) => {
  const states = statesOf(context)
  const size = regsetSize(probe)
  const bytes = regsetOf(probe, states.other)
  return setsAs(
    probe,
    states,
    [size + 8, size + 4096, 2n ** 64n - 8n].map(asked => ({
      text: `set ${asked}`,
      call: { call: 'set', bytes, size: asked },
    })),
  )
})

export const badBuffers: Run = trialOf((probe, context) => {
  const { load, other } = statesOf(context)
  const bytes = regsetOf(probe, other)
  return allRefused(
    probe,
    load,
    (['null', 'guard'] as const).flatMap((buffer): Wrong[] => [
      { text: `read, ${buffer}`, call: { call: 'get', buffer } },
      { text: `set, ${buffer}`, call: { call: 'set', bytes, buffer } },
    ]),
    'EFAULT',
  )
})

/** Regsets that are refused with EINVAL for what is spoilt in each. */
const spoilsRefused = (
  spoil: (context: CaseContext) => readonly (readonly [string, Parameters<typeof spoilt>[2]])[],
): Run =>
  trialOf((probe, context) => {
    const { load, other } = statesOf(context)
    const regset = regsetOf(probe, other)
    const wrong = spoil(context).map(([text, change]) => spoilt(regset, text, change))
    return allRefused(probe, load, wrong, 'EINVAL')
  })

const orXstateBv =
  (mask: bigint) =>
  (_: Uint8Array, view: DataView): void =>
    view.setBigUint64(fieldOffset.xstateBv, view.getBigUint64(fieldOffset.xstateBv, true) | mask, true)

const userBits = 19
const supervisorBits = [8, 10, 11, 12, 13, 14, 15, 16]

/** Bits that no CPU has, and those of components that this host lacks. */
export const unsupportedBits: Run = spoilsRefused(({ cpu }) => {
  const lacking = Array.from({ length: userBits + 1 }, (_, i) => i).filter(
    i => !supervisorBits.includes(i) && (cpu.xcr0 & bit(i)) === 0n,
  )
  return [...lacking, 32, 61, 62, 63].map(i => [`bit ${i}`, orXstateBv(bit(i))])
})

export const supervisorSet: Run = spoilsRefused(() => [8, 11, 12].map(i => [`bit ${i}`, orXstateBv(bit(i))]))

export const xcompBvSet: Run = spoilsRefused(({ layout }) =>
  [1n, bit(62), bit(63), bit(63) | layout.features].map(mask => [
    `0x${mask.toString(16)}`,
    (_, view) => view.setBigUint64(fieldOffset.xcompBv, mask, true),
  ]),
)

export const reservedSet: Run = spoilsRefused(() =>
  [528, 535, 536, 552, 575].map(at => [
    `byte ${at}`,
    bytes => {
      bytes[at] = 1
    },
  ]),
)

/** No CPU has these bits of MXCSR. */
const mxcsrReserved = 1 << 16

const spoilMxcsr = (view: DataView): void =>
  view.setUint32(fieldOffset.mxcsr, view.getUint32(fieldOffset.mxcsr, true) | mxcsrReserved, true)

export const reservedMxcsr: Run = spoilsRefused(({ layout }) =>
  (['x87', 'sse', 'avx'] as const)
    .filter(name => layout.has(name))
    .map(name => [
      `with ${name}`,
      (_, view) => {
        spoilMxcsr(view)
        view.setBigUint64(fieldOffset.xstateBv, layout.component(name).mask, true)
      },
    ]),
)

/** The same where XSTATE_BV has nothing that MXCSR goes with. */
export const unusedMxcsr: Run = trialOf((probe, context) => {
  const { layout } = context
  const { load, other } = statesOf(context)
  const avx = layout.has('avx') ? layout.component('avx').mask : 0n
  const kept = other.clone()
  kept.xstateBv = layout.features & ~legacyFeatures & ~avx
  const { call } = spoilt(regsetOf(probe, kept), '', (_, view) => spoilMxcsr(view))
  const { loaded, after } = ask(probe, { load, loaded: [call] })
  succeeded(loaded[0], 'PTRACE_SETREGSET')
  const wrong = differing(layout, after.bytes, kept.bytes).filter(name => name !== 'mxcsr')
  if (wrong.length > 0) return unexplained(`${wrong.join(' ')} not as set`)
  if ((after.mxcsr & ~layout.mxcsrMask) !== 0)
    return unexplained(`MXCSR is 0x${after.mxcsr.toString(16)} afterwards`)
  return asStated(`MXCSR is 0x${after.mxcsr.toString(16)} afterwards, was 0x${load.mxcsr.toString(16)}`)
})

/** Tile data in a process that has not used tiles, permitted or not. */
export const tilesWithoutUse: Run = trialOf((probe, context) => {
  const { layout, seed } = context
  const tiles = bit(18)
  const components = layout.features & ~tiles
  // Of a process of its own: with a fork, what was used before is not.
  const load = randomImage(layout, { seed, components })
  const other = new XsaveImage(randomImage(layout, { seed: seed + 1, components }).bytes, layout)
  const regset = regsetOf(probe, other)
  const { text, call } = spoilt(
    regset,
    layout.has('xtiledata') ? 'permitted' : 'not permitted',
    orXstateBv(tiles),
  )
  return allRefused(probe, load, [{ text, call }], 'EINVAL')
})

/** What the sw bytes of the regset are. */
export const swBytesTold: Run = trialOf((probe, context) => {
  const { cpu } = context
  const bytes = whole(probe, statesOf(context).load)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const told = view.getBigUint64(swAt, true)
  const rest = bytes.subarray(swAt + 8, swAt + swBytes)
  const text = `0x${told.toString(16)} at ${swAt}`
  if (rest.some(byte => byte !== 0)) return unexplained(`${text}, and more behind it`)
  if (told !== cpu.xcr0) return unexplained(`${text}, but XCR0 is 0x${cpu.xcr0.toString(16)}`)
  return asStated(`${text}, nothing else`)
})

/** Nonsense in the sw bytes and in the gaps between components. */
export const swBytesSet: Run = trialOf((probe, context) => {
  const states = statesOf(context)
  const { layout } = context
  const regset = regsetOf(probe, states.other)
  const fill = (from: number, to: number) => (bytes: Uint8Array) => {
    bytes.fill(0xa5, from, to)
  }
  const last = Math.max(...layout.components.map(({ end }) => end))
  const ends = layout.extended.map(({ end }) => end)
  const gaps = ends.flatMap(end => {
    const next = layout.extended.map(({ offset }) => offset).filter(offset => offset >= end)
    const to = Math.min(...next, last)
    return to > end ? [[`gap at ${end}`, fill(end, to)] as const] : []
  })
  const found = setsAs(probe, states, [
    spoilt(regset, 'sw bytes', fill(swAt, swAt + swBytes)),
    spoilt(regset, 'bytes 416 to 463', fill(416, swAt)),
    ...gaps.map(([text, change]) => spoilt(regset, text, change)),
  ])
  if (found.observed !== 'as-stated') return found
  const told = whole(probe, states.load)
  const { loaded } = ask(probe, {
    load: states.load,
    loaded: [spoilt(regset, '', fill(swAt, swAt + swBytes)).call, { call: 'get' }],
  })
  const { bytes } = succeeded(loaded[1], 'PTRACE_GETREGSET')
  return Buffer.compare(bytes.subarray(swAt, swAt + swBytes), told.subarray(swAt, swAt + swBytes)) === 0
    ? found
    : unexplained('the sw bytes that were set are read again')
})

const legacyUsed = 416

/** The two regsets of one stopped process. */
export const fpAgrees: Run = trialOf((probe, context) => {
  const { load } = statesOf(context)
  const { loaded } = ask(probe, { load, loaded: [{ call: 'get' }, { call: 'get', note: 'fp' }] })
  const xstate = succeeded(loaded[0], 'PTRACE_GETREGSET')
  const fp = succeeded(loaded[1], 'PTRACE_GETREGSET of NT_PRFPREG')
  if (fp.size !== BigInt(legacySize)) return unexplained(`${fp.size} bytes instead of ${legacySize}`)
  return Buffer.compare(fp.bytes.subarray(0, legacyUsed), xstate.bytes.subarray(0, legacyUsed)) === 0
    ? asStated(`${legacyUsed} bytes are the same`)
    : unexplained('another x87 or SSE state than NT_X86_XSTATE has')
})

/** The legacy part of another state, all else of this one. */
const withLegacyOf = (load: XsaveImage, other: XsaveImage): XsaveImage => {
  const mixed = load.clone()
  mixed.bytes.set(other.bytes.subarray(0, legacyUsed))
  return mixed
}

export const fpSets: Run = trialOf((probe, context) => {
  const { load, other } = statesOf(context)
  const wanted = withLegacyOf(load, other)
  const bytes = other.bytes.slice(0, legacySize)
  return setsAs(probe, { load, other: wanted }, [
    { text: `set ${legacySize}`, call: { call: 'set', note: 'fp', bytes } },
    { text: `set ${legacySize + 8}`, call: { call: 'set', note: 'fp', bytes, size: legacySize + 8 } },
  ])
})

export const fpSetsSmaller: Run = trialOf((probe, context) => {
  const { load, other } = statesOf(context)
  const bytes = other.bytes.slice(0, legacySize)
  return allRefused(
    probe,
    load,
    [0, 8, 24, 416, legacySize - 8].map(size => ({
      text: `set ${size}`,
      call: { call: 'set', note: 'fp', bytes, size },
    })),
    'EINVAL',
  )
})
