/** A process that stands for an emulator, from its start to its end. */
import { getEventListeners } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Limits, type Watched, watchMachine } from '../../lib/vm/watch.ts'
import { eventually } from '../probe/support.ts'
import { isAlive, launchOf, pidIn } from './fake.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-watch-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const patient: Limits = { bootSeconds: 60, seconds: 60, silence: 60 }

interface Watch {
  readonly limits?: Partial<Limits>
  readonly signal?: AbortSignal
  readonly onLine?: (line: string) => void
}

const watch = (
  script: string,
  { limits = {}, signal, onLine = () => undefined }: Watch = {},
): Promise<Watched> =>
  watchMachine(
    launchOf(folder, script),
    { ...patient, ...limits },
    onLine,
    signal ?? new AbortController().signal,
  )

const pidFile = (): string => join(folder, 'pid')

describe.skipIf(process.platform === 'win32')('a machine', () => {
  test('is read to its end: both ports, what the emulator said, and how it ended', async () => {
    const lines: string[] = []
    const watched = await watch(
      'console a; data "boot 1 x"; data "start 2"; data cut; printf rest >> "$DATA"; echo oh >&2; exit 3',
      {
        onLine: line => lines.push(line),
      },
    )
    expect(watched).toMatchObject({
      console: 'a\n',
      data: 'boot 1 x\nstart 2\ncut\nrest',
      errors: 'oh\n',
      code: 3,
      signal: null,
      cut: null,
      failed: null,
    })
    expect(lines).toEqual(['boot 1 x', 'start 2', 'cut'])
    expect(watched.bootMs).not.toBeNull()
    expect(watched.durationMs).toBeGreaterThanOrEqual(watched.bootMs as number)
  })

  test('that writes nothing and makes no files', async () => {
    expect(await watch('rm "$CONSOLE" "$DATA"')).toMatchObject({
      console: '',
      data: '',
      code: 0,
      cut: null,
      bootMs: null,
      consoleBefore: null,
    })
  })

  test('that is killed', async () => {
    expect(await watch('kill -SEGV $$')).toMatchObject({
      code: null,
      signal: 'SIGSEGV',
      cut: null,
      failed: null,
    })
  })

  test('what was on the console before the run began', async () => {
    // The first look comes after a tenth of a second at the soonest.
    const { console, consoleBefore } = await watch(
      'console boots; data "boot 1 x"; data "start 2"; sleep 1.5; console runs',
    )
    expect(console.slice(0, consoleBefore as number)).toBe('boots\n')
  })

  test('a line is told once it is whole', async () => {
    const lines: string[] = []
    await watch(
      'printf "case 1 " >> "$DATA"; sleep 0.4; printf "a\\nca" >> "$DATA"; sleep 0.4; data "se 2 b"',
      {
        onLine: line => lines.push(line),
      },
    )
    expect(lines).toEqual(['case 1 a', 'case 2 b'])
  })

  test.each<[string, string, Partial<Limits>, Watched['cut']]>([
    ['does not come to PID 1', 'console a; exec sleep 60', { bootSeconds: 1 }, 'time'],
    ['falls silent', 'console a; data "boot 1 x"; exec sleep 60', { silence: 1 }, 'silence'],
    [
      'writes on its console alone',
      'data "boot 1 x"; while :; do console a; sleep 0.1; done',
      { silence: 1 },
      'silence',
    ],
    ['ignores what asks it to end', 'trap "" TERM INT HUP; exec sleep 60', { bootSeconds: 1 }, 'time'],
  ])('that %s is ended', async (_, script, limits, cut) => {
    const watched = await watch(script, { limits })
    expect(watched).toMatchObject({ cut, signal: 'SIGKILL', failed: null })
    expect(isAlive(pidIn(pidFile()) as number)).toBe(false)
  })

  test.each(['CONSOLE', 'DATA'])(
    'that writes without end to %s is ended, and no more is kept than may be',
    async port => {
      const watched = await watch(`data "boot 1 x"; exec yes 'so it goes on and on and on' >> "$${port}"`)
      expect(watched.cut).toBe('output')
      expect(watched.console.length + watched.data.length).toBeLessThan(34 << 20)
      expect(isAlive(pidIn(pidFile()) as number)).toBe(false)
    },
  )

  test('is ended with all that it started, and what holds its pipes is not waited for', async () => {
    const other = join(folder, 'other')
    const watched = await watch(`sh -c 'echo $$ > "${other}"; exec sleep 60' & console a; wait`, {
      limits: { bootSeconds: 2 },
    })
    expect(watched).toMatchObject({ cut: 'time', signal: 'SIGKILL' })
    const pid = pidIn(other) as number
    expect(pid).toBeGreaterThan(0)
    expect(await eventually(() => !isAlive(pid))).toBe(true)
  })

  test('that ends and leaves something behind is not waited for, and nothing is left', async () => {
    const other = join(folder, 'other')
    const script = `sh -c 'echo $$ > "${other}"; exec sleep 60' & while [ ! -s "${other}" ]; do sleep 0.05; done; exit 5`
    expect(await watch(script)).toMatchObject({ code: 5, cut: null })
    expect(await eventually(() => !isAlive(pidIn(other) as number))).toBe(true)
  })

  test('over the console alone is heard, too', async () => {
    const lines: string[] = []
    const watched = await watch(
      'rm "$DATA"; console early; console "sigframe: boot 1 x"; console "sigframe: start 2"; console other; exec sleep 60',
      { limits: { silence: 1 }, onLine: line => lines.push(line) },
    )
    expect(watched).toMatchObject({ cut: 'silence' })
    expect(watched.bootMs).not.toBeNull()
    expect(watched.consoleBefore).not.toBeNull()
    expect(lines).toEqual(['boot 1 x', 'start 2'])
  })

  test('that says its end and stays is ended as if it were off', async () => {
    expect(await watch('data "boot 1 x"; data end; exec sleep 60', { limits: { silence: 1 } })).toMatchObject(
      {
        code: 0,
        signal: null,
        cut: null,
      },
    )
    expect(isAlive(pidIn(pidFile()) as number)).toBe(false)
  })

  test('that says much about itself: the beginning is kept', async () => {
    const { errors, code } = await watch('head -c 3000000 /dev/zero | tr "\\0" x >&2')
    expect(code).toBe(0)
    expect(errors).toMatch(/^x+$/)
    expect(errors.length).toBeLessThan(1 << 20)
  })

  test('of a program that is not there', async () => {
    const launch = { ...launchOf(folder, ''), command: join(folder, 'nosuch') }
    const watched = await watchMachine(launch, patient, () => undefined, new AbortController().signal)
    expect(watched.console + watched.data).toBe('')
    expect(watched.cut).toBeNull()
    // setpriv, where it is, says it in its place.
    expect(`${watched.failed} ${watched.errors}`).toMatch(/nosuch.*(ENOENT|No such file)/)
    expect(watched.code === 0 && watched.failed === null).toBe(false)
  })
})

describe('Ctrl-C', () => {
  test('in the middle: the process is gone, what was written is kept', async () => {
    const stop = new AbortController()
    const watching = watch('console a; data "boot 1 x"; exec sleep 60', {
      signal: stop.signal,
      onLine: () => stop.abort(),
    })
    expect(await watching).toMatchObject({ cut: 'interrupt', console: 'a\n', data: 'boot 1 x\n' })
    expect(isAlive(pidIn(pidFile()) as number)).toBe(false)
  })

  test('before it began', async () => {
    expect(await watch('exec sleep 60', { signal: AbortSignal.abort() })).toMatchObject({ cut: 'interrupt' })
    const pid = pidIn(pidFile())
    expect(pid === undefined || !isAlive(pid)).toBe(true)
  })

  test('leaves no listener and no descriptor', async () => {
    const stop = new AbortController()
    const before = readdirSync('/proc/self/fd').length
    await watch('data a', { signal: stop.signal })
    expect(getEventListeners(stop.signal, 'abort')).toEqual([])
    expect(await eventually(() => readdirSync('/proc/self/fd').length <= before)).toBe(true)
  })
})
