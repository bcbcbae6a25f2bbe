/** What the trials on HWCAPs and permissions conclude, of kernels that err in one thing; and the child that they ask. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { CaseContext } from '../../lib/harness/selftest.ts'
import type { ChildTrial } from '../../lib/harness/trials/children.ts'
import * as hwcaps from '../../lib/harness/trials/hwcaps.ts'
import * as permissions from '../../lib/harness/trials/permissions.ts'
import { nativeProblem, probePath } from '../../lib/native.ts'
import { auxEntry, auxType, parseAuxv32 } from '../../lib/neighbours/auxv/vector.ts'
import { askChild, parseAnswers } from '../../lib/neighbours/child/steps.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { contextOf, machineNamed } from '../contract/simulated-cases.ts'
import { zombiesOf } from '../probe/procfs.ts'
import { askSimulated, type Kernel, own } from './simulated-child.ts'

const { layout } = machineNamed('zen4')
const plain = contextOf(layout)
/** A task of a host with AMX, that has not asked for tiles. */
const context = {
  ...plain,
  layout: { ...layout, features: 0x202e7n },
  cpu: {
    ...plain.cpu,
    xcr0: 0x602e7n,
    components: [
      { index: 18, size: 8192, offset: 2816, supervisor: false, alignedCompacted: true, xfd: true },
    ],
  },
} as unknown as CaseContext
const probe = {} as Probe

const found = (trial: ChildTrial, changes: Partial<Kernel>) => {
  const done = trial(probe, context, askSimulated(changes))
  if ('lost' in done) return done.lost
  return 'unable' in done ? done.unable : done.observed
}

type Row = readonly [
  name: string,
  trial: ChildTrial,
  wrong: readonly (readonly [changes: Partial<Kernel>, found: string])[],
]

const inheriting: Partial<Kernel> = { inherits: true }

const established: readonly Row[] = [
  [
    'readsAlike',
    hwcaps.readsAlike,
    [
      [{ getAuxv: new Map([[auxType.hwcap, 1n]]) }, 'unexplained'],
      [{ getAuxv: new Map() }, 'unexplained'],
    ],
  ],
  ['namesLegacyState', hwcaps.namesLegacyState, [[{ hwcap: own.hwcap & ~(1n << 25n) }, 'unexplained']]],
  [
    'tellsOfFsgsbase',
    hwcaps.tellsOfFsgsbase,
    [
      [{ rdfsbase: false }, 'unexplained'],
      [{ hwcap2: 0n }, 'unexplained'],
    ],
  ],
  ['pointsToVdso', hwcaps.pointsToVdso, [[{ vdso: 0x7f454c47n }, 'unexplained']]],
  [
    'setsByMap',
    hwcaps.setsByMap,
    [
      [{ mapTakes: false }, 'unexplained'],
      [{ hwcap: 0n }, 'the kernel gives no AT_HWCAP'],
    ],
  ],
  ['setsByAuxv', hwcaps.setsByAuxv, [[{ auxvErrno: 'EPERM' }, 'PR_SET_MM_AUXV: EPERM']]],
  ['survivesFork', hwcaps.survivesFork, [[{ forkKeeps: false }, 'unexplained']]],
  ['noMoreThanOwn', hwcaps.noMoreThanOwn, [[{ execTakesAll: true }, 'unexplained']]],
  [
    'noMoreThanOwnIn32',
    hwcaps.noMoreThanOwnIn32,
    [
      [{ execTakesAll: true }, 'unexplained'],
      [{ exec32: 'ENOEXEC' }, 'execve of a 32-bit program: ENOEXEC'],
    ],
  ],
  [
    'otherwiseOwn',
    hwcaps.otherwiseOwn,
    [
      [{ execTakesMinsigstksz: true }, 'unexplained'],
      [{ execTakesVdso: true }, 'unexplained'],
    ],
  ],
  ['supportsXcr0', permissions.supportsXcr0, [[{ xcr0: 0x202e7n }, 'unexplained']]],
  ['permitsWhatNeedsNone', permissions.permitsWhatNeedsNone, [[{ permitted: 0x602e7n }, 'unexplained']]],
  [
    'isGiven',
    permissions.isGiven,
    [
      [{ grants: false }, 'unexplained'],
      [{ grantsMore: 1n << 19n }, 'unexplained'],
      [{ guarded: 0n, unneeded: 'EPERM' }, 'ARCH_REQ_XCOMP_PERM is refused here with EPERM'],
      [{ guarded: 0n }, 'unexplained'],
    ],
  ],
  ['isKept', permissions.isKept, [[{ takesBack: true }, 'unexplained']]],
  ['survivesFork (permission)', permissions.survivesFork, [[{ permissionForks: false }, 'unexplained']]],
  ['endsWithExec', permissions.endsWithExec, [[{ permissionExecs: true }, 'unexplained']]],
  [
    'refusesWrong',
    permissions.refusesWrong,
    [
      [{ unneeded: null }, 'unexplained'],
      [{ unneeded: 'EINVAL' }, 'unexplained'],
      [{ givesRefused: true }, 'unexplained'],
      [{ none: 'EOPNOTSUPP' }, 'unexplained'],
      [{ badAddress: null }, 'unexplained'],
    ],
  ],
  ['isInFrames', permissions.isInFrames, [[{ permitted: 0x2e7n }, 'unexplained']]],
]

describe.each(established)('%s', (_, trial, wrong) => {
  test('holds on a good kernel, with and without what is proposed', () => {
    expect(found(trial, {})).toBe('as-stated')
    expect(found(trial, inheriting)).toBe('as-stated')
  })

  test.each(wrong)('one that errs: %#', (changes, expected) => {
    expect(found(trial, changes)).toBe(expected)
  })

  test('a child that dies is a crash, one that a filter ends or that is not to be had a skip', () => {
    expect(found(trial, { dies: 'SIGSEGV' })).toBe('crash')
    expect(found(trial, { dies: 'SIGALRM' })).toBe('timeout')
    expect(found(trial, { dies: 'SIGSYS' })).toBe('a seccomp filter ended the child (SIGSYS)')
    expect(found(trial, { unable: 'EAGAIN' })).toBe('EAGAIN')
  })
})

const proposed: readonly Row[] = [
  ['inherits', hwcaps.inherits, []],
  ['isMasked', hwcaps.isMasked, [[{ masks: false }, 'unexplained']]],
  ['inheritsThroughFork', hwcaps.inheritsThroughFork, [[{ inheritsOverFork: false }, 'forgotten']]],
  ['inheritsAgain', hwcaps.inheritsAgain, [[{ inheritsAgain: false }, 'forgotten']]],
  [
    'inheritsIn32',
    hwcaps.inheritsIn32,
    [
      [{ inheritsIn32: false }, 'forgotten'],
      [{ exec32: 'ENOEXEC' }, 'execve of a 32-bit program: ENOEXEC'],
    ],
  ],
  [
    'inheritsThrough32',
    hwcaps.inheritsThrough32,
    [
      [{ inheritsFrom32: false }, 'forgotten'],
      [{ exec32: 'EACCES' }, 'execve of a 32-bit program: EACCES'],
    ],
  ],
  ['inheritsNothing', hwcaps.inheritsNothing, [[{ inheritsNothing: false }, 'forgotten']]],
]

describe.each(proposed)('%s, which is proposed', (_, trial, wrong) => {
  test('is forgotten today, and kept where it is merged', () => {
    expect(found(trial, {})).toBe('forgotten')
    expect(found(trial, inheriting)).toBe('as-stated')
  })

  test.each(wrong)('one that errs: %#', (changes, expected) => {
    expect(found(trial, { ...inheriting, ...changes })).toBe(expected)
  })
})

describe('needsCapability', () => {
  test('EPERM without it; anything else is wrong', () => {
    expect(found(hwcaps.needsCapability, { auxvErrno: 'EPERM' })).toBe('as-stated')
    expect(found(hwcaps.needsCapability, { auxvErrno: 'EINVAL' })).toBe('unexplained')
  })
})

test('kernels without arch_prctl’s calls are skipped for it', () => {
  expect(found(permissions.isGiven, { xcr0: null })).toBe('this kernel has no ARCH_GET_XCOMP_*: EINVAL')
})

describe('what a child says', () => {
  test('errno names, vectors in hexadecimal, and the 32-bit program’s own, which is binary', () => {
    const text = 'map 22\nread 0 10=ff 1a=2\narch 0 602e7\nvdso 0 7f454c4602\nauxv32\n'
    const raw = Buffer.from(new Uint32Array([16, 5, 26, 2, 0, 0, 51, 1]).buffer)
    const answers = parseAnswers(Buffer.concat([Buffer.from(text), raw]))
    expect(answers.map(({ step, errno }) => [step, errno])).toEqual([
      ['map', 'EINVAL'],
      ['read', null],
      ['arch', null],
      ['vdso', null],
      ['auxv32', null],
    ])
    expect([...answers[1]!.vector]).toEqual([
      [16, 0xffn],
      [26, 2n],
    ])
    expect(answers[2]!.value).toBe(0x602e7n)
    expect(answers[3]!.value).toBe(0x7f454c46n)
    expect([...answers[4]!.vector]).toEqual([
      [16, 5n],
      [26, 2n],
    ])
  })

  test('a vector that is cut, or has no end, is taken as far as it goes', () => {
    expect([...parseAuxv32(new Uint8Array([16, 0, 0, 0, 1, 0, 0, 0, 26, 0, 0]))]).toEqual([[16, 1n]])
    expect(parseAuxv32(new Uint8Array(0)).size).toBe(0)
  })
})

describe.skipIf(nativeProblem() !== undefined)('the child itself', () => {
  const answersOf = (...steps: Parameters<typeof askChild>[0]) => {
    const done = askChild(steps)
    if (done.kind !== 'answered') throw new Error(JSON.stringify(done))
    return done.answers
  }

  test('reads the vector that every program of this host gets', () => {
    const [read] = answersOf({ step: 'read' })
    const mine = readFileSync('/proc/self/auxv')
    for (let at = 0; at + 16 <= mine.length; at += 16) {
      const type = Number(mine.readBigUInt64LE(at))
      if (type === auxType.hwcap || type === auxType.hwcap2 || type === auxType.minsigstksz)
        expect(read!.vector.get(type)).toBe(mine.readBigUInt64LE(at + 8))
    }
    expect(read!.vector.has(auxType.hwcap)).toBe(true)
  })

  test('changes its own vector and nobody else’s', () => {
    const entries = new Map<number, bigint>([
      [auxType.hwcap, 5n],
      [auxType.hwcap4, 7n],
    ])
    const [map, read] = answersOf({ step: 'map', entries }, { step: 'read' })
    // Without CONFIG_CHECKPOINT_RESTORE there is no such call.
    if (map!.errno === null) {
      expect(auxEntry(read!.vector, 'hwcap')).toBe(5n)
      expect(auxEntry(read!.vector, 'hwcap4')).toBe(7n)
    } else expect(map!.errno).toBe('EINVAL')
    const [again] = answersOf({ step: 'read' })
    expect(auxEntry(again!.vector, 'hwcap')).not.toBe(5n)
  })

  test('an empty vector is empty, and executes all the same', () => {
    const [map, empty, full] = answersOf(
      { step: 'map', entries: null },
      { step: 'read' },
      { step: 'exec' },
      { step: 'read' },
    )
    if (map!.errno !== null) return
    expect(empty!.vector.size).toBe(0)
    expect(full!.vector.size).toBeGreaterThan(5)
  })

  test('steps that it does not know, and too many, are refused at once', () => {
    for (const steps of [['nosuch'], ['map:zz'], new Array(33).fill('read')]) {
      const { status, stdout } = spawnSync(probePath(), ['steps', ...steps], { timeout: 5000 })
      if (steps[0] === 'map:zz') expect(stdout.toString()).toBe('map 7\n')
      else expect(status).toBe(82)
    }
  })

  test('leaves nobody behind', () => {
    answersOf({ step: 'fork' }, { step: 'exec' }, { step: 'read' })
    expect(zombiesOf(process.pid)).toEqual([])
  })
})
