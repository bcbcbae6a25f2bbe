/** However Node ends, and whatever its session is doing then: nothing is left behind, and nothing holds it up. */
import { beforeEach, describe, expect, it } from 'vitest'
import { node } from './child.ts'
import { isOver } from './procfs.ts'
import { eventually, needsProbes } from './support.ts'

beforeEach(needsProbes)

type State = 'idle' | 'live' | 'sync' | 'async'

const probes = ['probe answers', 'probe stopped'] as const

/** Every state, with a probe process that answers and with one that does not. */
const every = <Way extends string>(states: readonly State[], ways: readonly Way[]) =>
  states.flatMap(state => ways.flatMap(way => probes.map(probe => [state, way, probe] as const)))

const name = '%s, %s, %s'
const stopping = (how: (typeof probes)[number]): string[] => (how === 'probe stopped' ? ['stopped'] : [])

describe.concurrent('a Node process that ends by itself', () => {
  const ways = ['return', 'exit', 'throw', 'reject'] as const
  it.each([...every(['idle', 'async'], ways), ...every(['live'], ways.slice(0, 3))])(
    name,
    async (state, how, answer) => {
      const child = node('end.mjs', [state, how, ...stopping(answer)])
      const probe = Number(await child.line('probe'))
      await child.line(`in ${state}`)
      const { code, signal, stderr } = await child.ended
      expect({ code, signal }).toEqual({
        code: { return: 0, exit: 7, throw: 1, reject: 1 }[how],
        signal: null,
      })
      // What Node says of itself when it aborts or leaks is no exit code.
      expect(stderr).not.toMatch(/FATAL ERROR|Assertion|Warning:/)
      expect(await eventually(() => isOver(probe))).toBe(true)
    },
  )
})

describe.concurrent('a Node process that is ended', () => {
  it.each(every(['idle', 'live', 'sync', 'async'], ['SIGINT', 'SIGTERM', 'SIGKILL']))(
    name,
    async (state, signal, answer) => {
      // In a group of its own, as a terminal's foreground job is.
      const child = node('end.mjs', [state, 'wait', ...stopping(answer)], { detached: true })
      const probe = Number(await child.line('probe'))
      await child.line(`in ${state}`)
      // Ctrl-C goes to the whole group, of which the probe process must not be.
      process.kill(signal === 'SIGINT' ? -child.pid : child.pid, signal)
      expect(await child.ended).toMatchObject({ code: null, signal })
      expect(await eventually(() => isOver(probe))).toBe(true)
    },
  )
})

describe('Ctrl-C', () => {
  it('does not reach the probe process where Node handles it', async () => {
    const child = node('interrupted.mjs', [], { detached: true })
    await child.line('ready')
    process.kill(-child.pid, 'SIGINT')
    await child.line('interrupted')
    expect(await child.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('returned') })
  })
})
