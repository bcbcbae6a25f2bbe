/** What the frame has for the registers: components, single bytes of them, x87's and SSE's words. */
import type { EditOp } from '../../frame/edit.ts'
import { type FsaveField, fsaveFields, fsaveSt } from '../../frame/fsave.ts'
import { isKnownComponent } from '../../xstate/components.ts'
import { fieldOffset, initFcw, initMxcsr } from '../../xstate/image.ts'
import type { Layout } from '../../xstate/layout.ts'
import { type RandomGenerator, randomImage } from '../../xstate/random.ts'
import type { Ingredient } from './draft.ts'
import type { Places } from './places.ts'
import { below, chance, pick, weighted } from './random.ts'

/** Images that components are taken from. Large, so few. */
const images = 8
/** Far from the seeds that loads and poisons are drawn by: neither may be sent. */
const imageSeed = 2 ** 40 + 7

const oneByte = Array.from({ length: 256 }, (_, i) => Uint8Array.of(i))
const words = Array.from({ length: 256 }, (_, i) => Uint8Array.of(i, 255 - i))

const componentOps = (layout: Layout): readonly (readonly EditOp[])[] => {
  const pool = Array.from({ length: images }, (_, i) => randomImage(layout, { seed: imageSeed + i }))
  return layout.components
    .filter(({ name }) => isKnownComponent(name))
    .map(({ name }) =>
      pool.map(image =>
        Object.freeze({ op: 'component', name, bytes: image.component(name).slice() } as const),
      ),
    )
}

/** Where a byte may hold anything: XMM registers and the extended components that are not fragile. */
const bytePlaces = ({ sturdy }: Places): readonly { readonly offset: number; readonly size: number }[] => [
  { offset: fieldOffset.xmm, size: 256 },
  ...sturdy,
]

/** A component anew, or a byte of one. */
export const contents = (places: Places): Ingredient => {
  const whole = componentOps(places.layout)
  const ranges = bytePlaces(places)
  return (draft, random) => {
    if (chance(random, 0.5)) {
      draft.ops.push(pick(random, pick(random, whole)))
      return
    }
    const { offset, size } = pick(random, ranges)
    draft.ops.push({ op: 'write', at: offset + below(random, size), bytes: pick(random, oneByte) })
  }
}

const reservedMxcsr = ({ layout }: Places): readonly number[] =>
  Array.from({ length: 32 }, (_, i) => (1 << i) >>> 0).filter(bit => (bit & layout.mxcsrMask) === 0)

const mxcsrKinds = weighted([
  [4, 'reserved'],
  [4, 'valid'],
  [5, 'special'],
  [2, 'mask'],
] as const)

const specialMxcsr = [0, initMxcsr, 0xffff, 0xffff_ffff, 0x1fc0, 0x2_1f80, 0xffbf] as const

/** MXCSR, and the bytes behind it that say which of its bits there are. */
export const mxcsr = (places: Places): Ingredient => {
  const reserved = reservedMxcsr(places)
  const { mxcsrMask } = places.layout
  const set = (value: number): EditOp => ({ op: 'set', field: 'mxcsr', value: value >>> 0 })
  return (draft, random) => {
    switch (pick(random, mxcsrKinds)) {
      case 'reserved':
        draft.ops.push(set(initMxcsr | pick(random, reserved)))
        return
      case 'valid':
        draft.ops.push(set(random.next() & mxcsrMask))
        return
      case 'special':
        draft.ops.push(set(pick(random, specialMxcsr)))
        return
      case 'mask':
        draft.ops.push({
          op: 'write',
          at: fieldOffset.mxcsrMask + below(random, 4),
          bytes: pick(random, oneByte),
        })
    }
  }
}

const fcws = [0, initFcw, 0x27f, 0x40, 0x340, 0xffff, 0xe0ff, 0x1f7f, 0x33f] as const
const fsws = [0, 0x80, 0x8080, 0xffff, 0x3800, 0x4700, 0x3f, 1, 0x40] as const

/** 10 bytes that are no number as others: all ones, all zero, a denormal, an unnormal, an infinity. */
const stValues: readonly Uint8Array[] = [
  new Uint8Array(10).fill(0xff),
  new Uint8Array(10),
  Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x40, 0xff, 0x3f),
  Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f),
]

const u16 = (random: RandomGenerator): number => random.next() >>> 16

/** x87's words and registers in the area. FIP and FDP are left out: CPUs differ in how many bits they keep. */
export const x87 = (): Ingredient => (draft, random) => {
  const special = chance(random, 0.6)
  switch (below(random, 6)) {
    case 0:
      draft.ops.push({ op: 'set', field: 'fcw', value: special ? pick(random, fcws) : u16(random) })
      return
    case 1:
      draft.ops.push({ op: 'set', field: 'fsw', value: special ? pick(random, fsws) : u16(random) })
      return
    case 2:
      // FTW, or the reserved byte behind it.
      draft.ops.push({
        op: 'write',
        at: fieldOffset.ftw + (special ? 0 : below(random, 2)),
        bytes: pick(random, oneByte),
      })
      return
    case 3:
      draft.ops.push({ op: 'write', at: fieldOffset.fop, bytes: pick(random, words) })
      return
    case 4:
      draft.ops.push({
        op: 'write',
        at: fieldOffset.st + 16 * below(random, 8),
        bytes: pick(random, stValues),
      })
      return
    default:
      draft.ops.push({ op: 'write', at: fieldOffset.st + below(random, 128), bytes: pick(random, oneByte) })
  }
}

const fsaveNames = Object.keys(fsaveFields) as FsaveField[]
const fsaveValues = [0, 1, 0xffff, 0xffff_ffff, 0x5555_5555, 0xaaaa_aaaa, 0xffff_037f, 0x80] as const

const fsaveValue = (random: RandomGenerator, width: number): number => {
  const value = chance(random, 0.5) ? pick(random, fsaveValues) : random.next() >>> 0
  return width === 2 ? value & 0xffff : value
}

/** The fsave header, in the frames that have one. */
export const fsave = (): Ingredient => (draft, random) => {
  if (chance(random, 0.6)) {
    const name = pick(random, fsaveNames)
    const value = fsaveValue(random, fsaveFields[name].width)
    draft.ops.push({ op: 'set', field: `fsave.${name}`, value })
    return
  }
  const st = fsaveSt.at + fsaveSt.size * below(random, fsaveSt.count)
  if (chance(random, 0.5))
    draft.ops.push({ op: 'write', region: 'fsave', at: st, bytes: pick(random, stValues) })
  else
    draft.ops.push({
      op: 'write',
      region: 'fsave',
      at: st + below(random, fsaveSt.size),
      bytes: pick(random, oneByte),
    })
}
