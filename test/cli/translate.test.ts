import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SavedFrame } from '../../lib/foreign/saved.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import { frameFileJson, readFrameFile } from '../../lib/report/frame-file.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import { defaultPkru } from '../../lib/xstate/pkru.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { known } from '../xstate/arbitrary.ts'
import { canProbe, inShell, sigframe } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-translate-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const savedOf = (image: XsaveImage): SavedFrame => ({
  source: 'captured',
  origin: '',
  host: null,
  kernel: null,
  layout: image.layout,
  permissions: [],
  abi: 'x86_64',
  address: null,
  head: null,
  ...buildFpstate(image.layout, image, 'x86_64'),
  image,
  seed: null,
})

let written = 0

const inFolder = (name: string): string => join(folder, name)

const fileOf = (content: SavedFrame | string): string => {
  written += 1
  const file = inFolder(`frame-${written}.json`)
  writeFileSync(file, typeof content === 'string' ? content : frameFileJson(content))
  return file
}

const skylake = known('skylake-sp')
const withoutMpx = randomImage(skylake, {
  seed: 1,
  components: ['x87', 'sse', 'avx', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru'],
})
const withMpx = randomImage(skylake, { seed: 1 })

test('--help has examples, and keeps to 80 columns', async () => {
  const { code, stdout, stderr } = await sigframe(['translate', '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/Examples:\n {2}sigframe translate frame\.json --to zen4 translated\.json\n/)
  expect(stdout).toMatch(/Exit codes: 0 translated; 1 refused/)
  for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
})

describe('a frame that the target can hold', () => {
  test('is written, and what was carried and dropped is told', async () => {
    const file = inFolder('zen4.json')
    const frame = fileOf(savedOf(withoutMpx))
    const { code, stdout, stderr } = await sigframe(['translate', frame, '--to', 'zen4', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const words = stdout.replace(/\s+/g, ' ')
    expect(words).toContain(`To zen4, `)
    expect(words).toContain('Carried x87 sse avx opmask zmm_hi256 hi16_zmm pkru mxcsr ')
    expect(words).toContain('Dropped bndregs bndcsr: at init: nothing is lost')
    expect(words).toContain(`Written ${file}`)
    const saved = await readFrameFile(file)
    expect(saved).toMatchObject({ source: 'translated', layout: { size: 2440 } })
    expect(saved.image!.pkru).toBe(withoutMpx.pkru)
    expect(saved.image!.component('zmm_hi256')).toEqual(withoutMpx.component('zmm_hi256'))
  })

  test('is told of for machines', async () => {
    const file = inFolder('json.json')
    const frame = fileOf(savedOf(withoutMpx))
    const { code, stdout } = await sigframe(['translate', frame, '--to', 'zen4', '--json', file])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      outcome: 'translated',
      from: { file: frame, frame: { source: 'captured', layout: { size: 2696 } } },
      to: { name: 'zen4', kind: 'catalogue' },
      carried: ['x87', 'sse', 'avx', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru', 'mxcsr'],
      dropped: [
        { name: 'bndregs', why: 'init' },
        { name: 'bndcsr', why: 'init' },
      ],
      added: [],
      lacks: [],
      malformed: null,
      written: { file, frame: { source: 'translated', layout: { size: 2440 } } },
    })
  })

  test('goes from standard input to standard output, and nothing with it', async () => {
    const frame = fileOf(savedOf(withoutMpx))
    const { code, stdout, stderr } = await inShell(`SIGFRAME translate - --to zen4 - < ${frame}`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ format: 'sigframe frame', source: 'translated' })
  })

  test('is for this host, and arrives there', async ctx => {
    if (!canProbe) return ctx.skip('frames cannot be probed here')
    const small = fileOf(savedOf(randomImage(known('nehalem'), { seed: 3 })))
    const { code, stdout } = await inShell(
      `SIGFRAME translate ${small} --to this - | SIGFRAME replay - --json`,
    )
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'holds' })
  })
})

describe('a frame that the target cannot hold', () => {
  test('is refused with the components, and nothing is written', async () => {
    const file = inFolder('refused.json')
    const frame = fileOf(savedOf(withMpx))
    const { code, stdout, stderr } = await sigframe(['translate', frame, '--to', 'zen4', file])
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    expect(stdout).toContain('Refused  bndregs is in use, and the target has no such registers\n')
    expect(stdout).toContain('         bndcsr is in use, and the target has no such registers\n')
    expect(stdout).toMatch(/Written {2}nothing\n$/)
    expect(existsSync(file)).toBe(false)
    const asJson = await sigframe(['translate', frame, '--to', 'zen4', '--json', file])
    expect(asJson.code).toBe(1)
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      outcome: 'refused',
      carried: [],
      lacks: [
        { name: 'bndregs', kind: 'absent' },
        { name: 'bndcsr', kind: 'absent' },
      ],
      malformed: null,
      written: null,
    })
    expect(readdirSync(folder).filter(name => name.includes('refused') || name.includes('.tmp'))).toEqual([])
  })

  test('leaves standard output alone, where the frame would go there', async () => {
    const { code, stdout, stderr } = await sigframe([
      'translate',
      fileOf(savedOf(withMpx)),
      '--to',
      'zen4',
      '-',
    ])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('bndregs is in use')
  })

  test('is refused where its own kernel would not restore it', async () => {
    const saved = savedOf(withMpx)
    const fpstate = Uint8Array.from(saved.fpstate)
    fpstate[2696] = 0
    const file = inFolder('malformed.json')
    const frame = fileOf({ ...saved, fpstate })
    const { code, stdout } = await sigframe(['translate', frame, '--to', 'skylake-sp', '--json', file])
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      outcome: 'refused',
      lacks: [],
      malformed: {
        field: 'MAGIC2',
        message: expect.stringMatching(/^MAGIC2 is 0x46505800, must be 0x46505845 at 2696/),
      },
    })
    expect(existsSync(file)).toBe(false)
  })

  test('stays what it was, where it was a file before', async () => {
    const file = fileOf('before')
    await sigframe(['translate', fileOf(savedOf(withMpx)), '--to', 'zen4', file])
    expect(readFileSync(file, 'utf8')).toBe('before')
  })
})

describe('the flags', () => {
  test('--strict refuses a PKRU that every program starts with', async () => {
    const image = randomImage(known('zen3'), { seed: 1, components: ['x87', 'pkru'] })
    image.pkru = defaultPkru
    const frame = fileOf(savedOf(image))
    const file = inFolder('strict.json')
    const loose = await sigframe(['translate', frame, '--to', 'haswell', file])
    expect(loose.code).toBe(0)
    expect(loose.stdout.replace(/\s+/g, ' ')).toContain(
      'Dropped pkru: 0x55555554, with which every program starts: nothing is lost to one that uses no keys',
    )
    const strict = await sigframe(['translate', frame, '--to', 'haswell', '--strict', file])
    expect(strict.code).toBe(1)
    expect(strict.stdout).toContain('pkru is in use')
  })

  test('--add-pkru gives it to a frame that has none', async () => {
    const frame = fileOf(savedOf(randomImage(known('haswell'), { seed: 1 })))
    const file = inFolder('pkru.json')
    const { code, stdout } = await sigframe(['translate', frame, '--to', 'zen3', '--add-pkru', file])
    expect(code).toBe(0)
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      'Added pkru: 0x55555554, with which every program starts there',
    )
    expect((await readFrameFile(file)).image!.pkru).toBe(defaultPkru)
  })

  test('--permit takes tiles', async () => {
    const frame = fileOf(savedOf(randomImage(known('sapphire-rapids-tiles'), { seed: 1 })))
    const file = inFolder('tiles.json')
    const words = ['translate', frame, '--to', 'sapphire-rapids', file]
    const without = await sigframe(words)
    expect(without.code).toBe(1)
    expect(without.stdout).toContain('xtiledata is in use, and the target’s CPU has it')
    const permitted = await sigframe([...words, '--permit'])
    expect(permitted.code).toBe(0)
    expect(permitted.stdout.replace(/\s+/g, ' ')).toMatch(
      / To sapphire-rapids, [^:]*(?:: [^:]*)?, 11008 bytes: /,
    )
    expect((await readFrameFile(file)).permissions).toEqual(['xtiledata'])
  })
})

describe('what is wrong with the words', () => {
  test.each([
    [['frame.json', 'x.json'], /required option '--to <host>' not specified; see sigframe translate --help$/],
    [['frame.json', '--to', 'zen4'], /missing required argument 'file'/],
    [['missing.json', '--to', 'zen4', 'x.json'], /missing\.json/],
    [['frame.json', '--to', 'zen4', '--json', '-'], /the frame goes to standard output: --json would, too$/],
    [['frame.json', '--to', 'zen4', ''], /FILE needs the name of a file$/],
  ])('%j', async (words, message) => {
    const { code, stdout, stderr } = await sigframe(['translate', ...words])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr.trim()).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  test('or with the host, or the frame', async () => {
    const frame = fileOf(savedOf(withMpx))
    const host = await sigframe(['translate', frame, '--to', 'zen44', inFolder('y.json')])
    expect(host.code).toBe(64)
    expect(host.stderr).toContain('zen44')
    const broken = await sigframe(['translate', fileOf('{}'), '--to', 'zen4', inFolder('y.json')])
    expect(broken.code).toBe(64)
    expect(existsSync(inFolder('y.json'))).toBe(false)
  })
})
