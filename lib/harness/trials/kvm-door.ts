/** The virtual CPUs that trials look at: one door and one VM for all of a session, a fresh virtual CPU for each. */
import type { KvmAnswer, KvmFailure } from '../../neighbours/kvm/answer.ts'
import { type CpuidEntry, featuresOfCpuid } from '../../neighbours/kvm/cpuid.ts'
import type { KvmDoor } from '../../neighbours/kvm/door.ts'
import { kvmAdvice, openKvm } from '../../neighbours/kvm/open.ts'
import type { KvmVcpu } from '../../neighbours/kvm/vcpu.ts'
import type { KvmVm } from '../../neighbours/kvm/vm.ts'
import type { Probe } from '../../probe/session.ts'
import { diffComponents, sameMxcsr } from '../../xstate/compare.ts'
import { type ComponentName, maskOf } from '../../xstate/components.ts'
import { type HostCpu, hostLayout } from '../../xstate/host.ts'
import type { XsaveImage } from '../../xstate/image.ts'
import { type Layout, legacyFeatures } from '../../xstate/layout.ts'
import { randomImage } from '../../xstate/random.ts'
import type { CaseContext, Trial, TrialCase } from '../selftest.ts'
import { allowed, Early, type Found, lost, other, trialOf, unable } from './answer.ts'

export const refusedAsMeant = (text: string): Trial => ({ observed: 'refused', text })

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`

/** Nobody answers any more: a seccomp filter ended the process, or something else did. */
const nobody = ({ text }: KvmFailure): Early => {
  if (text.includes('SIGSYS')) return unable(`a seccomp filter ended it: ${text}`)
  return lost(/no answer|progress/.test(text) ? 'timeout' : 'crash', text)
}

/** A call that must go well: what else it says is no word on rules, but on this host. */
export const had = <T>(answer: KvmAnswer<T>): T => {
  if (answer.ok) return answer.value
  throw answer.errno === null ? nobody(answer) : unable(`${answer.text} here`)
}

/** A call that the rule is about. */
export const wentWell = <T>(answer: KvmAnswer<T>, what: string): T => {
  if (answer.ok) return answer.value
  if (answer.errno === null) throw nobody(answer)
  allowed(answer.errno, `${what}: ${answer.call}`)
  throw other(`${what}: ${answer.text}`)
}

/** A door with its VM, and what guests can have behind it. */
export interface KvmPlace {
  readonly door: KvmDoor
  readonly vm: KvmVm
  /** What KVM offers guests to be told. */
  readonly cpuid: readonly CpuidEntry[]
  /** Components that KVM takes, with the permissions of this door. */
  readonly features: bigint
  /** Of a state with all of these. */
  readonly layout: Layout
}

/** Tiles: the two go together, and one of them takes a permission. */
const tiles = maskOf(['xtilecfg', 'xtiledata'])
const tileData = maskOf(['xtiledata'])

export const needsTilePermission = (components: readonly ComponentName[]): boolean =>
  (maskOf(components) & tiles) !== 0n

/** KVM_CAP_XSAVE: without it there are no such calls at all. */
const capXsave = 55

export const openDoor = (): KvmDoor => {
  const opened = openKvm()
  if (opened.ok) return opened.value
  const advice = kvmAdvice(opened)
  throw unable(`there is no KVM here (${opened.text})${advice === '' ? '' : `: ${advice}`}`)
}

/** What guests of this door can have: as KVM says, or before Linux 5.17 what it offers them. */
const featuresOf = (door: KvmDoor, cpuid: readonly CpuidEntry[], cpu: HostCpu): bigint => {
  const supported = door.guestSupported()
  const permitted = door.guestPermissions()
  const all = supported.ok ? supported.value : featuresOfCpuid(cpuid)
  const taken = all & cpu.xcr0 & (permitted.ok ? permitted.value : ~tileData)
  // Either alone is nothing that a guest can enable.
  return ((taken & tileData) === 0n ? taken & ~tiles : taken) | legacyFeatures
}

const enter = (probe: Probe, withTiles: boolean): KvmPlace => {
  const door = openDoor()
  try {
    if (had(door.checkExtension(capXsave)) === 0) throw unable('this KVM has no KVM_CAP_XSAVE')
    if (withTiles) had(door.requestGuestPermission('xtiledata'))
    const vm = had(door.createVm())
    const cpuid = had(door.getSupportedCpuid())
    const features = featuresOf(door, cpuid, probe.cpu)
    probe.closeToo(() => door.close())
    return { door, vm, cpuid, features, layout: hostLayout(probe.cpu, features) }
  } catch (error) {
    door.closeSync()
    throw error
  }
}

type Entered = { readonly place: KvmPlace } | { readonly early: Early }

const places = new WeakMap<Probe, Map<boolean, Entered>>()

/** The session's place, or why there is none: found out once. A permission is for a door of its own. */
const placeOf = (probe: Probe, withTiles: boolean): KvmPlace => {
  const known = places.get(probe) ?? new Map<boolean, Entered>()
  places.set(probe, known)
  let entered = known.get(withTiles)
  if (entered === undefined) {
    entered = tryEnter(probe, withTiles)
    known.set(withTiles, entered)
  }
  if ('early' in entered) throw entered.early
  return entered.place
}

const tryEnter = (probe: Probe, withTiles: boolean): Entered => {
  try {
    return { place: enter(probe, withTiles) }
  } catch (error) {
    if (error instanceof Early) return { early: error }
    throw error
  }
}

/** What a trial has: a virtual CPU that nobody has touched, which is told nothing of what it has. */
export interface Guest extends KvmPlace {
  readonly vcpu: KvmVcpu
  readonly probe: Probe
  readonly context: CaseContext
}

export const kvmTrial =
  (steps: (guest: Guest) => Found): TrialCase['trial'] =>
  (probe, context) =>
    trialOf(() => {
      const one = context.components.length === 1 ? context.components : []
      const withTiles = needsTilePermission(one)
      const place = placeOf(probe, withTiles)
      const lacking = one.filter(name => !place.layout.has(name))
      if (lacking.length > 0)
        throw unable(`this KVM has no ${lacking.join(' ')} for guests: ${hex(place.features)}`)
      const made = place.vm.createVcpu()
      // The next trial has a door of its own.
      if (!made.ok && made.errno === null) places.get(probe)?.delete(withTiles)
      const vcpu = had(made)
      try {
        if (place.layout.size > vcpu.xsaveBytes)
          throw other(
            `${hex(place.features)} takes ${place.layout.size} bytes, the state has ${vcpu.xsaveBytes}`,
          )
        return steps({ ...place, vcpu, probe, context })
      } finally {
        vcpu.close()
      }
    })(probe, context)

/** A state as KVM_SET_XSAVE takes it. */
export const stateOf = ({ vcpu }: Pick<Guest, 'vcpu'>, image: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(vcpu.xsaveBytes)
  bytes.set(image.subarray(0, vcpu.xsaveBytes))
  return bytes
}

export const randomState = (
  { layout, context }: Pick<Guest, 'layout' | 'context'>,
  seedOffset = 0,
  components?: readonly ComponentName[],
): XsaveImage => randomImage(layout, { seed: context.seed + seedOffset, components })

/** The guest is told that it has all that KVM offers. */
export const tellAll = ({ vcpu, cpuid }: Guest): void => {
  wentWell(vcpu.setCpuid2(cpuid), 'what KVM itself offers')
}

export const set = (guest: Guest, image: Uint8Array, what: string): void => {
  wentWell(guest.vcpu.setXsave(stateOf(guest, image)), what)
}

/** What is read now: by both calls, which must agree. */
export const read = ({ vcpu }: Guest): Uint8Array => {
  if (vcpu.xsaveBytes > smallState) return wentWell(vcpu.getXsave2(), 'the state')
  const bytes = wentWell(vcpu.getXsave(), 'the state')
  const again = vcpu.getXsave2()
  // Before Linux 5.17 there is one call alone.
  if (!again.ok && again.errno !== 'EINVAL' && again.errno !== 'ENOTTY') throw other(again.text)
  if (again.ok && Buffer.compare(again.value, bytes) !== 0)
    throw other('KVM_GET_XSAVE2 reads something else than KVM_GET_XSAVE')
  return bytes
}

/** Bytes of struct kvm_xsave. */
export const smallState = 4096

const withMxcsr = maskOf(['sse', 'avx'])

const xstateBvOf = (bytes: Uint8Array): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(512, true)

/** What of one state is not in another; MXCSR where a component is in use that it goes with. */
export const differences = (seen: Uint8Array, meant: Uint8Array, layout: Layout): string[] => {
  const names: string[] = diffComponents(seen, meant, layout)
  if ((xstateBvOf(meant) & withMxcsr) !== 0n && !sameMxcsr(seen, meant)) names.push('mxcsr')
  return names
}

export { xstateBvOf }
