import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { abis, frameShape, isIa32 } from '../../lib/frame/abi.ts'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { magic2 } from '../../lib/frame/format.ts'
import { createGrammar, type DrawnFrame } from '../../lib/fuzz/grammar.ts'
import { hazardOf } from '../../lib/fuzz/hazard.ts'
import { plainOp } from '../../lib/harness/repro.ts'
import { validateLoadable } from '../../lib/xstate/image.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { createRandom, randomImage } from '../../lib/xstate/random.ts'
import { limitsOf } from '../contract/simulated-probe.ts'
import { anySeed, known } from '../xstate/arbitrary.ts'
import { framesOf, grammarOf, withXsave } from './frames.ts'

const compile = (layout: Layout, { edit, abi }: DrawnFrame) =>
  compileEdit(edit, layout, limitsOf(layout), 'edit', abi)

const showEdit = ({ abi, edit }: DrawnFrame): string => JSON.stringify([abi, ...edit.map(plainOp)])

type Combine = 'and' | 'or' | 'xor'
type Named<Name extends EditOp['op']> = Extract<
  EditOp,
  { readonly op: Name extends Combine ? Combine : Name }
>
const opsOf = <Name extends EditOp['op']>({ edit }: DrawnFrame, name: Name): Named<Name>[] =>
  edit.filter((op): op is Named<Name> => op.op === name)

const sentOf = (layout: Layout, frame: DrawnFrame) => {
  const load = randomImage(layout, { seed: frame.load })
  const { primitives } = compile(layout, frame)
  const { fpstate } = buildFpstate(layout, load, frame.abi)
  return { load, written: fpstate, sent: applyPrimitives(fpstate, primitives) }
}

const u32 = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer).getUint32(at, true)
const u64 = (bytes: Uint8Array, at: number): bigint => new DataView(bytes.buffer).getBigUint64(at, true)

const eachLayout = (name: string, check: (layout: Layout) => void): void => {
  test.each(withXsave)(`${name}: %s`, cpu => check(known(cpu)))
}

describe('what is drawn can be sent', () => {
  eachLayout('it compiles', layout => {
    for (const frame of framesOf(layout, 4000))
      expect(() => compile(layout, frame), showEdit(frame)).not.toThrow()
  })

  test('whatever the seed', () => {
    const layout = known('sapphire-rapids-tiles')
    fc.assert(
      fc.property(anySeed, seed => {
        for (const frame of framesOf(layout, 20, seed)) compile(layout, frame)
      }),
    )
  })

  eachLayout('indices are of the pools, raises and ABIs as they may be', layout => {
    const seen = framesOf(layout, 2000)
    const range = (numbers: readonly number[]) => [Math.min(...numbers), Math.max(...numbers)]
    expect(range(seen.map(({ load }) => load))).toEqual([0, 15])
    expect(range(seen.map(({ poison }) => poison))).toEqual([0, 7])
    expect(new Set(seen.map(({ abi }) => abi))).toEqual(new Set(abis))
    expect(new Set(seen.map(({ raise }) => raise))).toEqual(new Set(['tgkill', 'tgkill32', 'fake']))
  })

  test('without 32-bit frames nothing is raised from 32-bit code', () => {
    const layout = known('zen4')
    const draw = createGrammar({
      layout,
      limits: limitsOf(layout),
      abis: ['x86_64', 'x32'],
      loads: 1,
      poisons: 1,
      isolatedShare: 0,
    })
    const random = createRandom(1)
    const frames = Array.from({ length: 3000 }, () => draw(random))
    expect(frames.filter(({ raise }) => raise === 'tgkill32')).toEqual([])
    expect(
      frames.filter(({ edit }) => edit.some(op => 'field' in op && op.field.startsWith('fsave.'))),
    ).toEqual([])
  })
})

describe('the same state of the generator gives the same frame', () => {
  test('also from another grammar of the same context', () => {
    const layout = known('skylake-sp')
    fc.assert(
      fc.property(anySeed, seed => {
        expect(framesOf(layout, 10, seed).map(showEdit)).toEqual(framesOf(layout, 10, seed).map(showEdit))
      }),
      { numRuns: 50 },
    )
  })

  test('and what a frame draws is all that the next one depends on', () => {
    const draw = grammarOf(known('zen4'))
    const random = createRandom(9)
    for (let i = 0; i < 500; i++) {
      const copy = random.clone()
      const [first, again] = [draw(random), draw(copy)]
      expect(again).toEqual(first)
      expect(copy.getState()).toEqual(random.getState())
    }
  })

  test('other seeds give others', () => {
    const layout = known('zen4')
    expect(framesOf(layout, 20, 1)).not.toEqual(framesOf(layout, 20, 2))
  })
})

describe('what is sent hurts nobody', () => {
  eachLayout('no hazard', layout => {
    const limits = limitsOf(layout)
    for (const frame of framesOf(layout, 2000)) {
      const load = randomImage(layout, { seed: frame.load })
      expect(hazardOf(frame, { layout, limits, load }), showEdit(frame)).toBeNull()
    }
  })

  // Told once more, and differently: nothing of `hazardOf` is used.
  eachLayout('PKRU leaves key 0 open, BNDCSR and XTILECFG are valid wherever XSTATE_BV has them', layout => {
    const choosy = layout.extended.filter(({ name }) => ['pkru', 'bndcsr', 'xtilecfg'].includes(name))
    for (const frame of framesOf(layout, 2000)) {
      const { sent } = sentOf(layout, frame)
      if (sent.length < 576) continue
      const bv = u64(sent, 512)
      for (const { name, mask, offset, end } of choosy) {
        if ((bv & mask) === 0n || sent.length < end) continue
        const alone = randomImage(layout, { seed: 0, components: [name] })
        alone.bytes.set(sent.subarray(offset, end), offset)
        expect(() => validateLoadable(alone, layout, 'sent'), showEdit(frame)).not.toThrow()
      }
    }
  })

  eachLayout('what a kernel may read is sent, or cannot be read', layout => {
    const { spareBytes } = limitsOf(layout)
    const needed = layout.size + 4
    for (const frame of framesOf(layout, 2000)) {
      const { sent } = sentOf(layout, frame)
      const guarded = opsOf(frame, 'move').find(op => 'guardAt' in op) as { guardAt: number } | undefined
      const by = opsOf(frame, 'pointer').reduce((sum, op) => sum + ('by' in op ? op.by : 0), 0)
      expect(by).toBeGreaterThanOrEqual(0)
      const room = guarded === undefined ? spareBytes : guarded.guardAt
      expect(sent.length, showEdit(frame)).toBeGreaterThanOrEqual(Math.min(room, needed + by))
      if (sent.length < 484) continue
      // MAGIC2 where the frame says, unless that is out of every reach.
      const end = u32(sent, 480) + 4
      if (end > layout.size + 4 && end <= layout.size + 4100)
        expect(sent.length, showEdit(frame)).toBeGreaterThanOrEqual(Math.min(room, end))
    }
  })

  eachLayout(
    'bit 63 of XCOMP_BV comes with components in their places alone, or with bits of none',
    layout => {
      const places = (mask: bigint): boolean => {
        let end = 576
        return layout.extended.every(({ mask: bit, name, offset, size }) => {
          if ((mask & bit) === 0n) return true
          const at = name.startsWith('xtile') ? Math.ceil(end / 64) * 64 : end
          end = at + size
          return at === offset
        })
      }
      let proper = 0
      for (const { edit } of framesOf(layout, 3000)) {
        for (const op of edit) {
          if (op.op !== 'set' || op.field !== 'xcompBv') continue
          const value = BigInt(op.value)
          const mask = BigInt.asUintN(63, value)
          if (value === mask || (mask & ~layout.hostFeatures) !== 0n) continue
          if (mask !== 0n) proper += 1
          expect(places(mask), mask.toString(16)).toBe(true)
        }
      }
      expect(proper).toBeGreaterThan(0)
    },
  )

  test('only a share runs in a process of its own, and only there pages and the head are edited', () => {
    const layout = known('zen4')
    const isolated = (share: number): number =>
      framesOf(layout, 4000, 1, share).filter(frame => compile(layout, frame).isolated).length
    expect(isolated(0)).toBe(0)
    expect(isolated(1)).toBeGreaterThan(1900)
    const some = framesOf(layout, 100_000, 1, 0.002).filter(({ edit }) =>
      edit.some(op => op.op === 'pages' || ('field' in op && op.field.startsWith('head.'))),
    ).length
    expect(some).toBeGreaterThan(100)
    expect(some).toBeLessThan(300)
  })

  test('no other head edits, no pages that are served or contended', () => {
    for (const frame of framesOf(known('zen4'), 4000, 1, 1)) {
      for (const op of frame.edit) {
        if (op.op === 'pages') expect(['evicted', 'readonly', 'unreadable', 'hole']).toContain(op.state)
        if ('field' in op && op.field.startsWith('head.'))
          expect(op).toEqual({
            op: 'set',
            field: frame.abi === 'ia32' ? 'head.oldmask' : 'head.sigmask',
            value: 0x400,
          })
        if (op.op === 'write') expect(op.region).not.toBe('head')
      }
    }
  })
})

/** What occurs, told by a frame's operations and by what is sent. */
const ingredients: Readonly<Record<string, (frame: DrawnFrame, layout: Layout) => boolean>> = {
  nothing: ({ edit }) => edit.length === 0,
  'size 0': frame => opsOf(frame, 'resize').some(op => op.xstateSize === 0),
  'size 575': frame => opsOf(frame, 'resize').some(op => op.xstateSize === 575),
  'size 576': frame => opsOf(frame, 'resize').some(op => op.xstateSize === 576),
  'user_size - 1': (frame, { size }) => opsOf(frame, 'resize').some(op => op.xstateSize === size - 1),
  'user_size + 64': (frame, { size }) => opsOf(frame, 'resize').some(op => op.xstateSize === size + 64),
  'user_size + 4096': (frame, { size }) => opsOf(frame, 'resize').some(op => op.xstateSize === size + 4096),
  'the largest size': ({ abi, edit }) =>
    edit.some(op => op.op === 'resize' && op.xstateSize === 0xffff_ffff - frameShape(abi).trailer),
  'xstate_size alone': frame => opsOf(frame, 'set').some(op => op.field === 'sw.xstateSize'),
  'extended_size without room for MAGIC2': (frame, { size }) =>
    opsOf(frame, 'set').some(op => op.field === 'sw.extendedSize' && op.value === size),
  'extended_size of ffffffff': frame =>
    opsOf(frame, 'set').some(op => op.field === 'sw.extendedSize' && op.value === 0xffff_ffff),
  'MAGIC2 with a cleared tail': frame => opsOf(frame, 'magic2').some(op => op.clearTail === true),
  'MAGIC2 with what was there': frame => opsOf(frame, 'magic2').some(op => op.clearTail === undefined),
  'MAGIC2 one byte off': frame =>
    opsOf(frame, 'resize').some(({ xstateSize }) =>
      opsOf(frame, 'magic2').some(op => op.at === xstateSize + 1),
    ),
  'a stale MAGIC2': frame => opsOf(frame, 'resize').length > 0 && opsOf(frame, 'magic2').length === 0,
  'a bit of MAGIC1': frame => opsOf(frame, 'xor').some(op => op.field === 'sw.magic1'),
  'MAGIC2 for MAGIC1': frame =>
    opsOf(frame, 'set').some(op => op.field === 'sw.magic1' && op.value === magic2),
  'MAGIC2 damaged': (frame, { size }) =>
    opsOf(frame, 'write').some(op => op.at === size && op.bytes.length === 4),
  'an unknown bit in sw.xfeatures': (frame, { hostFeatures }) =>
    opsOf(frame, 'or').some(op => op.field === 'sw.xfeatures' && (BigInt(op.value) & ~hostFeatures) !== 0n),
  'bit 62 in XSTATE_BV': frame =>
    opsOf(frame, 'or').some(op => op.field === 'xstateBv' && op.value === 1n << 62n),
  'a supervisor’s bit in XSTATE_BV': frame =>
    opsOf(frame, 'or').some(op => op.field === 'xstateBv' && op.value === 1n << 12n),
  'sw.xfeatures without x87': frame =>
    opsOf(frame, 'and').some(
      op => op.field === 'sw.xfeatures' && BigInt(op.value) === 0xffff_ffff_ffff_fffen,
    ),
  'XSTATE_BV of 0': frame => opsOf(frame, 'set').some(op => op.field === 'xstateBv' && op.value === 0n),
  'both masks': frame =>
    ['sw.xfeatures', 'xstateBv'].every(field => frame.edit.some(op => 'field' in op && op.field === field)),
  'bit 63 of XCOMP_BV alone': frame =>
    opsOf(frame, 'set').some(op => op.field === 'xcompBv' && op.value === 1n << 63n),
  'a whole compacted image': (frame, layout) => {
    const set = opsOf(frame, 'set').find(op => op.field === 'xcompBv')
    if (set === undefined || BigInt(set.value) >> 63n === 0n) return false
    const { sent } = sentOf(layout, frame)
    return sent.length > 576 && (u64(sent, 512) & ~u64(sent, 520)) === 0n && (u64(sent, 512) & 4n) !== 0n
  },
  'a reserved byte of the header': frame => opsOf(frame, 'write').some(op => op.at >= 528 && op.at < 536),
  'a reserved byte far behind': frame => opsOf(frame, 'write').some(op => op.at >= 560 && op.at < 576),
  'a reserved bit of MXCSR': (frame, { mxcsrMask }) =>
    opsOf(frame, 'set').some(op => op.field === 'mxcsr' && (Number(op.value) & ~mxcsrMask) !== 0),
  'an MXCSR of ffffffff': frame =>
    opsOf(frame, 'set').some(op => op.field === 'mxcsr' && op.value === 0xffff_ffff),
  MXCSR_MASK: frame => opsOf(frame, 'write').some(op => op.at >= 28 && op.at < 32),
  'every component': frame => opsOf(frame, 'component').length > 0,
  'a byte of AVX': (frame, layout) =>
    opsOf(frame, 'write').some(op => op.bytes.length === 1 && op.at >= layout.offset('avx')),
  'a byte of SSE': frame =>
    opsOf(frame, 'write').some(op => op.bytes.length === 1 && op.at >= 160 && op.at < 416),
  FCW: frame => opsOf(frame, 'set').some(op => op.field === 'fcw'),
  FSW: frame => opsOf(frame, 'set').some(op => op.field === 'fsw'),
  'ST all ones': frame =>
    opsOf(frame, 'write').some(
      op => op.region === undefined && op.bytes.length === 10 && op.bytes[0] === 255,
    ),
  'the fsave header’s tag': frame => opsOf(frame, 'set').some(op => op.field === 'fsave.tag'),
  'the fsave header’s ST': frame => opsOf(frame, 'write').some(op => op.region === 'fsave'),
  'moved to the start': frame => opsOf(frame, 'move').some(op => 'at' in op && op.at === 0),
  misaligned: frame => opsOf(frame, 'move').some(op => 'at' in op && op.at === 1),
  'over two pages': frame =>
    opsOf(frame, 'move').some(op => 'at' in op && Number(op.at) >= 4096 - 448 && Number(op.at) <= 4096 - 64),
  'a guard right behind a smaller frame': frame =>
    opsOf(frame, 'resize').some(({ xstateSize }) =>
      opsOf(frame, 'move').some(op => 'guardAt' in op && op.guardAt === xstateSize + 4),
    ),
  'a guard within': (frame, { size }) =>
    opsOf(frame, 'move').some(op => 'guardAt' in op && op.guardAt > 576 && op.guardAt < size),
  'a guard in the sw bytes': frame => opsOf(frame, 'move').some(op => 'guardAt' in op && op.guardAt === 484),
  NULL: frame => opsOf(frame, 'pointer').some(op => 'address' in op && op.address === 0n),
  'a pointer some bytes on': frame => opsOf(frame, 'pointer').some(op => 'by' in op && op.by === 64),
  'a kernel’s address': ({ abi, edit }) =>
    !isIa32(abi) &&
    edit.some(op => op.op === 'pointer' && 'address' in op && BigInt(op.address) >> 63n === 1n),
  'a 32-bit pointer to the end': ({ abi, edit }) =>
    isIa32(abi) && edit.some(op => op.op === 'pointer' && 'address' in op && op.address === 0xffff_ffffn),
  'SIGSEGV blocked': ({ edit }) => edit.some(op => 'field' in op && op.field === 'head.sigmask'),
  'SIGSEGV blocked in an ia32 frame': ({ edit }) =>
    edit.some(op => 'field' in op && op.field === 'head.oldmask'),
  'the first page gone': frame => opsOf(frame, 'pages').some(op => op.at === 0 && op.state === 'evicted'),
  'the second page a hole': frame => opsOf(frame, 'pages').some(op => op.at > 0 && op.state === 'hole'),
}

describe('everything occurs', () => {
  const layout = known('ice-lake-sp')
  const frames = framesOf(layout, 40_000, 7, 0.02)

  test.each(Object.keys(ingredients))('%s', name => {
    const occurs = ingredients[name] as (frame: DrawnFrame, layout: Layout) => boolean
    const count = frames.filter(frame => occurs(frame, layout)).length
    expect(count).toBeGreaterThanOrEqual(4)
    // Nothing crowds the others out.
    expect(count).toBeLessThan(frames.length / 2)
  })

  eachLayout('each component of the layout anew', layout => {
    const names = framesOf(layout, 8000).flatMap(frame => opsOf(frame, 'component').map(op => op.name))
    expect(new Set(names)).toEqual(new Set(layout.components.map(({ name }) => name)))
  })

  test('components that the host has and the task has not', () => {
    const layout = known('sapphire-rapids')
    const tiles = 1n << 18n
    const frames = framesOf(layout, 20_000)
    for (const field of ['sw.xfeatures', 'xstateBv'])
      expect(
        frames.some(({ edit }) =>
          edit.some(op => op.op === 'or' && op.field === field && op.value === tiles),
        ),
      ).toBe(true)
  })

  test('mostly one or two things, sometimes none, never many', () => {
    const counts = frames.map(({ edit }) => edit.length)
    const share = (from: number, to: number): number =>
      counts.filter(count => count >= from && count <= to).length / counts.length
    expect(share(0, 0)).toBeGreaterThan(0.03)
    expect(share(0, 0)).toBeLessThan(0.1)
    expect(share(1, 4)).toBeGreaterThan(0.6)
    expect(share(13, 100)).toBeLessThan(0.01)
    const distinct = new Set(frames.map(showEdit))
    expect(distinct.size).toBeGreaterThan(frames.length / 2)
  })
})

describe('hazards are told', () => {
  const layout = known('skylake-sp')
  const load = randomImage(layout, { seed: 1 })
  const hazard = (...edit: EditOp[]) =>
    hazardOf({ abi: 'x86_64', edit }, { layout, limits: limitsOf(layout), load })
  const pkru = layout.offset('pkru')

  test.each<[string, EditOp[], RegExp | null]>([
    ['nothing', [], null],
    ['what does not compile', [{ op: 'fill', at: 0, length: 1 << 30, value: 0 }], /^edit\[0\] \(end\) is /],
    [
      'MAGIC2 as PKRU',
      [{ op: 'magic2', at: pkru }],
      /^sent\.pkru is 0x46505845, must have bits 0 and 1 clear/,
    ],
    [
      'MAGIC2 as PKRU, not loaded',
      [
        { op: 'magic2', at: pkru },
        { op: 'and', field: 'xstateBv', value: 0xff },
      ],
      null,
    ],
    [
      'MAGIC2 as PKRU, before which the frame ends',
      [
        { op: 'magic2', at: pkru },
        { op: 'move', guardAt: pkru },
      ],
      null,
    ],
    [
      'MAGIC2 as PKRU, of which the unused half alone is cut off',
      [
        { op: 'magic2', at: pkru },
        { op: 'move', guardAt: pkru + 4 },
      ],
      /^sent\.pkru is /,
    ],
    ['MAGIC2 as BNDCSR', [{ op: 'magic2', at: layout.offset('bndcsr') }], /^sent\.bndcfgu is /],
    [
      'compacted, so that ZMM is read as PKRU',
      [{ op: 'set', field: 'xcompBv', value: (1n << 63n) | layout.features }],
      /^sent\.xcompBv/,
    ],
    ['below the frame', [{ op: 'pointer', by: -64 }], /^edit leads 64 bytes below/],
    ['behind the frame', [{ op: 'pointer', by: 64 }], /^edit leads 64 bytes on/],
    [
      'behind the frame, recorded',
      [
        { op: 'fill', at: layout.size + 4, length: 64, value: 0 },
        { op: 'pointer', by: 64 },
      ],
      null,
    ],
    [
      'behind a frame before a guard',
      [
        { op: 'move', guardAt: 900 },
        { op: 'pointer', by: 64 },
      ],
      null,
    ],
  ])('%s', (_, edit, message) => {
    const found = hazard(...edit)
    if (message === null) expect(found).toBeNull()
    else expect(found).toMatch(message)
  })

  test('an XTILECFG that is none', () => {
    const amx = known('sapphire-rapids')
    const edit: EditOp[] = [{ op: 'magic2', at: amx.offset('xtilecfg') }]
    const context = { layout: amx, limits: limitsOf(amx), load: randomImage(amx, { seed: 1 }) }
    expect(hazardOf({ abi: 'x86_64', edit }, context)).toMatch(/^sent\.xtilecfg\.palette is 69/)
    const cut: EditOp[] = [{ op: 'move', guardAt: amx.offset('xtilecfg') + 18 }]
    expect(hazardOf({ abi: 'x86_64', edit: cut }, context)).toBeNull()
  })
})

describe('components that nobody knows yet', () => {
  const zen = known('zen4').toJSON()
  const layout = createLayout({
    ...zen,
    xcr0: BigInt(zen.xcr0) | (1n << 20n),
    userFeatures: BigInt(zen.userFeatures) | (1n << 20n),
    components: [
      ...zen.components,
      { index: 20, size: 128, offset: 2496, alignedCompacted: false, supervisor: false, xfd: false },
    ],
  })

  test('are not written to, or not loaded', () => {
    const limits = limitsOf(layout)
    let sizes = 0
    for (const frame of framesOf(layout, 6000)) {
      const load = randomImage(layout, { seed: frame.load })
      expect(hazardOf(frame, { layout, limits, load }), showEdit(frame)).toBeNull()
      sizes += opsOf(frame, 'resize').filter(op => op.xstateSize === 2496).length
    }
    expect(sizes).toBeGreaterThan(0)
  })

  test('a hazard where they are', () => {
    const load = randomImage(layout, { seed: 1 })
    const edit: EditOp[] = [
      { op: 'write', at: 2500, bytes: '07' },
      { op: 'or', field: 'xstateBv', value: 1n << 20n },
    ]
    expect(hazardOf({ abi: 'x86_64', edit }, { layout, limits: limitsOf(layout), load })).toBe(
      'sent.component_20 is not as it was written',
    )
  })
})

describe('a context that makes no sense is refused', () => {
  const layout = known('zen4')
  const context = { layout, limits: limitsOf(layout), abis, loads: 1, poisons: 1, isolatedShare: 0 }
  const old = known('nehalem')

  test.each([
    ['layout.xsave is false', { layout: old, limits: limitsOf(old) }],
    ['abis.length is 0', { abis: [] }],
    ['loads is 0', { loads: 0 }],
    ['poisons is NaN', { poisons: Number.NaN }],
    ['isolatedShare is 2', { isolatedShare: 2 }],
  ])('%s', (message, change) => {
    expect(() => createGrammar({ ...context, ...change })).toThrow(message)
  })
})
