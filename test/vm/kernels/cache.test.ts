import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CacheError, cacheFolder, cacheProblem, needRoom, prepareFolder } from '../../../lib/vm/cache.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-cache-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the cache folder', () => {
  const home = () => '/home/x'
  test.each([
    [{ SIGFRAME_CACHE: '/c', XDG_CACHE_HOME: '/xdg' }, '/c'],
    [{ SIGFRAME_CACHE: 'c' }, resolve('c')],
    [{ XDG_CACHE_HOME: '/xdg' }, '/xdg/sigframe'],
    [{ XDG_CACHE_HOME: 'xdg' }, '/home/x/.cache/sigframe'],
    [{ SIGFRAME_CACHE: '', XDG_CACHE_HOME: '' }, '/home/x/.cache/sigframe'],
  ])('%j: %s', (env, expected) => {
    expect(cacheFolder(env, home)).toBe(expected)
  })

  test('is made where it is missing, once for several at once', async () => {
    const path = join(folder, 'a', 'b', 'c')
    expect(await Promise.all([prepareFolder(path), prepareFolder(path), prepareFolder(path)])).toEqual([
      path,
      path,
      path,
    ])
    expect(readdirSync(path)).toEqual([])
  })

  const refused = async (path: string): Promise<string> => {
    const error = await prepareFolder(path).catch(thrown => thrown)
    expect(error).toBeInstanceOf(CacheError)
    expect(error.message).toContain(path)
    expect(error.message).toContain('SIGFRAME_CACHE')
    return error.message
  }

  test('a file in the way, at its end or before', async () => {
    writeFileSync(join(folder, 'file'), '')
    expect(await refused(join(folder, 'file'))).toMatch(/is no folder/)
    expect(await refused(join(folder, 'file', 'x', 'y'))).toMatch(/a file lies in the way/)
    symlinkSync('nowhere', join(folder, 'dangling'))
    expect(await refused(join(folder, 'dangling'))).toMatch(/cannot be made there/)
  })

  test('where nothing can be made', async () => {
    expect(await refused('/proc/sigframe/x')).toMatch(/cannot be made there|may not be written/)
  })

  test.skipIf(process.getuid?.() === 0)('one that may not be written to', async () => {
    mkdirSync(join(folder, 'closed'))
    chmodSync(join(folder, 'closed'), 0o500)
    expect(await refused(join(folder, 'closed'))).toMatch(/may not be written to/)
    expect(await refused(join(folder, 'closed', 'x'))).toMatch(/may not be written to/)
  })

  test('what the file system says, and what it does not', () => {
    const full = Object.assign(new Error('x'), { code: 'ENOSPC', syscall: 'write' })
    expect(cacheProblem(full, '/c')).toMatchObject({
      name: 'CacheError',
      message: expect.stringMatching(/disk is full/),
    })
    const spawn = Object.assign(new Error('x'), { code: 'EACCES', syscall: 'spawn apt-get' })
    for (const other of [spawn, new Error('x'), new TypeError('y'), 'z', undefined])
      expect(cacheProblem(other, '/c')).toBe(other)
  })

  test('room that is there, and room that is not', async () => {
    await needRoom(folder, 1)
    await needRoom(join(folder, 'none'), Number.MAX_SAFE_INTEGER)
    await expect(needRoom(folder, Number.MAX_SAFE_INTEGER)).rejects.toThrow(
      /has \d+ MB left .* needs \d+ MB: make room/,
    )
  })
})
