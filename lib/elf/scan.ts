/** Finds the signal frames in an ELF core file. The file is read once, forward, and never held. */
import { frameFields } from '../frame/format.ts'
import { standingsOf } from './chains.ts'
import type { CoreFrame, CoreScan } from './core.ts'
import type { FoundFrame } from './frames.ts'
import { readHeader } from './header.ts'
import { memoryOf } from './memory.ts'
import { layoutOf, readNotes } from './notes.ts'
import { type ScanOptions, search } from './search.ts'
import { type ByteSource, withSource } from './source.ts'

export type { ScanOptions } from './search.ts'

const byPlace = (a: FoundFrame, b: FoundFrame): number => {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1
  return a.offset - b.offset
}

const { at: xfeaturesAt } = frameFields['sw.xfeatures']

const xfeaturesOf = ({ fpstate }: FoundFrame): bigint =>
  new DataView(fpstate.buffer, fpstate.byteOffset, fpstate.byteLength).getBigUint64(xfeaturesAt, true)

/** As `scanCore`, of bytes from anywhere. @throws as `scanCore` */
export const scanSource = async (source: ByteSource, options: ScanOptions = {}): Promise<CoreScan> => {
  options.signal?.throwIfAborted()
  const header = await readHeader(source)
  const { segments, machine } = header
  const memory = memoryOf(source, segments)
  const notes = await readNotes(source, header)
  const expected = layoutOf(notes, 0n)
  const layoutSize = expected === null || typeof expected === 'string' ? 0 : expected.size
  const found = await search({ source, segments, memory, machine, layoutSize }, options)
  const frames = found.frames.toSorted(byPlace)
  const standings = standingsOf(frames, notes.threads, memory)
  const layout = layoutOf(
    notes,
    frames.reduce((mask, frame) => mask | xfeaturesOf(frame), 0n),
  )
  return {
    size: source.size,
    threads: notes.threads.map(({ pid, rsp, rip }) => ({ pid, rsp, rip })),
    layout: typeof layout === 'string' ? null : layout,
    xcr0: notes.xcr0,
    frames: frames.map(({ facts: _, ...frame }, i): CoreFrame => {
      const { state, pid } = standings[i] ?? { state: 'unknown', pid: null }
      return { ...frame, state, pid }
    }),
    gaps: [...header.gaps, ...notes.gaps, ...(typeof layout === 'string' ? [layout] : []), ...found.gaps],
  }
}

/**
 * Finds every signal frame in an ELF core file, on any machine: those that are in flight, and those that were returned
 * from and never overwritten. A frame is what has MAGIC1 at a multiple of 64 and 464, and either MAGIC2 where its
 * xstate_size says or a ucontext below it whose pointer leads there. Hosts without XSAVE write frames without either.
 * @throws CoreFileError when it cannot be read, is no core file of x86, or contradicts itself; the signal's reason
 */
export const scanCore = (file: string, options: ScanOptions = {}): Promise<CoreScan> =>
  withSource(file, source => scanSource(source, options))
