import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { vmJson } from '../../lib/report/vm/json.ts'
import { largestVmReport, parseVmReport, readVmReport, VmReportError } from '../../lib/report/vm/read.ts'
import { vmJsonSchema } from '../../lib/report/vm/schema.ts'
import type { VmReport } from '../../lib/vm/machine.ts'
import { bundle, everyVerdict, result, xfail } from './stub.ts'
import {
  anyReport,
  failedMachine,
  failedStatuses,
  frame,
  machine,
  replay,
  report,
  vmKernel,
} from './vm-samples.ts'

const schemaFile = join(import.meta.dirname, '../../docs/vm.schema.json')

const full: VmReport = report(
  [
    machine({
      bundle: bundle([...everyVerdict.map(one => result(one)), xfail({ repro: null })]),
      frames: [frame(), frame({ id: 'x86_64/avx' })],
      replayed: [replay('a|b|x86_64/all'), replay('a|b|x86_64/avx', { outcome: 'loses', lost: ['mxcsr'] })],
    }),
    ...failedStatuses.map(status => failedMachine(status, { kernel: vmKernel(status), bootMs: null })),
  ],
  { require: 'portable', rule: 'shrunk-frame-restores', interrupted: true },
)

const shuffled = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, shuffled(inner)]),
  )
}

describe('vmJson', () => {
  test('the keys stand in one order, whatever order they came in', () => {
    expect(vmJson(shuffled(full) as VmReport)).toBe(vmJson(full))
  })

  test('is text that ends, and begins with what it is', () => {
    const text = vmJson(full)
    expect(text.endsWith('\n}\n')).toBe(true)
    expect(text.startsWith('{\n  "format": "sigframe vm",\n  "version": 1,\n  "tool": {\n')).toBe(true)
  })

  test('leaves nothing out', () => {
    expect(JSON.parse(vmJson(full))).toEqual(full)
    expect(JSON.parse(vmJson(report([])))).toEqual(report([]))
  })
})

describe('what was written is read again', () => {
  test('every status', async () => {
    expect(await parseVmReport(vmJson(full), 'x')).toEqual(full)
  })

  test('any report', async () => {
    await fc.assert(
      fc.asyncProperty(anyReport, async drawn => {
        const text = vmJson(drawn)
        const again = await parseVmReport(text, 'x')
        expect(again).toEqual(JSON.parse(text))
        expect(vmJson(again)).toBe(text)
      }),
      { numRuns: 50 },
    )
  })

  test('fields of later versions are passed over', async () => {
    const later = JSON.parse(vmJson(full))
    later.more = { of: 'it' }
    later.machines[0].more = 1
    later.machines[0].bundle.cases[0].more = 1
    expect(await parseVmReport(JSON.stringify(later), 'x')).toEqual(full)
  })
})

type Path = readonly (string | number)[]

const changed = (value: unknown, [key, ...rest]: Path, to: unknown): unknown => {
  if (key === undefined) return to
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) }
  const record = copy as Record<string | number, unknown>
  record[key] = changed(record[key], rest, to)
  return copy
}

const problem = (text: string): Promise<string> =>
  parseVmReport(text, 'some.json').then(
    () => 'accepted',
    error => (error instanceof VmReportError ? error.message : `NOT A VmReportError: ${error.stack}`),
  )

const refusal = (path: Path, to: unknown): Promise<string> => problem(JSON.stringify(changed(full, path, to)))

const inFrame = ['machines', 0, 'frames', 0] as const
const { fpstate } = frame()

describe('what is wrong is named: file, field, value, limit', () => {
  test.each<[string, Path, unknown]>([
    ['format is "other", must be sigframe vm', ['format'], 'other'],
    ['version is 2, must be 1', ['version'], 2],
    ['tool.name is "other", must be sigframe', ['tool', 'name'], 'other'],
    [
      'require is "next", must be one of classic regressed portable larger hwcap-inheritance',
      ['require'],
      'next',
    ],
    ['interrupted must be a boolean, not "no"', ['interrupted'], 'no'],
    ['machines must be an array, not an object', ['machines'], {}],
    ['machines[2] must be an object, not null', ['machines', 2], null],
    ['machines[0].kernel.name must be a string, not 7', ['machines', 0, 'kernel', 'name'], 7],
    [
      'machines[0].cpu.emulator is "simics", must be one of qemu bochs',
      ['machines', 0, 'cpu', 'emulator'],
      'simics',
    ],
    [
      'machines[0].emulator.acceleration is "hvf", must be one of kvm tcg interpreter',
      ['machines', 0, 'emulator', 'acceleration'],
      'hvf',
    ],
    [
      'machines[1].status is "fine", must be one of ran stuck oops panic hang timeout memory lacks silent cut-off broken refused skipped interrupted',
      ['machines', 1, 'status'],
      'fine',
    ],
    ['machines[0].phase is missing', ['machines', 0, 'phase'], undefined],
    ['machines[0].attempts is -1, must be at least 0', ['machines', 0, 'attempts'], -1],
    ['machines[0].bootMs must be a number, not "soon"', ['machines', 0, 'bootMs'], 'soon'],
    [
      'machines[0].console has 1001 elements, must be at most 1000',
      ['machines', 0, 'console'],
      Array(1001).fill(''),
    ],
    ['machines[0].bundle.bundleVersion is 2, must be 1', ['machines', 0, 'bundle', 'bundleVersion'], 2],
    ['machines[0].bundle.host.xcr0 must be a string, not 7', ['machines', 0, 'bundle', 'host', 'xcr0'], 7],
    [
      'machines[0].bundle.cases[3].verdict is "maybe", must be one of pass xfail fail skip timeout crash stuck broken',
      ['machines', 0, 'bundle', 'cases', 3, 'verdict'],
      'maybe',
    ],
    [
      `machines[0].bundle.cases[2].id is "${full.machines[0]?.bundle?.cases[1]?.id}", must not be that of number 1 too`,
      ['machines', 0, 'bundle', 'cases', 2, 'id'],
      full.machines[0]?.bundle?.cases[1]?.id,
    ],
    [
      'machines[2] is "debian:6.12.43 on pkru", must not be that of number 0 too',
      ['machines', 2, 'kernel', 'name'],
      'debian:6.12.43',
    ],
    [
      'machines[0].frames[0].abi is "arm64", must be one of x86_64 ia32-rt ia32 x32',
      [...inFrame, 'abi'],
      'arm64',
    ],
    [
      'machines[0].frames[0].layout.xcr0 is "7", must be 0x and 1 to 16 hexadecimal digits in lower case',
      [...inFrame, 'layout', 'xcr0'],
      '7',
    ],
    ['machines[0].frames[0].fpstate is "%", must be base64', [...inFrame, 'fpstate'], '%'],
    [
      `machines[0].frames[0].fpstate.length is ${fpstate.length - 4}, must be ${fpstate.length}: 2444 bytes in base64`,
      [...inFrame, 'fpstate'],
      fpstate.slice(4),
    ],
    [
      'machines[0].frames[0].image has 2097153 characters, must be at most 2097152',
      [...inFrame, 'image'],
      'A'.repeat(2097153),
    ],
    [
      'machines[0].frames[1].id is "x86_64/all", which an earlier frame has',
      ['machines', 0, 'frames', 1, 'id'],
      'x86_64/all',
    ],
    [
      'machines[0].replayed[1].outcome is "fine", must be one of holds loses rejected killed unable',
      ['machines', 0, 'replayed', 1, 'outcome'],
      'fine',
    ],
    [
      'machines[0].replayed[0].lost has 66 elements, must be at most 65',
      ['machines', 0, 'replayed', 0, 'lost'],
      Array(66).fill('avx'),
    ],
    [
      'machines[0].replayed[0].asExpected must be a boolean, not 1',
      ['machines', 0, 'replayed', 0, 'asExpected'],
      1,
    ],
  ])('%s', async (message, path, to) => {
    expect(await refusal(path, to)).toBe(`some.json: ${message}`)
  })

  test('a layout that contradicts itself', async () => {
    expect(await refusal([...inFrame, 'layout', 'userFeatures'], '0xffff')).toMatch(
      /^some\.json: machines\[0\]\.frames\[0\]\.layout\.userFeatures is /,
    )
  })
})

describe('what is no report at all', () => {
  test.each([
    ['', 'some.json is empty'],
    ['null', 'some.json: the vm report must be an object, not null'],
    ['{}', 'some.json: format is missing'],
    ['{"a":', 'some.json is not JSON: it ends too early, as if it were cut off'],
  ])('%j', async (text, message) => {
    expect(await problem(text)).toBe(message)
  })

  test('a bundle', async () => {
    const { bundleJson } = await import('../../lib/report/json.ts')
    expect(await problem(bundleJson(bundle([])))).toBe('some.json: format is missing')
  })

  test.each([
    [
      'deep',
      `{"machines":[${'['.repeat(30)}${']'.repeat(30)}]}`,
      'lies too deep, must be at most 11 levels down',
    ],
    ['long', `{"machines":[${'0,'.repeat(10_000)}0]}`, 'machines has 10001 elements, must be at most 10000'],
    [
      'many cases',
      `{"machines":[{"bundle":{"cases":[${'0,'.repeat(100_000)}0]}}]}`,
      'machines[0].bundle.cases has 100001 elements, must be at most 100000',
    ],
    [
      'many replays',
      `{"machines":[{"replayed":[${'0,'.repeat(100_000)}0]}]}`,
      'machines[0].replayed has 100001 elements, must be at most 100000',
    ],
  ])('%s', async (_, text, message) => {
    expect(await problem(text)).toContain(message)
  })
})

describe('any other text ends in the one error', () => {
  const text = vmJson(report([machine({ frames: [frame()], replayed: [replay('a|b|x86_64/all')] })]))
  const judged = async (broken: string): Promise<void> => {
    const found = await problem(broken)
    expect(found).toMatch(/^(accepted|some\.json(:| is) .+)$/)
    expect(found.length).toBeLessThan(600)
  }

  test('characters changed', async () => {
    const change = fc.record({
      at: fc.nat({ max: text.length - 1 }),
      by: fc.string({ unit: 'binary', maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), changes =>
        judged(changes.reduce((t, { at, by }) => t.slice(0, at) + by + t.slice(at + by.length), text)),
      ),
      { numRuns: 200 },
    )
  })

  test('a field of a machine, or of its frame, replaced by any JSON', async () => {
    const value = JSON.parse(text)
    const paths: Path[] = [
      ...Object.keys(value).map(key => [key]),
      ...Object.keys(value.machines[0]).map(key => ['machines', 0, key]),
      ...Object.keys(value.machines[0].frames[0]).map(key => ['machines', 0, 'frames', 0, key]),
      ...Object.keys(value.machines[0].replayed[0]).map(key => ['machines', 0, 'replayed', 0, key]),
    ]
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.jsonValue(), (path, to) =>
        judged(JSON.stringify(changed(value, path, to))),
      ),
      { numRuns: 200 },
    )
  })
})

describe('readVmReport', () => {
  let folder: string
  const file = (content: string): string => {
    const path = join(folder, 'vm.json')
    writeFileSync(path, content)
    return path
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-vm-report-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test('a file', async () => {
    expect(await readVmReport(file(vmJson(full)))).toEqual(full)
  })

  test('none', async () => {
    const path = join(folder, 'nowhere.json')
    await expect(readVmReport(path)).rejects.toThrow(
      new VmReportError(`${path} cannot be read (ENOENT: no such file or directory)`),
    )
  })

  test('too large', async () => {
    const path = file('')
    truncateSync(path, largestVmReport + 1)
    await expect(readVmReport(path)).rejects.toThrow(
      ` is larger than ${largestVmReport} bytes, the most that is read`,
    )
  })
})

// To bring it up to date: SIGFRAME_UPDATE_SCHEMA=1 npx vitest run test/report/vm-json.test.ts && npx biome format --write docs
test('docs/vm.schema.json is the schema', () => {
  const schema = vmJsonSchema()
  if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(schemaFile, `${JSON.stringify(schema, null, 2)}\n`)
  expect(JSON.parse(readFileSync(schemaFile, 'utf8'))).toEqual(schema)
})
