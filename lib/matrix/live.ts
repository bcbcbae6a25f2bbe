/** Sending the frames of a matrix where this host is their destination. */
import { release } from 'node:os'
import { liveOracle } from '../foreign/expect.ts'
import { returningFrom } from '../foreign/replay.ts'
import { fingerprintKernel } from '../harness/host.ts'
import { type Host, isEmulated, titleOfCpu } from '../hosts/host.ts'
import { open, type Probe, permissible } from '../probe/session.ts'
import type { ComponentName } from '../xstate/components.ts'
import { isLike, type Sender } from './create.ts'
import type { PairMatrix } from './matrix.ts'
import { senderOf } from './sender.ts'

/** What is at hand, until it is closed. */
export interface Live {
  /** This host, and this host as a task with all permissions sees it, where that differs. */
  readonly hosts: readonly Host[]
  /** For each of the hosts. */
  readonly senders: readonly Sender[]
  readonly kernel: NonNullable<PairMatrix['kernel']>
  readonly close: () => Promise<void>
}

const hostOf = ({ cpu, layout }: Probe, { destination, generation }: Sender, name: string): Host => ({
  name,
  kind: 'this host',
  title: titleOfCpu(cpu),
  layout,
  compacts: destination.task.compacts,
  emulated: isEmulated(cpu),
  generation,
})

/** What may be asked for here and is not given unasked: AMX tiles. */
const permissionsOf = ({ cpu, layout }: Probe): ComponentName[] =>
  permissible(cpu).filter(name => !layout.has(name))

const openWith = async (permissions: readonly ComponentName[]): Promise<Probe | null> => {
  try {
    return await open({ permissions })
  } catch {
    // The kernel has refused: then there are no such tasks here.
    return null
  }
}

/** @throws NativeUnavailableError where nothing can be probed */
export const openLive = async (): Promise<Live> => {
  const probe = await open()
  const probes = [probe]
  const close = async (): Promise<void> => {
    for (const one of probes) await one.close()
  }
  try {
    const { evidence, generation } = fingerprintKernel(probe)
    const told = evidence.length > 0 ? generation.id : null
    const permissions = permissionsOf(probe)
    const larger = permissions.length > 0 ? await openWith(permissions) : null
    if (larger !== null) probes.push(larger)
    const senders = probes.map(one => senderOf(returningFrom(one, told), told, liveOracle(one)))
    const hosts = probes.map((one, i) =>
      hostOf(one, senders[i] as Sender, i === 0 ? 'this host' : `this host with ${permissions.join(' ')}`),
    )
    return { hosts, senders, kernel: { release: release(), generation: told }, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Those of this host that no other host of the list is like. */
export const addedBy = (
  { hosts, senders }: Pick<Live, 'hosts' | 'senders'>,
  others: readonly Host[],
): Host[] => hosts.filter((_, i) => !others.some(other => isLike(senders[i] as Sender, other)))
