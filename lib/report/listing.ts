/** What there is to run, for people. */
import { type Abi, abis } from '../frame/abi.ts'
import type { Listing } from '../harness/listing.ts'
import { labelled, type Style } from './style.ts'
import { widthOf } from './text.ts'

const margin = '  '

/** Nothing where it is every ABI's. */
const forAbis = (of: readonly Abi[]): string => (of.length === abis.length ? '' : of.join(' '))

/** Each selftest with its sentence, and under it its cases with theirs. */
export const listingText = (listings: readonly Listing[], style: Style): string => {
  const { colors } = style
  const width = Math.max(0, ...listings.flatMap(({ cases }) => cases.map(({ name }) => widthOf(name))))
  return listings
    .map(({ selftest, summary, cases }) =>
      [
        colors.bold(selftest),
        ...labelled(margin, summary, style),
        ...cases.flatMap(one => [
          ...labelled(`${margin}${one.name.padEnd(width)}  `, one.summary, style, undefined, colors.cyan),
          ...labelled(
            `${margin}${' '.repeat(width)}  `,
            [one.rules.join(' and '), one.commit, forAbis(one.abis), one.long ? '--long' : '']
              .filter(Boolean)
              .join(' · '),
            style,
            colors.dim,
          ),
        ]),
        '',
      ].join('\n'),
    )
    .join('\n')
}
