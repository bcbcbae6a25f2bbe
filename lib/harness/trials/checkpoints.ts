/** CRIU: a process that it takes down and sets up again inside a signal handler, and its own check of CPUs. */
import { captureFrames } from '../../foreign/capture.ts'
import { replayFrame } from '../../foreign/replay.ts'
import { type Checkpointed, checkpointInHandler, type Live } from '../../neighbours/criu/checkpoint.ts'
import { type CpuCheck, checkOwnCpu } from '../../neighbours/criu/cpuinfo.ts'
import { findCriu } from '../../neighbours/criu/program.ts'
import { diffComponents, sameMxcsr } from '../../xstate/compare.ts'
import type { XsaveImage } from '../../xstate/image.ts'
import { randomImage } from '../../xstate/random.ts'
import { fingerprintKernel } from '../host.ts'
import type { CaseContext, TrialCase } from '../selftest.ts'

type Found = ReturnType<TrialCase['trial']>
type Given = Parameters<TrialCase['trial']>

const missing = { unable: 'criu is not installed: apt-get install criu' } as const

/** What of an image is not in an area, by name. */
const lostOf = (area: Uint8Array, image: XsaveImage): string[] => {
  if (area.length !== image.bytes.length) return ['everything']
  const names: string[] = diffComponents(area, image.bytes, image.layout)
  return sameMxcsr(area, image.bytes) ? names : [...names, 'mxcsr']
}

/**
 * The components that CRIU's images have a field for: images/core-x86.proto, user_x86_xsave_entry. What is in use of
 * others at the checkpoint is its loss, and no kernel's; the frame on the stack is memory, and has them all.
 */
const kept = ['x87', 'sse', 'mxcsr', 'avx', 'bndregs', 'bndcsr', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru']

/** @param take stands for the real one in tests */
export const checkpointed = (
  _probe: Given[0],
  { layout, seed }: CaseContext,
  criu: string | null = findCriu(),
  take: (criu: string, live: Live) => Checkpointed = checkpointInHandler,
): Found => {
  if (criu === null) return missing
  const load = randomImage(layout, { seed })
  const poison = randomImage(layout, { seed: seed + 1 })
  const done = take(criu, { load: load.bytes, poison: poison.bytes, mask: layout.features })
  if (done.kind === 'unable') return { unable: done.text }
  if (done.kind === 'lost') return { observed: 'unexplained', text: done.text }
  const inHandler = lostOf(done.handler, poison)
  const after = lostOf(done.after, load).map(name => `${name} after its return`)
  const isCrius = (name: string): boolean => name !== 'everything' && !kept.includes(name)
  const lost = [...inHandler.filter(name => !isCrius(name)).map(name => `${name} in the handler`), ...after]
  const crius = inHandler.filter(isCrius)
  const but = crius.length === 0 ? '' : `; CRIU's images have no place for the handler's ${crius.join(' ')}`
  return lost.length === 0
    ? { observed: 'as-stated', text: `every register, in the handler and after it${but}` }
    : { observed: 'unexplained', text: `not as before: ${lost.join(', ')}` }
}

/** Ours: what becomes of this host's own frame on this host. */
const ownVerdict = (probe: Given[0]): string => {
  const { evidence, generation } = fingerprintKernel(probe)
  const [frame] = captureFrames(probe)
  if (frame === undefined) return 'no frame'
  return replayFrame(probe, 'this host', frame, evidence.length > 0 ? generation.id : null).outcome
}

/** @param check stands for the real one in tests */
export const cpuCheck = (
  probe: Given[0],
  _context: CaseContext,
  criu: string | null = findCriu(),
  check: (criu: string) => CpuCheck = checkOwnCpu,
  ours: (probe: Given[0]) => string = ownVerdict,
): Found => {
  if (criu === null) return missing
  const theirs = check(criu)
  if (theirs.kind === 'unable') return { unable: theirs.text }
  const own = ours(probe)
  if (!theirs.allows) return { unable: `criu cpuinfo check, of this host by itself: ${theirs.words}` }
  const text = `criu cpuinfo check lets it go, its frame ${own}`
  return { observed: own === 'holds' ? 'as-stated' : 'unexplained', text }
}
