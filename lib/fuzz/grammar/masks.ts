/** Feature masks: the sw bytes' xfeatures, XSTATE_BV, XCOMP_BV, and the rest of the header. */
import type { EditOp } from '../../frame/edit.ts'
import { fieldOffset } from '../../xstate/image.ts'
import { minXsaveSize } from '../../xstate/layout.ts'
import type { Ingredient } from './draft.ts'
import type { Places } from './places.ts'
import { below, chance, pick } from './random.ts'

const x87 = 1n
const sse = 2n
const compactedBit = 1n << 63n

/** The same change of both masks. */
interface MaskOps {
  readonly sw: EditOp
  readonly bv: EditOp
}

const change = (op: 'set' | 'and' | 'or', value: bigint): MaskOps =>
  Object.freeze({
    sw: Object.freeze({ op, field: 'sw.xfeatures', value }),
    bv: Object.freeze({ op, field: 'xstateBv', value }),
  })

const without = (mask: bigint): MaskOps => change('and', BigInt.asUintN(64, ~mask))

/** Kinds of changes; each kind is as likely as the others. */
const changesOf = ({
  layout,
  subsets,
  unknownBits,
  supervisorBits,
  untouchedBits,
}: Places): readonly MaskOps[][] => [
  subsets.map(({ mask }) => change('set', mask)),
  subsets.map(({ mask }) => change('and', mask)),
  layout.components.map(({ mask }) => without(mask)),
  [change('set', x87 | sse), change('and', x87 | sse), without(x87), without(sse), change('set', 0n)],
  [change('set', layout.features), change('or', layout.features), change('set', 1n << 62n)],
  unknownBits.map(bit => change('or', bit)),
  supervisorBits.map(bit => change('or', bit)),
  untouchedBits.map(bit => change('or', bit)),
]

/** One of the masks, or both alike. */
export const masks = (places: Places): Ingredient => {
  const kinds = changesOf(places).filter(kind => kind.length > 0)
  return (draft, random) => {
    const { sw, bv } = pick(random, pick(random, kinds))
    const where = below(random, 10)
    if (where < 6) draft.ops.push(sw)
    if (where >= 3) draft.ops.push(bv)
  }
}

const setXcompBv = (value: bigint): EditOp => Object.freeze({ op: 'set', field: 'xcompBv', value })

/** Values without bit 63, or with bits that nobody has: XRSTOR refuses them (SDM volume 1, 13.8.1). */
const wrongXcompBv = ({ layout, compacted, unknownBits, supervisorBits }: Places): readonly EditOp[] =>
  [
    ...layout.components.map(({ mask }) => mask),
    layout.features,
    1n << 62n,
    ...[...unknownBits, ...supervisorBits].flatMap(bit => [bit, (compacted.at(-1) ?? compactedBit) | bit]),
  ].map(setXcompBv)

/** A whole compacted image, by XCOMP_BV: XSTATE_BV has to keep to it. */
interface Compacted {
  readonly set: EditOp
  readonly keep: EditOp
}

const compactedOps = ({ compacted }: Places): readonly Compacted[] =>
  [compactedBit, ...compacted].map(value =>
    Object.freeze({
      set: setXcompBv(value),
      keep: Object.freeze({ op: 'and', field: 'xstateBv', value: value & ~compactedBit } as const),
    }),
  )

const oneByte = Array.from({ length: 256 }, (_, i) => Uint8Array.of(i))
const reservedBytes = minXsaveSize - fieldOffset.reserved

/** XCOMP_BV, or a byte of the header that is reserved. */
export const header = (places: Places): Ingredient => {
  const wrong = wrongXcompBv(places)
  const proper = compactedOps(places)
  return (draft, random) => {
    const kind = below(random, 10)
    if (kind < 3) {
      draft.ops.push(pick(random, wrong))
    } else if (kind < 6) {
      const { set, keep } = pick(random, proper)
      draft.ops.push(set)
      if (chance(random, 0.7)) draft.ops.push(keep)
    } else {
      const value = kind < 9 ? 1 << below(random, 8) : 1 + below(random, 255)
      const at = fieldOffset.reserved + below(random, reservedBytes)
      draft.ops.push({ op: 'write', at, bytes: oneByte[value] as Uint8Array })
    }
  }
}
