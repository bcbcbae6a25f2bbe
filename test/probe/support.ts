import { onTestFinished, type TestContext } from 'vitest'
import { loadNative, nativeProblem } from '../../lib/native.ts'
import type { Returned, Seen, Signalled } from '../../lib/probe/result.ts'
import { type OpenOptions, openSync, type Probe } from '../../lib/probe/session.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import type { Layout } from '../../lib/xstate/layout.ts'

/** Elsewhere there is nothing to probe. On x86-64 Linux a missing addon is a failure, no reason to skip. */
export const needsProbes = (ctx: TestContext): void => {
  if (process.platform === 'linux' && process.arch === 'x64') loadNative()
  else ctx.skip(nativeProblem())
}

/** A session that ends with the test. Tests that run beside others give their context. */
export const session = (
  options?: OpenOptions,
  ctx: Pick<TestContext, 'onTestFinished'> = { onTestFinished },
): Probe => {
  const probe = openSync(options)
  ctx.onTestFinished(() => probe.close())
  return probe
}

/** Fails unless the frame came back. */
export const returned = (seen: Seen): Returned => {
  if (seen.kind !== 'returned') throw new Error(`expected a probe that returned, not: ${describe(seen)}`)
  return seen
}

/** Fails unless the probe has images: it came back, or the kernel answered its return with a signal. */
export const recorded = (seen: Seen): Returned | Signalled => {
  if (seen.kind === 'returned' || (seen.kind === 'signal' && seen.where === 'sigreturn')) return seen
  throw new Error(`expected a probe with images, not: ${describe(seen)}`)
}

/** A result in one line. */
export const describe = (seen: Seen): string => {
  const { kind, where, signal, siCode, code } = seen as unknown as Record<string, unknown>
  return Object.entries({ kind, where, signal, siCode, code })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ')
}

/**
 * Beyond the legacy region, where a frame says what becomes of a component. Not PKRU: where the kernel clears state
 * it gives PKRU its own default, not the init value.
 */
export const plainExtended = (layout: Layout): ComponentName[] =>
  layout.extended.map(({ name }) => name).filter(name => name !== 'pkru')

/** Waits in small steps until it holds. @returns whether it did within the bound */
export const eventually = async (holds: () => boolean, boundMs = 10_000): Promise<boolean> => {
  for (let waited = 0; waited < boundMs; waited += 5) {
    if (holds()) return true
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return holds()
}
