import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect } from '../../lib/merge/collect.ts'
import { missing } from '../../lib/merge/collection.ts'
import { MergeError } from '../../lib/merge/source.ts'
import { largestBundle } from '../../lib/report/bundle-limits.ts'
import { collectionText } from '../../lib/report/collection.ts'
import { bundleJson } from '../../lib/report/json.ts'
import { matrixJson } from '../../lib/report/matrix-file.ts'
import { vmJson } from '../../lib/report/vm/json.ts'
import { bundle, result } from '../report/stub.ts'
import { absent, bundleOf, collection, emptyMatrix, hostOf, vmOf } from './samples.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-collect-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

const own = (name: string, number: number): string => file(name, bundleJson(bundleOf(number)))

const problemsOf = async (...files: readonly string[]) =>
  (await collect(files)).hosts.map(({ name, problem }) => `${name}: ${problem?.replaceAll(`${folder}/`, '')}`)

const whole = (of: Parameters<typeof collectionText>[0]): string => [...collectionText(of)].join('')

describe('what a file is, its content says', () => {
  test('bundles, reports of virtual machines, matrices and collections, in the order given', async () => {
    const inner = collection([hostOf('c', 3), absent('d')], { vms: [{ name: 'old', report: vmOf(8) }] })
    const all = await collect([
      own('b.json', 2),
      file('vms.txt', vmJson(vmOf(9))),
      file('pairs', matrixJson(emptyMatrix)),
      file('inner.json', whole(inner)),
      own('a.json', 1),
    ])
    expect(all).toEqual({
      ...collection([hostOf('b', 2), hostOf('c', 3), absent('d'), hostOf('a', 1)], {
        vms: [
          { name: 'vms.txt', report: vmOf(9) },
          { name: 'old', report: vmOf(8) },
        ],
        matrices: [{ name: 'pairs', matrix: emptyMatrix }],
      }),
      tool: { name: 'sigframe', version: all.tool.version },
    })
  })

  test('also where it does not come first, or not in our own spelling', async () => {
    const { bundleVersion, ...rest } = JSON.parse(bundleJson(bundleOf(1)))
    const { format, ...others } = JSON.parse(whole(collection([hostOf('b', 2)])))
    const all = await collect([
      file('a.json', JSON.stringify({ more: ['{"format":"x"'], ...rest, bundleVersion })),
      file('x.json', JSON.stringify({ ...others, format }).replace('"format"', '"form\\u0061t"')),
    ])
    expect(all.hosts).toEqual([hostOf('a', 1), hostOf('b', 2)])
  })
})

describe('a file that cannot be read is a host with a problem, and the rest is merged', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['empty', '', 'x.json is empty'],
    ['blank', ' \n', 'x.json is empty'],
    [
      'cut off',
      bundleJson(bundleOf(1)).slice(0, 900),
      'x.json is not JSON: it ends too early, as if it were cut off',
    ],
    ['no JSON', 'KTAP version 1\n', 'x.json is not JSON: '],
    ['no text', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 'x.json is not UTF-8 text'],
    ['no results', '{"name":"x"}', 'x.json has no results of sigframe: neither bundleVersion nor format'],
    ['a list', '[1]', 'x.json has no results of sigframe: neither bundleVersion nor format'],
    [
      'another format',
      '{"format":"sigframe probe"}',
      'x.json cannot be merged: its format is "sigframe probe"',
    ],
    ['no format', '{"format":7}', 'x.json cannot be merged: its format is 7'],
    ['another version', '{"bundleVersion":2}', 'x.json: bundleVersion is 2, must be 1'],
    ['a wrong report', '{"format":"sigframe vm"}', 'x.json: version is missing'],
    ['a wrong matrix', '{"format":"sigframe matrix"}', 'x.json: version is missing'],
    ['a wrong collection', '{"format":"sigframe collection"}', 'x.json: version is missing'],
    [
      'a collection with a wrong host',
      whole(collection([hostOf('a', 1)])).replace('"pass"', '"passed"'),
      'x.json: hosts[0].bundle.cases[0].verdict is "passed", must be one of ',
    ],
    ['deep', `{"bundleVersion":1,"host":${'['.repeat(1e5)}${']'.repeat(1e5)}}`, 'x.json: host[0]'],
  ])('%s', async (_, content, problem) => {
    const [before, wrong, after] = await problemsOf(
      own('a.json', 1),
      file('x.json', content),
      own('b.json', 2),
    )
    expect([before, after]).toEqual(['a: undefined', 'b: undefined'])
    expect(wrong?.slice(0, problem.length + 3)).toBe(`x: ${problem}`)
    expect(wrong).toMatch(/^[\x20-\x7e…]{1,700}$/)
  })

  test('too large', async () => {
    const path = file('x.json', '{"bundleVersion": 1, ')
    truncateSync(path, largestBundle + 1)
    expect(await problemsOf(path)).toEqual([
      `x: x.json is larger than ${largestBundle} bytes, the most that is read`,
    ])
  })

  test.skipIf(process.getuid?.() === 0)('without permission', async () => {
    const path = own('x.json', 1)
    chmodSync(path, 0)
    expect(await problemsOf(path)).toEqual(['x: x.json cannot be read (EACCES: permission denied)'])
  })

  test('nothing ran', async () => {
    const skipped = file('x.json', bundleJson(bundle([result('skip', { reason: 'no XSAVE' })])))
    const { hosts } = await collect([skipped])
    expect(hosts[0]?.problem).toBe('nothing ran: its only case was skipped: no XSAVE')
    expect(hosts[0]?.bundle?.cases).toHaveLength(1)
  })
})

describe('folders', () => {
  test('all *.json in them and in theirs, sorted; nothing hidden, no other files', async () => {
    own('r/b.json', 1)
    own('r/a/run.JSON', 2)
    own('r/c/d/e.json', 3)
    own('r/.git/x.json', 4)
    own('r/.x.json', 5)
    own('r/x.txt', 6)
    own('elsewhere.json', 7)
    symlinkSync('../elsewhere.json', join(folder, 'r/link.json'))
    symlinkSync('..', join(folder, 'r/up'))
    symlinkSync('nowhere', join(folder, 'r/broken.json'))
    expect((await collect([join(folder, 'r')])).hosts).toEqual([
      hostOf('run', 2),
      hostOf('b', 1),
      hostOf('e', 3),
      hostOf('link', 7),
    ])
  })

  test('as artefacts come: a folder for each host', async () => {
    own('r/host-a/bundle.json', 1)
    own('r/host-b/bundle.json', 2)
    const all = await collect([join(folder, 'r')], { expected: ['host-a', 'host-c'] })
    expect(all.hosts).toEqual([hostOf('host-a', 1), hostOf('bundle', 2), absent('host-c')])
    expect((await collect([join(folder, 'r')])).hosts).toEqual([hostOf('host-a', 1), hostOf('host-b', 2)])
  })

  test('an empty one is nothing, unless something was expected', async () => {
    mkdirSync(join(folder, 'r'))
    await expect(collect([join(folder, 'r')])).rejects.toThrow(
      new MergeError(`there is no *.json in ${folder}/r`),
    )
    expect((await collect([join(folder, 'r')], { expected: ['a'] })).hosts).toEqual([absent('a')])
  })

  test('one too deep', async () => {
    own(`r/${'x/'.repeat(20)}a.json`, 1)
    await expect(collect([join(folder, 'r')])).rejects.toThrow(
      / lies too deep, must be at most 16 folders down$/,
    )
  })
})

describe('what ends all at once', () => {
  test.each<[string, () => readonly string[], RegExp]>([
    ['nothing', () => [], /^there is nothing to merge: name a file$/],
    [
      'a file that does not exist',
      () => [own('a.json', 1), join(folder, 'b.json')],
      /b\.json cannot be read \(ENOENT: no such file or directory\)$/,
    ],
    ['standard input twice', () => ['-', own('a.json', 1), '-'], /^- is given twice/],
  ])('%s', async (_, files, message) => {
    const error = await collect(files()).then(
      () => null,
      error => error,
    )
    expect(error).toBeInstanceOf(MergeError)
    expect(error.message).toMatch(message)
  })

  test.each(['', 'two\nlines', ' x', 'x'.repeat(201)])('the expected name %j', async name => {
    await expect(collect([own('a.json', 1)], { expected: [name] })).rejects.toThrow(/^expected is "/)
  })
})

test('a pipe is read once', async () => {
  const pipe = join(folder, 'host.json')
  execFileSync('mkfifo', [pipe])
  const source = own('source.txt', 1)
  const { spawn } = await import('node:child_process')
  const writer = spawn('cp', [source, pipe], { stdio: 'ignore' })
  try {
    expect((await collect([pipe])).hosts).toEqual([hostOf('host', 1)])
  } finally {
    writer.kill()
  }
})

test('equal parts of bundles are held once', async () => {
  const repro = {
    seed: 1,
    edit: [{ op: 'fill', at: 0, bytes: 'ab'.repeat(500) }],
    abi: 'x86_64',
    raise: 'tgkill',
    stack: null,
  }
  const like = (startedAt: string) =>
    bundleJson(bundle([result('fail', { id: 'a/b/x86_64/avx', repro })], { startedAt }))
  const { hosts } = await collect([
    file('a.json', like('2026-01-01T00:00:00.000Z')),
    file('b.json', like('2026-01-02T00:00:00.000Z')),
  ])
  const [a, b] = hosts.map(({ bundle: one }) => one?.cases[0])
  expect(a?.repro).toEqual(repro)
  expect(a?.repro).toBe(b?.repro)
  expect(a?.components).toBe(b?.components)
})

test('files are told of as they are read', async () => {
  const told: unknown[] = []
  const files = [own('a.json', 1), own('b.json', 2)]
  await collect(files, { onFile: (...one) => told.push(one) })
  expect(told).toEqual([
    [files[0], 0, 2],
    [files[1], 1, 2],
  ])
})

test('what was merged merges as its parts do', async () => {
  const [a, b, c] = [own('a.json', 1), own('b.json', 2), file('c.json', '')]
  const inner = file('inner.json', whole(await collect([a, b], { expected: ['d'] })))
  const nested = await collect([inner, c])
  expect(nested.hosts).toEqual(
    (await collect([a, b, file('d.json', ''), c])).hosts.map(host =>
      host.name === 'd' ? { ...host, problem: missing } : host,
    ),
  )
  expect(await collect([file('again.json', whole(nested))])).toEqual(nested)
})
