/** The lane of virtual CPUs: their states are set and read, over and over. */
import { openKvm } from '../neighbours/kvm/open.ts'
import type { PreparedXsave } from '../neighbours/kvm/process.ts'
import type { KvmVcpu } from '../neighbours/kvm/vcpu.ts'
import type { Probe } from '../probe/session.ts'
import { diffComponents } from '../xstate/compare.ts'
import { hostLayout } from '../xstate/host.ts'
import type { XsaveImage } from '../xstate/image.ts'
import { type Layout, legacyFeatures } from '../xstate/layout.ts'
import { randomImage } from '../xstate/random.ts'
import { BenchError, type Lane } from './lane.ts'

/** Looking at the registers takes longer than a call: of so many, one is looked at. */
const sampled = 1024

interface Ready {
  readonly vcpu: KvmVcpu
  readonly layout: Layout
  readonly image: XsaveImage
  readonly state: PreparedXsave
}

/** A virtual CPU that knows all that it has; null where there is no KVM, or it does without such states. */
const ready = (probe: Probe): Ready | null => {
  const opened = openKvm()
  if (!opened.ok) return null
  const door = opened.value
  probe.closeToo(() => door.close())
  const cpuid = door.getSupportedCpuid()
  const supported = door.guestSupported()
  const permitted = door.guestPermissions()
  const vm = door.createVm()
  if (!cpuid.ok || !supported.ok || !permitted.ok || !vm.ok) return null
  const vcpu = vm.value.createVcpu()
  if (!vcpu.ok || !vcpu.value.setCpuid2(cpuid.value).ok) return null
  const tiles = 3n << 17n
  const layout = hostLayout(probe.cpu, (supported.value & permitted.value & ~tiles) | legacyFeatures)
  const image = randomImage(layout, { seed: 7 })
  const bytes = new Uint8Array(vcpu.value.xsaveBytes)
  bytes.set(image.bytes)
  const state = vcpu.value.prepareXsave(bytes)
  return vcpu.value.setXsave(state).ok ? { vcpu: vcpu.value, layout, image, state } : null
}

const orThrow = <T>(
  answer: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly text: string },
): T => {
  if (answer.ok) return answer.value
  throw new BenchError(`bench: KVM states: ${answer.text}`)
}

/** None where there is no KVM. */
export const kvmLanes = (probe: Probe): Lane[] => {
  if (!probe.layout.xsave) return []
  const found = ready(probe)
  if (found === null) return []
  const { vcpu, layout, image, state } = found
  let states: PreparedXsave[] = []
  return [
    {
      name: 'KVM states',
      wanted: { ratio: 0.8 },
      weight: 4,
      run: count => {
        if (states.length !== count) states = new Array<PreparedXsave>(count).fill(state)
        orThrow(
          vcpu.roundTrips(states, ({ ok, bytes }, i) => {
            const lost = ok && i % sampled === 0 ? diffComponents(bytes, image.bytes, layout) : []
            if (!ok || lost.length > 0)
              throw new BenchError(
                `bench: KVM states: state ${i}: ${ok ? `${lost.join(' ')} not as set` : 'a call failed'}`,
              )
          }),
        )
      },
      against: [{ name: 'plain', run: count => orThrow(vcpu.plainLoop(state, count)) }],
    },
  ]
}
