import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { fetchKernel, listKernels } from '../../../lib/vm/kernels/debian.ts'
import { resolveKernel } from '../../../lib/vm/kernels/resolve.ts'
import { cachedKernels, storeFolder } from '../../../lib/vm/kernels/store.ts'
import { type FakeDebian, fakeDebian, kernel61, kernel72 } from './fake-debian.ts'
import { until } from './until.ts'

let debian: FakeDebian
beforeEach(() => {
  debian = fakeDebian()
  for (const [name, value] of Object.entries(debian.env)) vi.stubEnv(name, value)
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  debian.remove()
})

const updates = (calls: readonly string[]): number => calls.filter(call => call.startsWith('update')).length
const stored = (): readonly string[] => (existsSync(storeFolder()) ? readdirSync(storeFolder()).sort() : [])
const failing = async (work: Promise<unknown>): Promise<Error & { problem?: string }> =>
  await work.then(
    () => {
      throw new Error('it did not fail')
    },
    error => error,
  )
const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return true
  }
}

describe('a kernel is fetched', () => {
  test('whole, with its configuration, and lies where debian:VERSION finds it', async () => {
    const progress: string[] = []
    const kernel = await fetchKernel('7.2', { onProgress: text => progress.push(text) })
    const folder = join(debian.cache, 'kernels', 'debian', '7.2.12')
    expect(kernel).toMatchObject({
      version: '7.2.12',
      flavour: 'cloud',
      package: kernel72.name,
      packageVersion: '7.2.12-1',
      suite: 'trixie',
      path: join(folder, 'vmlinuz'),
      config: join(folder, 'config'),
      fetched: true,
    })
    expect(readFileSync(kernel.path)).toEqual(readFileSync(join(debian.folder, 'vmlinuz')))
    expect(readFileSync(join(folder, 'config'), 'utf8')).toBe('CONFIG_X86=y\n')
    expect(readdirSync(folder).sort()).toEqual(['config', 'package.json', 'vmlinuz'])
    expect(stored()).toEqual(['7.2.12'])
    expect(progress.at(-1)).toBe('debian:7.2.12: fetching')
    expect(await resolveKernel('debian:7.2')).toMatchObject({
      name: 'debian:7.2.12',
      path: kernel.path,
      image: { release: '7.2.12+test-amd64', bits64: true },
    })
  })

  test('in exactly that version of its package, from the suites that answered', async () => {
    await fetchKernel('6.1')
    const calls = debian.calls()
    expect(calls.filter(call => !call.startsWith('ask'))).toEqual([
      'update trixie trixie-backports',
      `download ${kernel61.name}=${kernel61.version}`,
      `unpack ${kernel61.name}_amd64.deb`,
    ])
    expect(calls[0]).toBe('ask trixie')
  })

  test('once: what is there is not fetched again, and an exact version asks nobody', async () => {
    await fetchKernel('7.2')
    debian.calls()
    expect(await fetchKernel('7.2')).toMatchObject({ version: '7.2.12', fetched: false })
    expect(debian.calls()).toEqual([])
    vi.stubEnv('PATH', '')
    expect(await fetchKernel('7.2.12')).toMatchObject({ version: '7.2.12', fetched: false })
  })

  test.each([
    ['cut off', (path: string) => truncateSync(path, 3000)],
    ['longer than it was', (path: string) => appendFileSync(path, 'x')],
    ['without its description', (path: string) => rmSync(join(path, '..', 'package.json'))],
  ])('again where it is %s', async (_, damage) => {
    const { path } = await fetchKernel('7.2')
    damage(path)
    await expect(resolveKernel('debian:7.2.12')).rejects.toThrow(/is not in the cache/)
    expect(await fetchKernel('7.2.12')).toMatchObject({ fetched: true, path })
    expect(stored()).toEqual(['7.2.12'])
  })

  test('several at once share one update', async () => {
    const kernels = await Promise.all(['7.2', '6.1', '7.2.12'].map(version => fetchKernel(version)))
    expect(kernels.map(kernel => kernel.version)).toEqual(['7.2.12', '6.1.192', '7.2.12'])
    expect(updates(debian.calls())).toBe(1)
    expect(stored()).toEqual(['6.1.192', '7.2.12'])
  })

  test('another process that has the lock is waited for', async () => {
    debian.set('busy', '1')
    expect(await fetchKernel('7.2')).toMatchObject({ fetched: true })
  })

  test('what a process left that was killed goes away after a day', async () => {
    await fetchKernel('6.1')
    for (const name of ['.tmp-old', '.tmp-new']) mkdirSync(join(storeFolder(), name))
    const yesterday = Date.now() / 1000 - 25 * 3600
    utimesSync(join(storeFolder(), '.tmp-old'), yesterday, yesterday)
    await fetchKernel('7.2')
    expect(stored()).toEqual(['.tmp-new', '6.1.192', '7.2.12'])
    expect((await cachedKernels()).map(kernel => kernel.version)).toEqual(['6.1.192', '7.2.12'])
  })
})

describe('lists', () => {
  /** The lists as if they had been fetched at that time. */
  const age = (at: number): void => {
    const file = join(debian.cache, 'apt', 'kernels.json')
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), at }))
  }
  const hour = 3600_000

  test('of some hours are used again, older ones and those of the future are not', async () => {
    await listKernels()
    for (const [at, fetched] of [
      [Date.now() - 5 * hour, 0],
      [Date.now() - 7 * hour, 1],
      [Date.now() + hour, 1],
    ] as const) {
      debian.calls()
      age(at)
      expect((await listKernels()).map(kernel => kernel.version)).toEqual(['6.1.192', '7.2.12'])
      expect(updates(debian.calls())).toBe(fetched)
    }
  })

  test('of another configuration are not used', async () => {
    await listKernels()
    debian.calls()
    debian.configure('deb [trusted=yes] http://example.org/debian trixie main\n')
    await listKernels()
    expect(updates(debian.calls())).toBe(1)
  })

  test('an unknown version makes for one update', async () => {
    await listKernels()
    age(Date.now() - hour)
    debian.calls()
    debian.offer([kernel61, kernel72, { name: 'linux-binary-7.3.4+deb13-cloud-amd64', version: '7.3.4-1' }])
    expect(await fetchKernel('7.3')).toMatchObject({ version: '7.3.4', fetched: true })
    expect(updates(debian.calls())).toBe(1)
    const error = await failing(fetchKernel('7.4'))
    expect(error).toMatchObject({
      problem: 'unknown',
      message: expect.stringContaining('6.1.192 7.2.12 7.3.4'),
    })
    expect(updates(debian.calls())).toBe(0)
  })

  test('that came in part are used, but not for long', async () => {
    debian.set('partial')
    await listKernels()
    for (const [minutes, fetched] of [
      [5, 0],
      [15, 1],
    ] as const) {
      debian.calls()
      age(Date.now() - minutes * 60_000)
      await listKernels()
      expect(updates(debian.calls())).toBe(fetched)
    }
  })

  test('damaged ones are fetched anew', async () => {
    await listKernels()
    writeFileSync(join(debian.cache, 'apt', 'kernels.json'), '{"at":')
    debian.calls()
    await listKernels()
    expect(updates(debian.calls())).toBe(1)
  })
})

describe('what fails leaves nothing behind and is told in one line', () => {
  test.each([
    ['download-fails', 'apt', /^apt-get download failed: Failed to fetch \S+x\.deb {2}404 {2}Not Found$/],
    ['unpack-fails', 'apt', /^dpkg-deb -x failed: dpkg-deb: error: archive has premature member$/],
    ['no-vmlinuz', 'apt', /^the package linux-binary-7\.2\.12\S+ 7\.2\.12-1 has no vmlinuz in it$/],
    [
      'no-network',
      'mirror',
      /could be read: Failed to fetch \S+ {2}Temporary failure resolving 'example\.org'$/,
    ],
  ] as const)('%s', async (mode, problem, message) => {
    debian.set(mode)
    expect(await failing(fetchKernel('7.2'))).toMatchObject({
      problem,
      message: expect.stringMatching(message),
    })
    // Lists that are new cannot be what was wrong.
    expect(debian.calls().filter(call => call.startsWith('download')).length).toBeLessThanOrEqual(1)
    expect(stored()).toEqual([])
    debian.clear(mode)
    expect(await fetchKernel('7.2')).toMatchObject({ fetched: true })
  })

  test('a vmlinuz that is none', async () => {
    writeFileSync(join(debian.folder, 'vmlinuz'), 'text')
    expect(await failing(fetchKernel('7.2'))).toMatchObject({ problem: 'file' })
    expect(stored()).toEqual([])
  })

  test.each(['hang-update', 'hang-download'] as const)('called off in %s', async mode => {
    debian.set(mode)
    const stop = new AbortController()
    const work = failing(fetchKernel('7.2', { signal: stop.signal }))
    const pid = await until(debian.pid)
    stop.abort()
    expect((await work).name).toBe('AbortError')
    await until(() => isGone(pid))
    expect(stored()).toEqual([])
  })

  test('one that is called off does not take those with it that share its update', async () => {
    debian.set('hang-update')
    const stop = new AbortController()
    const first = failing(fetchKernel('7.2', { signal: stop.signal }))
    await until(debian.pid)
    debian.clear('hang-update')
    const progress: string[] = []
    const second = fetchKernel('6.1', { onProgress: text => progress.push(text) })
    await until(() => progress.includes('waiting for the lists'))
    stop.abort()
    expect((await first).name).toBe('AbortError')
    expect(await second).toMatchObject({ fetched: true })
  })

  test('one that waits for the update of another is called off by itself', async () => {
    debian.set('hang-update')
    const [stop, other] = [new AbortController(), new AbortController()]
    const first = failing(fetchKernel('7.2', { signal: stop.signal }))
    await until(debian.pid)
    const progress: string[] = []
    const onProgress = (text: string): unknown => progress.push(text)
    const second = failing(fetchKernel('6.1', { signal: other.signal, onProgress }))
    await until(() => progress.includes('waiting for the lists'))
    other.abort()
    expect((await second).name).toBe('AbortError')
    stop.abort()
    expect((await first).name).toBe('AbortError')
  })
})

describe('elsewhere than on Debian', () => {
  const remedy = /; pass the path of a bzImage instead$/

  test('no apt', async () => {
    vi.stubEnv('PATH', join(debian.folder, 'none'))
    const error = await failing(fetchKernel('7.2'))
    expect(error).toMatchObject({ name: 'KernelError', problem: 'no-debian' })
    expect(error.message).toMatch(/there is no apt-config on this machine/)
    expect(error.message).toMatch(remedy)
  })

  test('no dpkg', async () => {
    rmSync(join(debian.folder, 'bin', 'dpkg-deb'))
    expect(await failing(fetchKernel('7.2'))).toMatchObject({ problem: 'no-debian' })
    expect(stored()).toEqual([])
  })

  test('an apt for other archives', async () => {
    debian.release('trixie', 'Origin: Ubuntu\nCodename: noble\n')
    const error = await failing(listKernels())
    expect(error).toMatchObject({ problem: 'no-debian' })
    expect(error.message).toMatch(/none of the archives .* is Debian's/)
    expect(error.message).toMatch(remedy)
  })

  test('an apt for nothing', async () => {
    debian.configure('# deb http://example.org/debian trixie main\n')
    expect(await failing(listKernels())).toMatchObject({
      problem: 'no-debian',
      message: expect.stringMatching(remedy),
    })
    expect(debian.calls()).toEqual([])
  })

  test('a mirror without kernels', async () => {
    debian.offer([{ name: 'linux-doc', version: '7.2.12-1' }])
    expect(await failing(listKernels())).toMatchObject({
      problem: 'no-debian',
      message: expect.stringMatching(/no kernels/),
    })
  })
})

describe('what --kernel names', () => {
  test('the newest of a series in the cache, in its flavour', async () => {
    debian.offer([
      kernel72,
      { name: 'linux-binary-7.2.6+deb13-cloud-amd64', version: '7.2.6-1' },
      { name: 'linux-binary-7.2.13+deb13-amd64', version: '7.2.13-1' },
    ])
    await fetchKernel('7.2.6')
    expect((await resolveKernel('debian:7.2')).name).toBe('debian:7.2.6')
    await fetchKernel('7.2.12')
    await fetchKernel('7.2', { flavour: 'amd64' })
    expect((await resolveKernel('debian:7.2')).name).toBe('debian:7.2.12')
    expect((await resolveKernel('debian:7.2-amd64')).name).toBe('debian:7.2.13-amd64')
    expect(stored()).toEqual(['7.2.12', '7.2.13-amd64', '7.2.6'])
  })

  test('what is not in the cache says what brings it', async () => {
    expect(await failing(resolveKernel('debian:7.2'))).toMatchObject({
      problem: 'not-cached',
      message: 'debian:7.2 is not in the cache: sigframe vm fetch 7.2 brings it',
    })
    expect((await failing(resolveKernel('debian:7.2.1-amd64'))).message).toMatch(
      /fetch 7\.2\.1 --flavour amd64 brings/,
    )
    expect(await failing(resolveKernel('debian:../../etc'))).toMatchObject({ problem: 'name' })
  })

  test('anything else is a path', async () => {
    const path = join(debian.folder, 'vmlinuz')
    expect(await resolveKernel(path)).toMatchObject({ name: 'vmlinuz', path })
    expect(await failing(resolveKernel('./debian:7.2'))).toMatchObject({ problem: 'file' })
  })
})
