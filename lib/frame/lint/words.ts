/** Values in messages. Pure. */
import { hex } from '../../errors.ts'
import { namesOf } from '../../xstate/components.ts'

/** More than any CPU has: a mask that names more is no mask. */
const mostNames = 20

const someOf = (mask: bigint): string => {
  const names = namesOf(mask)
  const left = names.length - mostNames
  return left > 0 ? `${names.slice(0, mostNames).join(' ')} and ${left} more` : names.join(' ')
}

/** A feature mask and whom it names: `0x7 (x87 sse avx)`. */
export const maskText = (mask: bigint): string => `${hex(mask)} (${someOf(mask)})`
