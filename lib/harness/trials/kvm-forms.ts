/** The forms of a virtual CPU's state: how large it is, what of it is checked, and what a guest needs a permission for. */
import { type CpuidEntry, featuresOfCpuid, sizeOfCpuid, withFeatures } from '../../neighbours/kvm/cpuid.ts'
import type { KvmDoor } from '../../neighbours/kvm/door.ts'
import { capXsave2, type KvmVm } from '../../neighbours/kvm/vm.ts'
import { components, maskOf, namesOf } from '../../xstate/components.ts'
import { hostLayout } from '../../xstate/host.ts'
import { fieldOffset, initMxcsr, XsaveImage } from '../../xstate/image.ts'
import { legacyFeatures, legacySize, minXsaveSize } from '../../xstate/layout.ts'
import type { CaseContext, Trial, TrialCase } from '../selftest.ts'
import { allowed, asStated, other, trialOf, unable } from './answer.ts'
import {
  type Guest,
  had,
  hex,
  kvmTrial,
  openDoor,
  randomState,
  read,
  refusedAsMeant,
  set,
  smallState,
  stateOf,
  tellAll,
  wentWell,
  xstateBvOf,
} from './kvm-door.ts'

const dynamic = maskOf(['xtiledata'])
const tiles = maskOf(['xtilecfg', 'xtiledata'])

/** What a VM says of its states beside what guests of its door may have. */
const sizeAsPermitted = (
  { vm, door, cpuid }: { vm: KvmVm; door: KvmDoor; cpuid: readonly CpuidEntry[] },
  { cpu }: CaseContext,
): string => {
  const size = had(vm.checkExtension(capXsave2))
  if (size === 0) throw unable('this KVM has no KVM_CAP_XSAVE2')
  const features = featuresOfCpuid(cpuid)
  if ((features & ~cpu.xcr0) !== 0n)
    throw other(`guests are offered ${hex(features)}, the host has ${hex(cpu.xcr0)}`)
  const { size: needed } = hostLayout(cpu, features | legacyFeatures)
  const least = Math.max(needed, smallState)
  // XTILECFG is permitted to all, but nothing to a guest without tile data.
  const withTileConfig = Math.max(hostLayout(cpu, (features | tiles) & cpu.xcr0 & ~dynamic).size, least)
  if (size !== least && size !== withTileConfig)
    throw other(`KVM_CAP_XSAVE2 is ${size}, guests may have ${hex(features)}: ${needed} bytes`)
  if (sizeOfCpuid(cpuid) !== needed)
    throw other(`CPUID leaf 0xD offers ${hex(features)} in ${sizeOfCpuid(cpuid)} bytes, which take ${needed}`)
  const ofDevice = had(door.checkExtension(capXsave2))
  if (ofDevice !== size) throw other(`KVM_CAP_XSAVE2 is ${ofDevice} of the device and ${size} of a VM`)
  return `KVM_CAP_XSAVE2 is ${size}, guests may have ${hex(features)}: ${needed} bytes`
}

export const coversGuests = kvmTrial(guest => asStated(sizeAsPermitted(guest, guest.context)))

/** KVM_X86_XCOMP_GUEST_SUPP beside the host, the permissions, and what guests are offered. */
export const tellsComponents = kvmTrial(({ door, cpuid, context }) => {
  const supported = had(door.guestSupported())
  const permitted = had(door.guestPermissions())
  const offered = featuresOfCpuid(cpuid)
  const text = `guests can have ${hex(supported)}, may have ${hex(permitted)}, are offered ${hex(offered)}`
  const beyond = supported & ~context.cpu.xcr0
  if (beyond !== 0n) throw other(`${text}; the host has no ${namesOf(beyond).join(' ')}`)
  const meant = supported & permitted
  if (offered !== meant && offered !== ((meant & dynamic) === 0n ? meant & ~tiles : meant)) throw other(text)
  return asStated(text)
})

/** Before Linux 5.17 there is KVM_GET_XSAVE alone. */
const hasXsave2 = ({ vm }: Guest): boolean => had(vm.checkExtension(capXsave2)) !== 0

export const writesWhatItSays = kvmTrial(guest => {
  const { vcpu } = guest
  tellAll(guest)
  set(guest, randomState(guest).bytes, 'a state')
  if (!hasXsave2(guest)) {
    const only = wentWell(vcpu.bytesWritten('getXsave'), 'the state')
    if (only !== smallState) throw other(`KVM_GET_XSAVE writes ${only} bytes, not ${smallState}`)
    return asStated(`KVM_GET_XSAVE writes ${only} bytes; this KVM has no KVM_GET_XSAVE2`)
  }
  const whole = wentWell(vcpu.bytesWritten('getXsave2'), 'the state')
  if (whole !== vcpu.xsaveBytes) throw other(`KVM_GET_XSAVE2 writes ${whole} bytes, not ${vcpu.xsaveBytes}`)
  if (vcpu.xsaveBytes > smallState) return asStated(`KVM_GET_XSAVE2 writes ${whole} bytes`)
  const small = wentWell(vcpu.bytesWritten('getXsave'), 'the state')
  if (small !== smallState) throw other(`KVM_GET_XSAVE writes ${small} bytes, not ${smallState}`)
  return asStated(`KVM_GET_XSAVE writes ${small} bytes, KVM_GET_XSAVE2 ${whole}`)
})

export const needsWholeBuffers = kvmTrial(guest => {
  const { vcpu } = guest
  tellAll(guest)
  const unchanged = watch(guest)
  const rooms = [0, 1, 463, legacySize, minXsaveSize, guest.layout.size, vcpu.xsaveBytes - 1]
  for (const what of ['getXsave', 'getXsave2', 'setXsave'] as const) {
    if (what === 'getXsave' && vcpu.xsaveBytes > smallState) continue
    if (what === 'getXsave2' && !hasXsave2(guest)) continue
    for (const room of rooms.filter(bytes => bytes < vcpu.xsaveBytes)) {
      const answer = vcpu.atGuard(what, room)
      if (answer.ok) throw other(`${what} takes a buffer of ${room} bytes`)
      if (answer.errno !== 'EFAULT') throw other(`a buffer of ${room} bytes: ${answer.text}`)
    }
    wentWell(vcpu.atGuard(what, vcpu.xsaveBytes), 'a buffer that ends where the state does')
    if (what !== 'setXsave') unchanged(what)
  }
  return refusedAsMeant(`EFAULT below ${vcpu.xsaveBytes} bytes`)
})

/** Sets a state, and gives a check that it is still there. */
const watch = (guest: Guest): ((after: string) => void) => {
  set(guest, randomState(guest, 5).bytes, 'a state')
  const before = read(guest)
  return after => {
    if (Buffer.compare(read(guest), before) !== 0) throw other(`after ${after} the state is another`)
  }
}

/** The host's features at 464, as KVM_GET_XSAVE has them, and nothing else up to 512. */
export const tellsFeatures = kvmTrial(guest => {
  const { context } = guest
  const look = (): void => {
    const bytes = read(guest)
    const told = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(swXfeatures, true)
    if (told !== context.cpu.xcr0) throw other(`${hex(told)} at 464, not ${hex(context.cpu.xcr0)}`)
    if (bytes.subarray(swXfeatures + 8, legacySize).some(byte => byte !== 0))
      throw other('there is more between 472 and 512')
  }
  look()
  const image = randomState(guest)
  image.bytes.fill(0xff, swXfeatures, legacySize)
  set(guest, image.bytes, 'a state with other sw bytes')
  look()
  return asStated(`${hex(context.cpu.xcr0)} at 464, whatever was set there`)
})

const swXfeatures = 464

interface Bad {
  readonly name: string
  readonly change: (image: XsaveImage) => void
}

/** States that are to be refused, each in a vCPU whose state is watched. */
const refuses = (
  bads: (guest: Guest) => readonly Bad[],
  summary: (count: number, guest: Guest) => string,
): TrialCase['trial'] =>
  kvmTrial(guest => {
    tellAll(guest)
    const unchanged = watch(guest)
    const all = bads(guest)
    if (all.length === 0) throw unable(summary(0, guest))
    const good = randomState(guest)
    for (const { name, change } of all) {
      const image = good.clone()
      change(image)
      const answer = guest.vcpu.setXsave(stateOf(guest, image.bytes))
      if (answer.ok) throw other(`${name} is taken`)
      if (answer.errno !== 'EINVAL') throw other(`${name}: ${answer.text}`)
      unchanged(name)
    }
    return refusedAsMeant(summary(all.length, guest))
  })

const supervisor = components.reduce((mask, one) => (one.kind === 'supervisor' ? mask | one.mask : mask), 0n)

/** Each bit of a mask, once alone and once along with everything. */
const bitsOf = (mask: bigint): Bad[] =>
  namesOf(mask).flatMap(name => [
    { name: `${name} alone`, change: image => (image.xstateBv = maskOf([name])) },
    { name, change: image => (image.xstateBv |= maskOf([name])) },
  ])

const all64 = (1n << 64n) - 1n

export const refusesUnsupported = refuses(
  ({ features }) => bitsOf(all64 & ~features & ~supervisor & ~tiles),
  count => `EINVAL for ${count / 2} bits, each alone and with all others`,
)

export const refusesSupervisor = refuses(
  ({ features }) => bitsOf(supervisor & ~features),
  (_, { features }) => `EINVAL for ${namesOf(supervisor & ~features).join(' ')}`,
)

export const refusesTiles = refuses(
  ({ door, features }) => bitsOf(had(door.guestSupported()) & dynamic & ~features),
  count => (count === 0 ? 'this KVM has no tiles that take a permission' : 'EINVAL for tile data'),
)

export const refusesXcompBv = refuses(
  () => [
    { name: 'the compacted format', change: image => (image.xcompBv = (1n << 63n) | image.xstateBv) },
    { name: 'bit 63 alone', change: image => (image.xcompBv = 1n << 63n) },
    { name: 'bit 0', change: image => (image.xcompBv = 1n) },
    {
      name: 'bit 63 over nothing',
      change: image => {
        image.xstateBv = 0n
        image.xcompBv = 1n << 63n
      },
    },
  ],
  count => `EINVAL for ${count} values of XCOMP_BV`,
)

export const refusesReserved = refuses(
  () =>
    Array.from({ length: minXsaveSize - fieldOffset.reserved }, (_, i) => fieldOffset.reserved + i).map(
      at => ({
        name: `byte ${at}`,
        change: image => (image.bytes[at] = 1),
      }),
    ),
  count => `EINVAL for each of ${count} bytes`,
)

/** Bit 16 up: no CPU has them (SDM volume 1, 10.2.3). */
const reservedMxcsr = 1 << 16

export const refusesMxcsr = refuses(
  ({ layout }) =>
    (['x87', 'sse', 'avx'] as const)
      .filter(name => layout.has(name))
      .flatMap(name =>
        [reservedMxcsr, 0x8000_0000].map(bit => ({
          name: `MXCSR with ${hex(bit)} and ${name} alone`,
          change: image => {
            image.mxcsr = (image.mxcsr | bit) >>> 0
            image.xstateBv = maskOf([name])
          },
        })),
      ),
  count => `EINVAL for ${count} forms`,
)

/** Nobody looks at it where nothing is set that it goes with. */
export const ignoresMxcsr = kvmTrial(guest => {
  const { layout, features } = guest
  tellAll(guest)
  const rest = features & ~maskOf(['x87', 'sse', 'avx'])
  for (const xstateBv of rest === 0n ? [0n] : [0n, rest]) {
    const image = randomState(guest)
    image.mxcsr = 0xffff_ffff
    image.xstateBv = xstateBv
    set(guest, image.bytes, `MXCSR 0xffffffff with XSTATE_BV ${hex(xstateBv)}`)
    const seen = read(guest)
    const { mxcsr } = new XsaveImage(seen.slice(0, layout.size), layout)
    if (mxcsr !== initMxcsr) throw other(`MXCSR is ${hex(mxcsr)} afterwards`)
    if (xstateBvOf(seen) !== xstateBv) throw other(`XSTATE_BV is ${hex(xstateBvOf(seen))} afterwards`)
  }
  return asStated('MXCSR 0xffffffff is not looked at, and not kept')
})

/** SDM volume 4: the MSRs of CET_U, which are in that component while a guest does not run. */
const cetMsrs = [
  { name: 'U_CET', index: 0x6a0, value: 1n },
  { name: 'PL3_SSP', index: 0x6a7, value: 0x1000n },
] as const

/** CPUID.(7,0): ECX bit 7, EDX bit 20. */
const hasCet = (cpuid: readonly CpuidEntry[]): boolean =>
  cpuid.some(
    ({ function: leaf, index, ecx, edx }) => leaf === 7 && index === 0 && ((ecx >> 7) & 1 || (edx >> 20) & 1),
  )

/** Puts state into a supervisor component, where guests have one. @returns a check that it is still there */
const putSupervisor = ({ vcpu, cpuid }: Guest): { readonly text: string; readonly check: () => void } => {
  const put = hasCet(cpuid)
    ? cetMsrs.filter(({ index, value }) => wentWell(vcpu.setMsr(index, value), 'a CET register'))
    : []
  const check = (): void => {
    for (const { name, index, value } of put) {
      const now = wentWell(vcpu.getMsr(index), name)
      if (now !== value) throw other(`${name} is ${now === null ? 'gone' : hex(now)} after KVM_SET_XSAVE`)
    }
  }
  const text =
    put.length === 0
      ? 'this KVM has no CET for guests'
      : `with ${put.map(({ name }) => name).join(' and ')} set`
  return { text, check }
}

/** With state in the supervisor components where guests have some: nothing of it is read, nothing of it set. */
export const keepsSupervisor = kvmTrial(guest => {
  const { layout, features } = guest
  tellAll(guest)
  const { text, check } = putSupervisor(guest)
  for (const image of [randomState(guest), new XsaveImage(emptyState(layout.size), layout)]) {
    set(guest, image.bytes, 'a state')
    check()
    const seen = read(guest)
    const out = xstateBvOf(seen) & ~features
    if (out !== 0n) throw other(`${namesOf(out).join(' ')} in XSTATE_BV, ${text}`)
    const covered = new Uint8Array(seen.length)
    covered.fill(1, 0, minXsaveSize)
    for (const { offset, end } of layout.extended) covered.fill(1, offset, end)
    const stray = seen.findIndex((byte, i) => byte !== 0 && covered[i] === 0)
    if (stray >= 0) throw other(`byte ${stray}, of no component, is ${hex(seen[stray] as number)}, ${text}`)
  }
  return asStated(`only user components came out; ${text}`)
})

const emptyState = (bytes: number): Uint8Array => {
  const state = new Uint8Array(bytes)
  new DataView(state.buffer).setUint32(fieldOffset.mxcsr, initMxcsr, true)
  return state
}

/** After the session's first virtual CPU. */
export const permissionIsLate = kvmTrial(({ door }) => {
  const before = had(door.guestPermissions())
  if ((before & dynamic) !== 0n) throw unable('guests have tiles without asking')
  const answer = door.requestGuestPermission('xtiledata')
  if (answer.ok) throw other('it is given')
  allowed(answer.errno, answer.call)
  if (answer.errno !== 'EBUSY') throw other(answer.text)
  const after = had(door.guestPermissions())
  if (after !== before) throw other(`guests may have ${hex(after)} then, ${hex(before)} before`)
  return refusedAsMeant(answer.text)
})

/** A door that has had no virtual CPU, closed when it was looked at. */
const atFreshDoor =
  (steps: (door: KvmDoor, context: CaseContext) => Trial): TrialCase['trial'] =>
  (probe, context) =>
    trialOf(() => {
      const door = openDoor()
      try {
        return steps(door, context)
      } finally {
        door.closeSync()
      }
    })(probe, context)

const givePermission = (door: KvmDoor): { readonly own: bigint; readonly guests: bigint } => {
  const own = had(door.permissions())
  const before = had(door.guestPermissions())
  wentWell(door.requestGuestPermission('xtiledata'), 'before the first virtual CPU')
  const guests = had(door.guestPermissions())
  if (guests !== (before | dynamic)) throw other(`guests may have ${hex(guests)} then, ${hex(before)} before`)
  const ownNow = had(door.permissions())
  if (ownNow !== own) throw other(`the process itself may have ${hex(ownNow)} then, ${hex(own)} before`)
  return { own, guests }
}

/** The permission as KVM sees it: what guests are offered, and how large their states are. */
export const permissionIsForGuests = atFreshDoor((door, context) => {
  const { own, guests } = givePermission(door)
  const cpuid = had(door.getSupportedCpuid())
  const vm = had(door.createVm())
  const size = sizeAsPermitted({ vm, door, cpuid }, context)
  const offered = (featuresOfCpuid(cpuid) & dynamic) !== 0n
  const text = offered ? '' : '; this KVM has no tiles for guests all the same'
  return asStated(`guests may have ${hex(guests)}, the process ${hex(own)}; ${size}${text}`)
})

/** A state that is larger than struct kvm_xsave. */
export const getXsaveIsSmall = atFreshDoor(door => {
  givePermission(door)
  const vcpu = had(had(door.createVm()).createVcpu())
  if (vcpu.xsaveBytes <= smallState)
    throw unable(`the states of this KVM have ${vcpu.xsaveBytes} bytes, with all permissions`)
  const answer = vcpu.getXsave()
  if (answer.ok) throw other(`it reads the first 4096 of ${vcpu.xsaveBytes} bytes`)
  if (answer.errno !== 'EINVAL') throw other(answer.text)
  wentWell(vcpu.getXsave2(), 'the whole state')
  return refusedAsMeant(`${answer.text} for a state of ${vcpu.xsaveBytes} bytes`)
})

/** A guest that is told of tiles. */
export const cpuidNeedsPermission = kvmTrial(({ vcpu, cpuid, door }) => {
  if ((had(door.guestPermissions()) & dynamic) !== 0n) throw unable('guests have tiles without asking')
  const answer = vcpu.setCpuid2(withFeatures(cpuid, featuresOfCpuid(cpuid) | tiles))
  if (answer.ok) throw other('the guest is told of tiles')
  if (answer.errno !== 'EPERM') throw other(answer.text)
  return refusedAsMeant(answer.text)
})
