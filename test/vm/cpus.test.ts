import { describe, expect, test } from 'vitest'
import { cpuOf, namedCpus } from '../../lib/vm/cpus.ts'
import type { MachineSpec } from '../../lib/vm/emulators/emulator.ts'
import { modelsIn, qemuArguments, versionIn } from '../../lib/vm/emulators/qemu.ts'

const help7 = `Available CPUs:
x86 486                   (alias configured by machine type)
x86 486-v1                
x86 Broadwell-noTSX-IBRS  (alias of Broadwell-v4)
x86 EPYC-Milan-v1         AMD EPYC-Milan Processor
x86 Haswell-noTSX         (alias of Haswell-v2)
x86 Nehalem               (alias configured by machine type)
x86 base                  base CPU model type with no features enabled
x86 host                  processor with all supported host features 
x86 max                   Enables all features supported by the accelerator in the current host

Recognized CPUID flags:
  3dnow 3dnowext 3dnowprefetch abm ace2 ace2-en acpi adx aes amd-no-ssb
  avx avx2 avx512-4fmaps avx512-4vnniw avx512-bf16 pku pni xsave
`

const help10 = `Available CPUs:
  486                   (alias configured by machine type)
  486-v1
  Broadwell-noTSX-IBRS  (alias of Broadwell-v4)
  EPYC-Milan-v1         AMD EPYC-Milan-v1 Processor
  Haswell-noTSX         (alias of Haswell-v2)
  Nehalem               (alias configured by machine type)
  base                  base CPU model type with no features enabled
  host                  processor with all supported host features
  max                   Enables all features supported by the accelerator in the current host

Recognized CPUID flags:
  3dnow 3dnowext 3dnowprefetch abm ace2 ace2-en acpi adx aes amd-no-ssb
  avx avx2 avx512-4fmaps avx512-4vnniw avx512-bf16 pku pni xsave
`

const listed = [
  '486',
  '486-v1',
  'Broadwell-noTSX-IBRS',
  'EPYC-Milan-v1',
  'Haswell-noTSX',
  'Nehalem',
  'base',
  'host',
  'max',
]

describe('what QEMU says of itself', () => {
  test.each([
    ['7.2', help7],
    ['10.0', help10],
  ])('the models of %s, and no flags', (_, text) => {
    expect([...modelsIn(text)]).toEqual(listed)
  })

  test.each(['', '\n', 'Recognized CPUID flags:\n  avx\n', 'Available CPUs:\n'])('no models in %j', text => {
    expect([...modelsIn(text)]).toEqual([])
  })

  test.each([
    ['QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright (c) 2003-2022', '7.2.22'],
    ['QEMU emulator version 10.0.2 (qemu-10.0.2-1.fc42)', '10.0.2'],
    ['QEMU emulator version 9.1.50\n', '9.1.50'],
    ['', 'of unknown version'],
  ])('%j is %s', (text, version) => {
    expect(versionIn(text)).toBe(version)
  })
})

describe('--cpu', () => {
  const models = modelsIn(help7)

  test('names are distinct, and have models', () => {
    const names = namedCpus.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const { models } of namedCpus) expect(models.length).toBeGreaterThan(0)
  })

  test('every name, where QEMU has all, is its first model', () => {
    const all = new Set(namedCpus.flatMap(one => one.models.map(model => model.split(',')[0] as string)))
    for (const {
      name,
      emulator,
      models: [model],
    } of namedCpus)
      expect(cpuOf(name, all)).toEqual({ name, emulator, model })
  })

  test('every name, where there is no QEMU', () => {
    for (const {
      name,
      emulator,
      models: [model],
    } of namedCpus)
      expect(cpuOf(name, null)).toEqual({ name, emulator, model })
  })

  test('the next model, where QEMU lacks the first', () => {
    expect(cpuOf('avx', new Set(['SandyBridge', 'Haswell']))).toMatchObject({ name: 'avx', model: 'Haswell' })
    expect(cpuOf('no-xsave', new Set(['core2duo']))).toMatchObject({ model: 'core2duo' })
  })

  test('none of them: it says which', () => {
    expect(() => cpuOf('avx', new Set(['max']))).toThrow(RangeError)
    expect(() => cpuOf('avx', new Set(['max']))).toThrow(
      /^--cpu is "avx", but this QEMU has none of Haswell-noTSX Haswell SandyBridge$/,
    )
  })

  test("Bochs's CPUs are not asked of QEMU", () => {
    expect(cpuOf('skylake-x', new Set())).toMatchObject({ emulator: 'bochs', model: 'corei7_skylake_x' })
  })

  test.each(['Nehalem', 'max,-avx', 'max,+xsave,level=13', 'EPYC-Milan-v1'])("QEMU's own: %s", name => {
    expect(cpuOf(name, models)).toEqual({ name, emulator: 'qemu', model: name })
  })

  test.each([
    'nosuch',
    '',
    'MAX',
    'haswell-notsx',
    'avx,-xsave',
    ',max',
    'max -avx',
    '__proto__',
    'Recognized',
  ])('%j is none', name => {
    expect(() => cpuOf(name, models)).toThrow(RangeError)
    expect(() => cpuOf(name, models)).toThrow(/must be one of no-xsave sse avx .*-cpu help lists$/)
  })

  test('without QEMU its own models cannot be checked', () => {
    expect(cpuOf('nosuch', null)).toEqual({ name: 'nosuch', emulator: 'qemu', model: 'nosuch' })
  })
})

describe("QEMU's arguments", () => {
  const spec: MachineSpec = {
    kernel: '/k/bz,Image',
    initramfs: '/i/initramfs',
    cpu: 'max,-avx',
    commandLine: 'console=ttyS0 panic=-1',
    memoryMib: 1024,
    cpus: 2,
    acceleration: 'tcg',
    folder: '/f',
  }
  const files = { console: '/f/console.log', data: '/f/data.log' }
  const after = (args: readonly string[], option: string): string[] =>
    args.flatMap((arg, i) => (arg === option ? [args[i + 1] as string] : []))

  test('each once, as the machine has it', () => {
    const args = qemuArguments(spec, files)
    expect(after(args, '-kernel')).toEqual(['/k/bz,Image'])
    expect(after(args, '-initrd')).toEqual(['/i/initramfs'])
    expect(after(args, '-append')).toEqual(['console=ttyS0 panic=-1'])
    expect(after(args, '-cpu')).toEqual(['max,-avx'])
    expect(after(args, '-smp')).toEqual(['2'])
    expect(after(args, '-m')).toEqual(['1024'])
    expect(args).toContain('-no-reboot')
    expect(args).toContain('-nodefaults')
  })

  test('the console is the first port, the data the second', () => {
    const args = qemuArguments(spec, files)
    expect(after(args, '-serial')).toEqual(['chardev:console', 'chardev:data'])
    expect(after(args, '-chardev')).toEqual([
      'file,id=console,path=/f/console.log',
      'file,id=data,path=/f/data.log',
    ])
  })

  test('commas in paths begin no option', () => {
    const args = qemuArguments(spec, { console: '/a,b/,c,,.log', data: '/a,b/d' })
    expect(after(args, '-chardev')).toEqual([
      'file,id=console,path=/a,,b/,,c,,,,.log',
      'file,id=data,path=/a,,b/d',
    ])
  })

  test.each([
    ['tcg', /^tcg\b/],
    ['kvm', /^kvm$/],
  ] as const)('%s', (acceleration, accelerator) => {
    expect(after(qemuArguments({ ...spec, acceleration }, files), '-accel')).toEqual([
      expect.stringMatching(accelerator),
    ])
  })
})
