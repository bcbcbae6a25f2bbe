/** A collection as Markdown: for an issue, a mail, a job's summary. Bounded to what GitHub takes. */
import { type Digest, noExtras, type PageExtras, standing } from '../digest/digest.ts'
import { type Block, fitted } from './blocks.ts'
import { failureBlocks } from './failures.ts'
import { frameBlocks, pairBlocks } from './frames.ts'
import { aboutBlocks, kernelBlocks, summaryBlocks } from './hosts.ts'

/** Characters: GitHub takes 65,536. */
const mostCharacters = 60_000

/** A collection's digest as Markdown. */
export const markdownReport = (digest: Digest, extras: Partial<PageExtras> = {}): string => {
  const blocks: Block[] = [
    { rank: 0, lines: [`# sigframe: ${standing(digest)}`] },
    ...summaryBlocks(digest),
    ...frameBlocks(digest),
    ...pairBlocks(digest),
    ...kernelBlocks(digest),
    ...failureBlocks(digest),
    ...aboutBlocks({ ...noExtras, ...extras }, digest),
  ]
  return fitted(blocks, mostCharacters)
}
