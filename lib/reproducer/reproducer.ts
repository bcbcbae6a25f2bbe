/** Frames and what is expected of each, as one C file that any x86-64 Linux host compiles and runs. Pure. */
import { isIa32 } from '../frame/abi.ts'
import { minXsaveSize } from '../xstate/layout.ts'
import { fireOf } from './c/fire.ts'
import { judgeOf, mainOfMany, mainOfOne } from './c/judge.ts'
import { editingOf, probeOf } from './c/probe.ts'
import { type Sizes, typesOf } from './c/types.ts'
import type { Uses } from './c/uses.ts'
import { isSkipped, type ReproducedTest, type Reproducible, type SkippedTest } from './model.ts'
import {
  byteTables,
  type CompiledProbe,
  compileProbe,
  createPools,
  probeMember,
  sharedTables,
} from './tables.ts'
import { asciiText, commentOf, stringOf } from './text.ts'

const page = 4096
const pages = (bytes: number): number => Math.ceil(bytes / page) * page
const cacheLine = 64

interface Compiled extends Reproducible {
  readonly compiled: readonly CompiledProbe[]
}

type CompiledTest = Compiled | SkippedTest

const compile = (test: Reproducible, field: string): Compiled => {
  if (test.probes.length === 0) throw new RangeError(`${field}.probes is empty, must have a probe`)
  return {
    ...test,
    compiled: test.probes.map((probe, i) => compileProbe(probe, test, `${field}.probes[${i}]`)),
  }
}

const xtiledata = 1n << 18n

const usesOf = (tests: readonly Compiled[], ktap: boolean): Uses => {
  const all = tests.flatMap(({ compiled }) => compiled)
  const raised = (raise: string): boolean => all.some(({ probe }) => probe.raise === raise)
  const does = (code: string): boolean =>
    all.some(({ primitives }) => primitives.some(primitive => primitive.code === code))
  return {
    ia32: all.some(({ probe }) => isIa32(probe.abi)) || raised('tgkill32'),
    x32: all.some(({ probe }) => probe.abi === 'x32'),
    fake: raised('fake'),
    timer: raised('timer'),
    sibling: raised('blocked') || raised('ipi'),
    spin: raised('timer') || raised('ipi'),
    stack: all.some(({ probe }) => probe.stack !== null),
    closedKey: all.some(({ probe }) => probe.stack?.state === 'closed-key'),
    spare: does('move'),
    pages: does('pages'),
    permission: tests.some(({ layout }) => (layout.features & xtiledata) !== 0n),
    ktap,
  }
}

/** Room below a frame for the kernel's head and alignment, and for a handler on an alternate stack. */
const belowFrame = 64 * 1024

const sizesOf = (tests: readonly Compiled[]): Sizes => {
  const largest = Math.max(minXsaveSize, ...tests.map(({ layout }) => layout.size))
  const stacks = tests.flatMap(({ compiled }) => compiled.map(({ probe }) => probe.stack?.bytes ?? 0))
  return {
    imageBytes: Math.ceil(largest / cacheLine) * cacheLine,
    components: Math.max(2, ...tests.map(({ layout }) => layout.components.length)),
    stackBytes: pages(Math.max(2 * largest, ...stacks) + belowFrame),
  }
}

const howTo = (file: string): string[] => [
  '',
  'Compile and run, on x86-64 Linux with glibc:',
  `  gcc -O2 -Wall -Wextra -o ${file} ${file}.c && ./${file}`,
  'Exit code: 0 as expected, 1 not, 4 cannot be run here (other layout, no such frames).',
]

const license = '/* SPDX-License-Identifier: GPL-2.0 OR MIT */'

const programOf = (top: readonly string[], tests: readonly CompiledTest[], ktap: boolean): string => {
  const run = tests.filter((test): test is Compiled => !isSkipped(test))
  const uses = usesOf(run, ktap)
  const pools = createPools()
  const members = tests.map(test =>
    isSkipped(test) ? [] : test.compiled.map(one => probeMember(one, test, pools, uses.stack)),
  )
  const probes = members.flatMap((probe, i) =>
    probe.length === 0 ? [] : [`static const struct probe probes_${i}[] = {\n${probe.join('\n')}\n};`],
  )
  const rows = tests.map((test, i) => {
    const name = stringOf(ktap ? test.title.replaceAll('#', '') : test.title)
    if (isSkipped(test)) return `{ ${name}, NULL, 0, ${stringOf(test.skip.replaceAll('#', ''))}, NULL }`
    const newer = test.newer === null ? 'NULL' : stringOf(test.newer.replaceAll('#', ''))
    return `{ ${name}, probes_${i}, ${test.probes.length}, NULL, ${newer} }`
  })
  const table = `static const struct test tests[] = {\n${rows.map(row => `\t${row},`).join('\n')}\n};`
  const parts = [
    license,
    commentOf(top),
    typesOf(uses, sizesOf(run)).trimEnd(),
    ...sharedTables(pools),
    ...probes,
    table,
    fireOf(uses).trim(),
    editingOf(uses).trim(),
    probeOf(uses).trim(),
    judgeOf(uses).trim(),
    (ktap ? mainOfMany : mainOfOne).trim(),
    ...byteTables(pools),
  ]
  return `${parts.join('\n\n').replace(/\n{3,}/g, '\n\n')}\n`
}

/**
 * One C file that sends these frames to the kernel that it runs on. It exits with 0 where what became of them is what
 * is expected, 1 where it is not, 4 where they cannot be had.
 * @throws TypeError, RangeError for what cannot be a C program: see `beyondC`, or ask `reproducibleCase`
 */
export const cReproducer = (one: Reproducible): string =>
  programOf([one.title, '', ...one.about, ...howTo('reproducer')], [compile(one, 'reproducible')], false)

/**
 * Tests as one C file that prints KTAP, in the manner of the kernel's own selftests. One whose rule is newer than kernels
 * may be is an XFAIL where it does not hold.
 * @throws as `cReproducer`
 */
export const cSelftest = (
  selftest: { readonly name: string; readonly summary: string },
  tests: readonly ReproducedTest[],
): string =>
  programOf(
    [`${asciiText(selftest.name)}: ${selftest.summary}`, ...howTo(selftest.name.replace(/\W/g, '_'))],
    tests.map((test, i) => (isSkipped(test) ? test : compile(test, `tests[${i}]`))),
    true,
  )
