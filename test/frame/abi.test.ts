import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it, type TestContext } from 'vitest'
import {
  type Abi,
  abis,
  type CommonHeadField,
  checkAbi,
  type FrameShape,
  frameShape,
  type HeadField,
  isIa32,
} from '../../lib/frame/abi.ts'
import type { FieldPlace } from '../../lib/frame/format.ts'
import { needsProbes, returned, session } from '../probe/support.ts'
import { anyHostile } from '../xstate/arbitrary.ts'

const fieldsOf = ({ fields }: FrameShape): [HeadField, FieldPlace][] =>
  Object.entries(fields) as [HeadField, FieldPlace][]

const read = (head: Uint8Array, { at, width }: FieldPlace): bigint => {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (width === 8) return view.getBigUint64(at, true)
  return BigInt(width === 4 ? view.getUint32(at, true) : view.getUint16(at, true))
}

describe('the name of an ABI', () => {
  it.each(abis)('%s', abi => {
    expect(checkAbi('abi', abi)).toBe(abi)
    expect(frameShape(abi).abi).toBe(abi)
  })

  it('is refused by its field when there is no such one', () => {
    expect(() => checkAbi('request.abi', 'arm')).toThrow(
      new RangeError('request.abi is "arm", must be one of x86_64 ia32-rt ia32 x32'),
    )
    expect(() => checkAbi('abi', undefined)).toThrow(
      new TypeError('abi must be the name of an ABI, not undefined'),
    )
    expect(() => frameShape('toString' as Abi)).toThrow(RangeError)
  })

  it('can be asked of any value', () => {
    fc.assert(
      fc.property(anyHostile, value => {
        expect(() => checkAbi('abi', value)).toThrow(typeof value === 'string' ? RangeError : TypeError)
      }),
    )
  })
})

describe.each(abis)('the shape of %s frames', abi => {
  const shape = frameShape(abi)

  it('has fields that lie apart, within the head', () => {
    const used = new Set<number>()
    for (const [name, { at, width }] of fieldsOf(shape)) {
      expect(at + width, name).toBeLessThanOrEqual(shape.headBytes)
      for (let i = at; i < at + width; i++) {
        expect(used.has(i), name).toBe(false)
        used.add(i)
      }
    }
  })

  it('has the fields that all have', () => {
    const common: CommonHeadField[] = ['pretcode', 'rip', 'rsp', 'eflags', 'rax', 'rbx', 'rcx', 'rdx', 'rsi']
    const more: CommonHeadField[] = ['rdi', 'rbp', 'cs', 'ss', 'fs', 'gs', 'trapno', 'err', 'cr2', 'oldmask']
    expect(Object.keys(shape.fields)).toEqual(expect.arrayContaining([...common, ...more, 'fpstate']))
  })

  it('cannot be changed', () => {
    expect(() => Object.assign(shape.fields.rip, { at: 0 })).toThrow(TypeError)
    expect(() => Object.assign(shape.fields, { rip: null })).toThrow(TypeError)
    expect(() => Object.assign(shape, { headBytes: 0 })).toThrow(TypeError)
  })
})

it.each([
  ['x86_64', { headBytes: 440, frameBytes: 440, fsave: false, fsaveSize: 0, trailer: 4 }],
  ['ia32-rt', { headBytes: 268, frameBytes: 268, fsave: true, fsaveSize: 112, trailer: 116 }],
  ['x32', { headBytes: 424, frameBytes: 424, fsave: false, fsaveSize: 0, trailer: 4 }],
  ['ia32', { headBytes: 108, frameBytes: 732, fsave: true, fsaveSize: 112, trailer: 116 }],
] as const)('%s frames have their sizes', (abi, sizes) => {
  expect(frameShape(abi)).toMatchObject(sizes)
})

// Written by Linux 6.18.44 for a 32-bit program that reads from 0xdeadb000 with these registers.
const common = {
  pretcode: 0xcafe0000n,
  sig: 11n,
  gs: 0x23n,
  fs: 0x33n,
  es: 0n,
  ds: 0x2bn,
  rdi: 0x55555555n,
  rsi: 0x44444444n,
  rbp: 0x66666666n,
  rsp: 0x0805af80n,
  rbx: 0x11111111n,
  rdx: 0x33333333n,
  rcx: 0x22222222n,
  rax: 0x77777777n,
  trapno: 14n,
  err: 4n,
  rip: 0x08049128n,
  cs: 0x23n,
  eflags: 0x10646n,
  spAtSignal: 0x0805af80n,
  ss: 0x2bn,
  fpstate: 0x0806a450n,
  oldmask: 0x00011200n,
  cr2: 0xdeadb000n,
}
const zeros = (bytes: number): string => '00'.repeat(bytes)
const sigcontext =
  '2300000033000000000000002b00000055555555444444446666666680af05081111111133333333222222227777' +
  '77770e0000000400000028910408230000004606010080af05082b00000050a406080012010000b0adde'
const heads = {
  'ia32-rt':
    `0000feca0b0000004ca30608cca306080b000000000000000100000000b0adde${zeros(112)}010000000000000000b00508` +
    `0000000000000100${sigcontext}0012010000c0ab00b8ad000000cd8000`,
  ia32: `0000feca0b000000${sigcontext}00c0ab0058b877000000cd80`,
}

describe('the head of a frame that a kernel wrote', () => {
  it.each([
    [
      'ia32-rt',
      {
        pinfo: 0x0806a34cn,
        puc: 0x0806a3ccn,
        ucFlags: 1n,
        ucLink: 0n,
        ucStackSp: 0x0805b000n,
        ucStackFlags: 0n,
        ucStackSize: 0x10000n,
        sigmask: 0x00abc000_00011200n,
      },
    ],
    ['ia32', { extramask: 0x00abc000n }],
  ] as const)('is read: %s', (abi, own) => {
    const shape = frameShape(abi)
    const head = Buffer.from(heads[abi], 'hex')
    expect(head).toHaveLength(shape.headBytes)
    const values = fieldsOf(shape).map(([name, place]) => [name, read(head, place)])
    expect(Object.fromEntries(values)).toEqual({ ...common, ...own })
  })

  it('is read: x86_64', ctx => {
    needsProbes(ctx)
    const probe = session()
    const { head, fpstatePointer } = returned(probe.runSync()).written
    const { fields, headBytes } = frameShape('x86_64')
    expect(head).toHaveLength(headBytes)
    expect(read(head, fields.fpstate)).toBe(fpstatePointer)
    // __USER_CS, __USER_DS, and a system call that succeeded.
    expect([fields.cs, fields.ss, fields.rax].map(place => read(head, place))).toEqual([0x33n, 0x2bn, 0n])
    // UC_SIGCONTEXT_SS and UC_STRICT_RESTORE_SS, with XSAVE UC_FP_XSTATE too.
    expect(read(head, fields.ucFlags!)).toBe(probe.layout.xsave ? 7n : 6n)
    // The frame was put below what the stack held.
    expect(read(head, fields.rsp)).toBeGreaterThan(fpstatePointer + BigInt(probe.layout.size))
  })
})

// The kernel's own structs, around those that its headers give to programs.
const structs = `
#include <asm/sigcontext.h>
#include <stddef.h>
typedef __u32 u32;
typedef __u64 u64;
struct stack_ia32 { u32 ss_sp; int ss_flags; u32 ss_size; };
struct stack_64 { u64 ss_sp; int ss_flags; u64 ss_size; };
struct ucontext_ia32 { u32 uc_flags, uc_link; struct stack_ia32 uc_stack; struct sigcontext_32 uc_mcontext;
                       u32 uc_sigmask[2]; };
struct ucontext_64 { u64 uc_flags, uc_link; struct stack_64 uc_stack; struct sigcontext_64 uc_mcontext;
                     u64 uc_sigmask; };
struct x86_64 { u64 pretcode; struct ucontext_64 uc; char info[128]; };
struct ucontext_x32 { u32 uc_flags, uc_link; struct stack_ia32 uc_stack; u32 pad; struct sigcontext_64 uc_mcontext;
                      u64 uc_sigmask; };
struct x32 { u64 pretcode; struct ucontext_x32 uc; char info[128]; };
struct ia32_rt { u32 pretcode; int sig; u32 pinfo, puc; char info[128]; struct ucontext_ia32 uc;
                 char retcode[8]; };
struct ia32 { u32 pretcode; int sig; struct sigcontext_32 sc; struct _fpstate_32 fpstate_unused;
              u32 extramask[1]; char retcode[8]; };
`

const elsewhere: Partial<Record<HeadField, string>> = {
  pretcode: 'pretcode',
  sig: 'sig',
  pinfo: 'pinfo',
  puc: 'puc',
  extramask: 'extramask',
  ucFlags: 'uc.uc_flags',
  ucLink: 'uc.uc_link',
  ucStackSp: 'uc.uc_stack.ss_sp',
  ucStackFlags: 'uc.uc_stack.ss_flags',
  ucStackSize: 'uc.uc_stack.ss_size',
  sigmask: 'uc.uc_sigmask',
}
const renamed: Partial<Record<HeadField, string>> = { eflags: 'flags', spAtSignal: 'sp_at_signal' }

const memberOf = (abi: Abi, name: HeadField): string => {
  const context = abi === 'ia32' ? 'sc' : 'uc.uc_mcontext'
  return elsewhere[name] ?? `${context}.${renamed[name] ?? name.replace(/^r(?=[a-z])/, '')}`
}

/** Where in the frame a byte of the recorded head lies. */
const inFrame = ({ recorded }: FrameShape, at: number): number => {
  let start = 0
  for (const { offset, size } of recorded) {
    if (at < start + size) return offset + at - start
    start += size
  }
  throw new Error(`${at} is not recorded`)
}

const assertions = (abi: Abi): string[] => {
  const shape = frameShape(abi)
  const struct = `struct ${abi.replace('-', '_')}`
  const fields = fieldsOf(shape).map(([name, { at, width }]) => {
    const member = memberOf(abi, name)
    const place = `offsetof(${struct}, ${member}) == ${inFrame(shape, at)}`
    return `_Static_assert(${place} && sizeof(((${struct} *)0)->${member}) == ${width}, "${abi} ${name}");`
  })
  const last = isIa32(abi) ? 'retcode) + 8' : 'info) + 128'
  return [...fields, `_Static_assert(offsetof(${struct}, ${last} == ${shape.frameBytes}, "${abi}");`]
}

const compile = (source: string) =>
  spawnSync('cc', ['-x', 'c', '-fsyntax-only', '-'], { input: source, encoding: 'utf8' })

const needsHeaders = (ctx: TestContext): void => {
  if (compile(structs).status !== 0) ctx.skip('no C compiler with the kernel’s x86 headers')
}

describe('the kernel’s headers', () => {
  it.for(abis)('agree on %s', (abi, ctx) => {
    needsHeaders(ctx)
    expect(compile([structs, ...assertions(abi)].join('\n')).stderr).toBe('')
  })
})
