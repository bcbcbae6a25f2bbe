import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { onTestFinished, type TestContext } from 'vitest'
import { loadNative, nativeProblem, probePath } from '../../lib/native.ts'
import type { ArenaShape, NativeSession } from '../../lib/native-types.ts'

/** Elsewhere there is no addon. On x86-64 Linux a missing one is a failure, no reason to skip. */
export const needsAddon = (ctx: TestContext): void => {
  if (process.platform === 'linux' && process.arch === 'x64') loadNative()
  else ctx.skip(nativeProblem())
}

/** Room for any host's frames, and little else. */
export const shape: ArenaShape = {
  stackBytes: 128 * 1024,
  headroom: 32 * 1024,
  spareBytes: 64 * 1024,
  dataBytes: 256 * 1024,
  permissions: 0n,
}

/** A native session that ends with the test. */
export const nativeSession = (): NativeSession => {
  const made = new (loadNative().Session)(probePath(), shape)
  onTestFinished(() => {
    made.close()
  })
  return made
}

/** Names of the codes that a wait ends with. */
export const waitedName = (code: number): string => {
  const { arena } = loadNative()
  const found = Object.entries(arena).find(([name, value]) => name.startsWith('Waited.') && value === code)
  return found?.[0].slice('Waited.'.length) ?? `unknown ${code}`
}

/** Children of this process, by state: what is left over is a zombie or a probe process. */
export const children = (): string[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        const [state, parent] = stat.split(') ').at(-1)!.split(' ')
        return Number(parent) === process.pid ? [`${stat.split(')')[0]!.split('(')[1]} ${state}`] : []
      } catch {
        return []
      }
    })

/** What is open in this process, without what Node itself opens and closes. */
export const descriptors = (): string[] =>
  readdirSync('/proc/self/fd')
    .flatMap(fd => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        return []
      }
    })
    .filter(what => !what.startsWith('socket:') && !what.startsWith('/proc'))
    .sort()
