import { frameShape, isIa32 } from '../lib/frame/abi.ts'
import { magic1, magic2 } from '../lib/frame/format.ts'
import { fsaveOf, readFsave } from '../lib/frame/fsave.ts'
import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import type { Returned } from '../lib/probe/result.ts'
import type { Layout } from '../lib/xstate/layout.ts'

/** The fsave header is the x87 state of the area in another form; where that came from is not its business. */
const fsaveDifferences = ({ fsave, fpstate }: Returned['written']): [string, number, number][] => {
  if (fsave === null) return []
  const is = readFsave(fsave)
  const meant = readFsave(fsaveOf(fpstate, { cs: is.cssel & 0xffff, ds: is.datasel & 0xffff }))
  const names = ['cw', 'sw', 'tag', 'status', 'magic'] as const
  const registers = is.st.map((st, i): [string, number, number] => [
    `ST${i} of the fsave header`,
    Buffer.compare(st, meant.st[i] as Uint8Array),
    0,
  ])
  return [
    ...names.map((name): [string, number, number] => [`fsave.${name}`, is[name], meant[name]]),
    ...registers,
  ]
}

/** The layout is told from a frame: what a frame should say is asked of CPUID and XCR0. */
const differences = (written: Returned['written'], layout: Layout): string[] => {
  const { sw } = written
  const { trailer } = frameShape(written.abi)
  const fields: [string, number | bigint | undefined, number | bigint][] = [
    ['magic1', sw.magic1, magic1],
    ['xstate_size', sw.xstateSize, layout.size],
    ['extended_size', sw.extendedSize, layout.size + trailer],
    ['xfeatures', sw.xfeatures, layout.features],
    ['MAGIC2', written.magic2At(layout.size), magic2],
    ['XCOMP_BV', written.xcompBv, 0n],
    ['XSTATE_BV bits 0 and 1', written.xstateBv & 3n, 3n],
    ['XSTATE_BV outside xfeatures', written.xstateBv & ~layout.features, 0n],
    ...fsaveDifferences(written),
  ]
  return fields
    .filter(([, is, meant]) => is !== meant)
    .map(([name, is, meant]) => `${name} is 0x${is?.toString(16)}, not 0x${meant.toString(16)}`)
}

/** A frame that nobody changes must say what it is and restore everything. */
export default selftest('untouched_frame', {
  summary: 'A frame that goes back as it came says what it is, and restores every component.',
  variants: 'each component',
  cases: {
    restores: {
      summary: 'The components in use are restored, the others are at init.',
      rule: 'untouched-frame-restores',
      withLegacy: true,
      commit: 'arch/x86/kernel/fpu/signal.c',
      loadOnly: true,
      edit: () => [],
    },
    describes_itself: {
      summary: 'sw bytes, header, MAGICs and fsave header are as CPUID leaf 0xD has it.',
      rule: ({ abi }: CaseContext) => (isIa32(abi) ? 'ia32-sw-bytes-are-written' : 'frame-describes-itself'),
      commit: 'arch/x86/kernel/fpu/signal.c, save_xstate_epilog',
      withLegacy: true,
      loadOnly: true,
      edit: () => [],
      verify: ({ written }, { expected }) => {
        const wrong = differences(written, expected)
        return wrong.length === 0 ? null : `the frame as the kernel wrote it: ${wrong.join(', ')}`
      },
    },
  },
})
