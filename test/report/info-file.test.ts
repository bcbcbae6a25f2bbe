import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { observeHost } from '../../lib/harness/observe.ts'
import { nativeProblem } from '../../lib/native.ts'
import { type Info, infoJson } from '../../lib/report/info.ts'
import { InfoFileError, parseInfoFile } from '../../lib/report/info-file.ts'
import { infoFileJsonSchema } from '../../lib/report/info-file-schema.ts'
import { toolVersion } from '../../lib/version.ts'
import { known, knownNames } from '../xstate/arbitrary.ts'
import { changed, endsInOneError, type Path } from './broken.ts'
import { host, kernel, log } from './stub.ts'

const infoOf = (name: string, changes: Partial<Info> = {}): Info => {
  const layout = known(name)
  const sw = {
    magic1: layout.xsave ? 0x46505853 : 0,
    extendedSize: layout.size + 4,
    xfeatures: layout.features,
    xstateSize: layout.size,
  }
  return { host: host(), kernel: kernel('classic', { log: log() }), layout, sw, ...changes }
}

const text = infoJson(infoOf('sapphire-rapids'))
const json = JSON.parse(text)

const problem = (of: string): Promise<string> =>
  parseInfoFile(of, 'some.json').then(
    () => 'accepted',
    error => (error instanceof InfoFileError ? error.message : `NOT AN InfoFileError: ${error.stack}`),
  )

describe('what was printed is read again', () => {
  test.each(knownNames)('%s', async name => {
    const info = infoOf(name)
    const { toolVersion: version, ...read } = await parseInfoFile(infoJson(info), 'x')
    expect(version).toBe(toolVersion())
    expect(infoJson(read)).toBe(infoJson(info))
    expect(read.layout.toJSON()).toEqual(info.layout.toJSON())
    expect(read.sw).toEqual(info.sw)
  })

  test('a kernel that was not told', async () => {
    const info = infoOf('zen4', { kernel: null })
    expect((await parseInfoFile(infoJson(info), 'x')).kernel).toBeNull()
  })

  test('what older versions printed', async () => {
    const { format: _f, version: _v, tool: _t, ...old } = json
    const { mxcsrMask: _m, compacts: _c, ...bare } = old.host
    const read = await parseInfoFile(JSON.stringify({ ...old, host: bare }), 'x')
    expect(read.toolVersion).toBeNull()
    expect(read.host).toEqual({ ...json.host, mxcsrMask: null, compacts: null })
  })

  test.skipIf(nativeProblem() !== undefined)('this host’s own', async () => {
    const info = await observeHost()
    const read = await parseInfoFile(infoJson(info), 'x')
    expect(infoJson(read)).toBe(infoJson(info))
    expect(read.host.compacts).toBe(/ xsave[cs]( |$)/m.test(readFileSync('/proc/cpuinfo', 'utf8')))
    expect(read.host.mxcsrMask).toBe(info.layout.mxcsrMask)
  })
})

describe('what is wrong is named', () => {
  test.each<[string, Path, unknown]>([
    ['format is "sigframe cpu", must be sigframe info', ['format'], 'sigframe cpu'],
    ['host is missing', ['host'], undefined],
    ['host.compacts must be a boolean, not "yes"', ['host', 'compacts'], 'yes'],
    ['host.mxcsrMask is -1, must be at least 0', ['host', 'mxcsrMask'], -1],
    ['layout.size is 4096, but its components end at 2816', ['layout', 'size'], 4096],
    [
      'layout.components (opmask).offset is 600, which lies inside avx (576..831)',
      ['layout', 'components', 1, 'offset'],
      600,
    ],
    [
      'sw.xfeatures is "231", must be 0x and 1 to 16 hexadecimal digits in lower case',
      ['sw', 'xfeatures'],
      '231',
    ],
    [
      'kernel.generation is "modern", must be one of classic regressed portable larger',
      ['kernel', 'generation'],
      'modern',
    ],
  ])('%s', async (message, path, to) => {
    expect(await problem(JSON.stringify(changed(json, path, to)))).toBe(`some.json: ${message}`)
  })

  test('anything else ends in the one error', async () => {
    await endsInOneError(text, 'some.json', problem)
  })
})

test('the published schema is the one that is checked', () => {
  const published = join(import.meta.dirname, '../../docs/info.schema.json')
  const schema = `${JSON.stringify(infoFileJsonSchema(), null, 2)}\n`
  if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(published, schema)
  expect(JSON.parse(readFileSync(published, 'utf8'))).toEqual(JSON.parse(schema))
})
