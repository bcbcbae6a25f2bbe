/** Bytes of an XSAVE area that nobody writes: they keep what lay there before. Pure. */
import { fieldOffset } from '../xstate/image.ts'
import { type ByteRange, type Layout, minXsaveSize } from '../xstate/layout.ts'
import { frameFields } from './format.ts'

/** Behind XMM15, up to the sw bytes. */
const reserved: ByteRange = { offset: 416, size: frameFields['sw.magic1'].at - 416 }

const between = ({ extended }: Layout): ByteRange[] => {
  const gaps: ByteRange[] = []
  let end = minXsaveSize
  for (const one of extended.toSorted((a, b) => a.offset - b.offset)) {
    if (one.offset > end) gaps.push({ offset: end, size: one.offset - end })
    end = Math.max(end, one.end)
  }
  return gaps
}

const known = new WeakMap<Layout, readonly ByteRange[]>()

/** The gaps of a layout, lowest first. */
export const gapsOf = (layout: Layout): readonly ByteRange[] => {
  let gaps = known.get(layout)
  if (gaps === undefined) {
    gaps = Object.freeze([reserved, ...between(layout)])
    known.set(layout, gaps)
  }
  return gaps
}

/** Whether an edit of these bytes changes the format of the area, and with it what is read from where. */
export const changesFormat = (at: number, length: number): boolean =>
  at < fieldOffset.reserved && at + length > fieldOffset.xcompBv
