/** What becomes of the state of a virtual CPU: set, read, left out, limited, and exchanged with frames. */
import type { Observed } from '../../contract/treatment.ts'
import { takeFrame } from '../../foreign/take.ts'
import { withFeatures } from '../../neighbours/kvm/cpuid.ts'
import { isInitComponent } from '../../xstate/compare.ts'
import { type ComponentName, maskOf, namesOf } from '../../xstate/components.ts'
import { initMxcsr, XsaveImage } from '../../xstate/image.ts'
import { legacyFeatures, legacySize, minXsaveSize } from '../../xstate/layout.ts'
import { randomImage } from '../../xstate/random.ts'
import { asStated, type Found, other, unable } from './answer.ts'
import {
  differences,
  type Guest,
  hex,
  kvmTrial,
  randomState,
  read,
  set,
  stateOf,
  tellAll,
  wentWell,
  xstateBvOf,
} from './kvm-door.ts'

const alone = ({ context: { components } }: Guest): ComponentName[] => ['x87', 'sse', ...components]

const expectSame = (guest: Guest, seen: Uint8Array, meant: Uint8Array, when: string): void => {
  const lost = differences(seen, meant, guest.layout)
  if (lost.length > 0) throw other(`${when} other than set: ${lost.join(' ')}`)
}

/** Every component at init, told or not what it has. */
export const isFresh = kvmTrial(guest => {
  const { layout, vcpu } = guest
  const look = (when: string): void => {
    const seen = read(guest)
    const off = layout.components.filter(({ name }) => !isInitComponent(seen, layout, name))
    if (off.length > 0) throw other(`${when} not at init: ${off.map(({ name }) => name).join(' ')}`)
    const { mxcsr } = new XsaveImage(seen.slice(0, layout.size), layout)
    if (mxcsr !== initMxcsr) throw other(`${when} MXCSR is ${hex(mxcsr)}`)
  }
  look('without a CPUID')
  tellAll(guest)
  look('with its CPUID')
  return asStated(`all of ${hex(guest.features)} at init in ${vcpu.xsaveBytes} bytes`)
})

/** The component alone, then with all others, then alone again. */
export const comesBack = kvmTrial(guest => {
  tellAll(guest)
  const states = [
    randomState(guest, 0, alone(guest)),
    randomState(guest, 1),
    randomState(guest, 2, alone(guest)),
  ]
  for (const image of states) {
    set(guest, image.bytes, 'a state')
    expectSame(guest, read(guest), image.bytes, 'it comes back')
  }
  return asStated(`${states.length} states came back`)
})

/** Set with everything, then without this component, whose bytes are there all the same. */
export const leavesOut = kvmTrial(guest => {
  tellAll(guest)
  const { layout, context } = guest
  set(guest, randomState(guest, 1).bytes, 'a state')
  const image = randomState(guest)
  image.xstateBv &= ~maskOf(context.components)
  set(guest, image.bytes, 'a state without it')
  const seen = read(guest)
  expectSame(guest, seen, image.bytes, 'it comes back')
  const left = context.components.filter(name => !isInitComponent(seen, layout, name))
  if (left.length > 0) throw other(`not at init: ${left.join(' ')}`)
  return asStated('it is read at init, everything else as set')
})

/** A component and those that it is nothing without. */
const together = (names: readonly ComponentName[]): bigint => {
  const avx512 = maskOf(['opmask', 'zmm_hi256', 'hi16_zmm'])
  const sets = [avx512, maskOf(['bndregs', 'bndcsr']), maskOf(['xtilecfg', 'xtiledata'])]
  const mask = sets.reduce((all, one) => ((all & one) === 0n ? all : all | one), maskOf(names))
  return (mask & avx512) === 0n ? mask : mask | maskOf(['avx'])
}

/**
 * Whether this KVM goes by a guest's CPUID at all: one that does refuses an XCR0 beyond it. Some that are stacked on
 * others give every guest what the host has.
 */
const goesByCpuid = ({ vcpu, features }: Guest): boolean => !vcpu.setXcr0(features).ok

/** The guest is told of these components alone. */
const tell = ({ vcpu, cpuid }: Guest, features: bigint): void => {
  wentWell(vcpu.setCpuid2(withFeatures(cpuid, features)), `a CPUID with ${hex(features)}`)
}

/** With a CPUID that has the component, with one that has x87 and SSE alone, and with all of it again. */
export const isLimited = kvmTrial(guest => {
  const { context, features, layout } = guest
  const image = randomState(guest)
  tellAll(guest)
  set(guest, image.bytes, 'a state')
  for (const told of [legacyFeatures | together(context.components), legacyFeatures]) {
    tell(guest, told)
    const seen = read(guest)
    const beyond = xstateBvOf(seen) & ~told
    if (beyond !== 0n && !goesByCpuid(guest))
      throw unable(
        `this KVM gives guests ${hex(features)} whatever KVM_SET_CPUID2 says: KVM_SET_XCRS takes all of it, too`,
      )
    if (beyond !== 0n) throw other(`with a CPUID of ${hex(told)} also read: ${namesOf(beyond).join(' ')}`)
    const meant = new XsaveImage(image.bytes.slice(), layout)
    meant.xstateBv &= told
    expectSame(guest, seen, meant.bytes, `with a CPUID of ${hex(told)}`)
    expectNothingOf(guest, seen, ~told)
  }
  tellAll(guest)
  expectSame(guest, read(guest), image.bytes, 'with the whole CPUID again')
  return asStated('read as far as the CPUID goes, and nothing lost')
})

/** A component that is not read has no bytes either. */
const expectNothingOf = ({ layout }: Guest, seen: Uint8Array, mask: bigint): void => {
  for (const { name, mask: bit, offset, end } of layout.extended)
    if ((bit & mask) !== 0n && seen.subarray(offset, end).some(byte => byte !== 0))
      throw other(`bytes of ${name} are read without its bit`)
}

/** Without a CPUID. */
export const isLegacyBeforeCpuid = kvmTrial(guest => {
  const { layout } = guest
  const image = randomState(guest)
  set(guest, image.bytes, 'a state')
  const seen = read(guest)
  const beyond = xstateBvOf(seen) & ~legacyFeatures
  const whole = differences(seen, image.bytes, layout).length === 0
  if (beyond !== 0n)
    return found(whole ? 'kept' : 'unexplained', `without a CPUID also read: ${namesOf(beyond).join(' ')}`)
  const legacy = new XsaveImage(image.bytes.slice(), layout)
  legacy.xstateBv &= legacyFeatures
  expectSame(guest, seen, legacy.bytes, 'without a CPUID')
  expectNothingOf(guest, seen, ~legacyFeatures)
  tellAll(guest)
  expectSame(guest, read(guest), image.bytes, 'with its CPUID')
  return asStated('x87 and SSE alone before, everything after')
})

const found = (observed: Observed, text: string): Found => ({ observed, text })

/** A guest without extended components is set all of them. */
export const setsBeyondCpuid = kvmTrial(guest => {
  const image = randomState(guest)
  tell(guest, legacyFeatures)
  const answer = guest.vcpu.setXsave(stateOf(guest, image.bytes))
  if (!answer.ok && answer.errno === 'EINVAL')
    return found('refused', `${answer.text} for ${hex(image.xstateBv)}`)
  wentWell(answer, 'a state')
  tellAll(guest)
  expectSame(guest, read(guest), image.bytes, 'it comes back')
  return asStated(`${hex(image.xstateBv)} set in a guest with ${hex(legacyFeatures)}`)
})

/** The components that both the task and guests have. */
const shared = ({ layout, probe }: Guest): ComponentName[] =>
  layout.components.map(({ name }) => name).filter(name => probe.layout.has(name))

/** A frame as the kernel delivers it now. */
export const takesFrame = kvmTrial(guest => {
  const { probe, context, layout } = guest
  const components = context.components.length === 1 ? alone(guest) : shared(guest)
  const taken = takeFrame(probe, { abi: context.abi, components, seed: context.seed })
  if (typeof taken === 'string') throw unable(taken)
  const frame = taken.fpstate.slice(0, probe.layout.size)
  const view = new DataView(frame.buffer)
  const beyond = xstateBvOf(frame) & ~guest.features
  // Of a component that guests have not, at init and marked all the same.
  view.setBigUint64(512, xstateBvOf(frame) & guest.features, true)
  tellAll(guest)
  set(guest, frame, 'the frame’s XSAVE area')
  const lost = differences(read(guest), frame, layout)
  if (lost.length > 0) throw other(`other than in the frame: ${lost.join(' ')}`)
  const without = beyond === 0n ? '' : `, without ${namesOf(beyond).join(' ')}, which guests have not`
  return asStated(`${frame.length} bytes of the frame came back${without}`)
})

/** The state of a virtual CPU in place of the area of a frame: all but the sw bytes. */
export const entersFrame = kvmTrial(guest => {
  const { probe, context } = guest
  const components = context.components.length === 1 ? alone(guest) : shared(guest)
  tellAll(guest)
  const image = randomState(guest, 1, components)
  set(guest, image.bytes, 'a state')
  const state = read(guest)
  expectSame(guest, state, image.bytes, 'it comes back')
  const { layout, limits } = probe
  const end = Math.min(layout.size, state.length, limits.frameBytes)
  const seen = probe.runSync({
    abi: context.abi,
    load: randomImage(layout, { seed: context.seed + 2 }),
    edit: [
      { op: 'write', at: 0, bytes: state.slice(0, swBytes) },
      { op: 'write', at: legacySize, bytes: state.slice(legacySize, end) },
    ],
  })
  if (seen.kind !== 'returned')
    throw other(`the frame came to ${seen.kind === 'signal' ? `${seen.signal} at ${seen.where}` : seen.kind}`)
  const meant = new Uint8Array(Math.max(layout.size, minXsaveSize))
  meant.set(state.subarray(0, end))
  const lost = differences(seen.after.bytes, meant, layout)
  if (lost.length > 0) throw other(`other than in the virtual CPU: ${lost.join(' ')}`)
  return asStated(`${end} bytes restored every register`)
})

/** Where they begin. */
const swBytes = 464
