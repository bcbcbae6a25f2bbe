/** The sessions that a run needs, and the cases that each of them can have. */
import { type OpenOptions, openSync, type Probe, permissible } from '../probe/session.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { HostCpu } from '../xstate/host.ts'
import {
  type PlannedCase,
  type PlanSession,
  planCases,
  planLacking,
  planLackingAbis,
  planWithoutXsave,
  type SkippedCase,
} from './plan.ts'
import type { Selftest } from './selftest.ts'
import { traitsOf } from './task.ts'

/** The sessions of a run: the plain one, and one with each permission that the host's kernel can give. */
export class Sessions {
  readonly #open = new Map<string, Probe | string>()

  /** The session, or why there is none. */
  get(permissions: readonly ComponentName[]): Probe | string {
    const key = permissions.join('+')
    const known = this.#open.get(key)
    if (known !== undefined) return known
    const opened = this.#try({ permissions })
    this.#open.set(key, opened)
    return opened
  }

  #try(options: OpenOptions): Probe | string {
    if (options.permissions?.length === 0) return openSync(options)
    try {
      return openSync(options)
    } catch (error) {
      // Whoever runs us may be refused what the kernel gives others.
      return (error as Error).message
    }
  }

  async close(): Promise<void> {
    for (const session of this.#open.values()) if (typeof session !== 'string') await session.close()
  }
}

interface Plan {
  readonly cases: readonly (PlannedCase | SkippedCase)[]
}

const planSession = (probe: Probe, permissions: readonly ComponentName[], long: boolean): PlanSession => ({
  layout: probe.layout,
  expected: probe.expected,
  limits: probe.limits,
  cpu: probe.cpu,
  traits: traitsOf(probe),
  permissions,
  long,
  lack: abi => probe.lack(abi),
})

/** @param long whether cases that take long are wanted */
export const planAll = (
  selftests: readonly Selftest[],
  sessions: Sessions,
  cpu: HostCpu,
  long: boolean,
): Plan => {
  const plain = sessions.get([]) as Probe
  if (!plain.layout.xsave)
    return {
      cases: selftests.flatMap(one =>
        one.withoutXsave === true ? planCases(one, planSession(plain, [], long)) : planWithoutXsave(one),
      ),
    }
  const permitted = permissible(cpu)
  const more = permitted.length === 0 ? null : sessions.get(permitted)
  const has = new Set(plain.layout.extended.map(({ name }) => name))
  if (more !== null && typeof more !== 'string') {
    for (const name of permitted) if (more.layout.has(name)) has.add(name)
  }
  const cases = selftests.flatMap(one => [
    ...planCases(one, planSession(plain, [], long)),
    ...planLackingAbis(one, abi => plain.lack(abi)),
    ...(more === null || typeof more === 'string' ? [] : planCases(one, planSession(more, permitted, long))),
    ...planLacking(one, cpu, plain.expected, has).map(skip =>
      typeof more === 'string' && permitted.includes(skip.components[0] as ComponentName)
        ? { ...skip, reason: `its permission was refused: ${more}` }
        : skip,
    ),
  ])
  return { cases }
}
