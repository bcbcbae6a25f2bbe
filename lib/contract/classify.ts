/**
 * Which treatment a frame got, told from the registers afterwards. Two probes of the same frame are needed: the
 * frame itself, and a witness that differs only in XSTATE_BV bits 0 and 1 being clear. FXRSTOR does not know those
 * bits and loads the legacy bytes; XRSTOR puts x87 and SSE to init. So FX-only is proved, never inferred.
 */
import { isIa32 } from '../frame/abi.ts'
import type { EditOp } from '../frame/edit.ts'
import { restorable } from '../frame/reader.ts'
import type { Returned, Saved, Seen, SignalInfo } from '../probe/result.ts'
import { diffComponents, sameMxcsr } from '../xstate/compare.ts'
import { type ComponentName, isKnownComponent } from '../xstate/components.ts'
import { initImage, initMxcsr, XsaveImage } from '../xstate/image.ts'
import { type Layout, legacyFeatures } from '../xstate/layout.ts'
import { type Observed, type Treatment, treatmentText } from './treatment.ts'

const u64 = (1n << 64n) - 1n

/** What makes a frame its own witness. */
export const witnessOps: readonly EditOp[] = [{ op: 'and', field: 'xstateBv', value: u64 & ~legacyFeatures }]

/** si_code of a signal that the kernel itself sends. */
const siKernel = 128

/**
 * Components that do not go to init with the rest when the kernel clears a task's state: PKRU gets the kernel's default
 * instead (arch/x86/kernel/fpu/core.c, `fpu__clear_user_states`).
 */
const hasDefault = (name: ComponentName): boolean => name === 'pkru'

export interface Classified {
  readonly observed: Observed
  /** In words: the treatment, and where it went otherwise than any. */
  readonly text: string
}

const imageWith = (sent: Uint8Array, layout: Layout, xstateBv: bigint): XsaveImage => {
  const image = new XsaveImage(new Uint8Array(layout.size), layout)
  image.bytes.set(sent.subarray(0, layout.size))
  image.xstateBv = xstateBv
  return image
}

/** What the registers hold after XRSTOR with the frame's own mask. */
export const afterXrstor = ({ sent }: Saved, layout: Layout): XsaveImage =>
  imageWith(restorable(sent), layout, sent.xstateBv & sent.sw.xfeatures & layout.features)

/** What they hold after FXRSTOR: the legacy bytes, whatever XSTATE_BV says. */
export const afterFxrstor = ({ sent }: Saved, layout: Layout): XsaveImage =>
  imageWith(restorable(sent), layout, legacyFeatures)

const sseBit = 2n
/** x87, SSE and AVX: without any of them a 32-bit return does not look at MXCSR. */
const mxcsrFeatures = 7n

/**
 * Whether MXCSR is the frame's, or its init value where that may be: where components go to init behind the load it
 * depends on XSAVES, and a 32-bit frame's is believed with SSE alone, as a compacted one's is.
 */
const mxcsrHolds = ({ sent }: Saved, after: XsaveImage, layout: Layout, fxOnly: boolean): boolean => {
  const { abi, sw, fpstate, xstateBv, xcompBv } = sent
  if (sameMxcsr(after.bytes, fpstate)) return true
  if (isIa32(abi) && !fxOnly && (xstateBv & mxcsrFeatures) === 0n) return true
  const mayBeInit =
    fxOnly ||
    (sw.xfeatures & layout.features) !== layout.features ||
    ((isIa32(abi) || xcompBv !== 0n) && (xstateBv & sseBit) === 0n)
  return mayBeInit && after.mxcsr === initMxcsr
}

/** The components that are not as after the kernel has cleared a task's state, and MXCSR. */
export const notCleared = (after: XsaveImage, layout: Layout): string[] => {
  const init = initImage(layout).bytes
  const names: string[] = diffComponents(after.bytes, init, layout).filter(name => !hasDefault(name))
  return sameMxcsr(after.bytes, init) ? names : [...names, 'mxcsr']
}

/** The components that are not as a load of the frame leaves them, and MXCSR. */
export const differences = (seen: Saved, layout: Layout, treatment: 'restored' | 'fx-only'): string[] => {
  const { after } = seen
  const fxOnly = treatment === 'fx-only'
  const expected = fxOnly ? afterFxrstor(seen, layout) : afterXrstor(seen, layout)
  const names: string[] = diffComponents(after.bytes, expected.bytes, layout)
  if (!mxcsrHolds(seen, after, layout, fxOnly)) names.push('mxcsr')
  return names
}

const isKernelSegv = (seen: SignalInfo): boolean =>
  seen.signal === 'SIGSEGV' && seen.siCode === siKernel && seen.siAddr === 0n

/** What a probe's signal says. */
const fittingSignal = (seen: Extract<Seen, { kind: 'signal' }>, layout: Layout): Treatment[] => {
  switch (seen.where) {
    case 'sigreturn':
      if (!isKernelSegv(seen)) return []
      return [
        ...(notCleared(seen.after, layout).length === 0 ? (['rejected'] as const) : []),
        // The return itself went well; what else the frame says cannot be gone on with.
        ...(differences(seen, layout, 'restored').length === 0 ? (['astray'] as const) : []),
      ]
    case 'delivery':
      return isKernelSegv(seen) ? ['undelivered'] : []
    case 'after':
      return ['astray']
    default:
      return []
  }
}

/** Every treatment that a probe's outcome fits. */
const fitting = (seen: Seen, layout: Layout): Treatment[] => {
  switch (seen.kind) {
    case 'returned': {
      if (seen.sent.fpstatePointer === 0n) return notCleared(seen.after, layout).length === 0 ? ['init'] : []
      return (['restored', 'fx-only'] as const).filter(t => differences(seen, layout, t).length === 0)
    }
    case 'signal':
      return fittingSignal(seen, layout)
    case 'died':
      return seen.where === 'sigreturn' && seen.signal === 'SIGSEGV' ? ['killed'] : []
    default:
      return []
  }
}

const originOf = (seen: Returned, name: ComponentName): string => {
  const { restored, init, kept, loaded } = seen.state(name)
  if (restored) return 'as in the frame'
  if (init) return 'at init'
  if (kept) return 'kept from before the return'
  return loaded ? 'as before the signal' : 'of unknown origin'
}

const describe = (seen: Seen, layout: Layout): string => {
  if (seen.kind === 'signal') {
    const left = seen.where === 'sigreturn' ? notCleared(seen.after, layout) : []
    const leftText = left.length > 0 ? `, not at init: ${left.join(' ')}` : ''
    return `${seen.signal} (si_code ${seen.siCode}) at ${seen.where}${leftText}`
  }
  if (seen.kind === 'died') return `died of ${seen.signal ?? `exit code ${seen.code}`} at ${seen.where}`
  if (seen.kind !== 'returned') return seen.kind
  const legacy = differences(seen, layout, 'fx-only')
  const full = differences(seen, layout, 'restored')
  const wrong = full.length <= legacy.length ? full : legacy
  const states = wrong.map(name =>
    name === 'mxcsr' ? 'mxcsr is not the frame’s' : `${name} ${originOf(seen, name as ComponentName)}`,
  )
  return `returned, but ${states.join(', ') || 'as nothing that fits both probes'}`
}

/** The extended components that the frame had and the registers have not. */
const lostComponents = (seen: Returned, layout: Layout): ComponentName[] => {
  const { after } = seen
  const lost = new Set(diffComponents(after.bytes, afterXrstor(seen, layout).bytes, layout))
  return layout.extended.map(({ name }) => name).filter(name => lost.has(name))
}

/** The one treatment that explains both probes of a frame, or `unexplained`. */
export const classify = (seen: Seen, witness: Seen, layout: Layout): Classified => {
  const common = fitting(witness, layout)
  const both = fitting(seen, layout).filter(treatment => common.includes(treatment))
  const [observed] = both
  if (observed === undefined || both.length > 1) {
    const text = `frame: ${describe(seen, layout)}; witness: ${describe(witness, layout)}`
    return { observed: 'unexplained', text }
  }
  if (observed !== 'fx-only' || seen.kind !== 'returned') return { observed, text: treatmentText[observed] }
  const lost = lostComponents(seen, layout)
  return {
    observed,
    text: `${treatmentText[observed]}${lost.length > 0 ? ` (lost: ${lost.join(' ')})` : ''}`,
  }
}

/**
 * Why a pair of probes cannot tell its treatments apart, or null: what the handler left in the registers has to
 * differ from all that may be there afterwards, and the witness has to have legacy state to lose.
 */
export const indistinct = (seen: Returned, witness: Returned, layout: Layout): string | null => {
  const poison = seen.poison.bytes
  for (const expected of [afterXrstor(seen, layout), afterFxrstor(seen, layout)]) {
    const differing = new Set(diffComponents(poison, expected.bytes, layout))
    const same = layout.components.find(({ name }) => isKnownComponent(name) && !differing.has(name))
    if (same !== undefined) return `the poison has the same ${same.name} as what is expected`
  }
  const legacy = afterFxrstor(witness, layout)
  const full = new Set(diffComponents(legacy.bytes, afterXrstor(witness, layout).bytes, layout))
  return full.has('x87') || full.has('sse') ? null : 'the witness has no legacy state to lose'
}
