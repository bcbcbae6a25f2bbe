/** A page in blocks, of which the least needed go where there is no room. Pure. */

export interface Block {
  /** The lowest are kept first. */
  readonly rank: number
  readonly lines: readonly string[]
}

const textOf = ({ lines }: Block): string => `${lines.join('\n')}\n`

/** Room for what says that something was left out. */
const noteRoom = 200

/** The blocks that fit, in their order. */
export const fitted = (blocks: readonly Block[], most: number): string => {
  const kept = new Set<Block>()
  let room = most - noteRoom
  for (const block of blocks.toSorted((a, b) => a.rank - b.rank)) {
    const length = textOf(block).length + 1
    if (length > room) continue
    kept.add(block)
    room -= length
  }
  const left = blocks.length - kept.size
  const note =
    left === 0 ? '' : `\n*${left} of ${blocks.length} parts did not fit here; the page as HTML has them.*\n`
  return (
    blocks
      .filter(block => kept.has(block))
      .map(textOf)
      .join('\n') + note
  )
}
