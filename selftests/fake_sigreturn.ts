import { shrinkTo } from '../lib/contract/frames.ts'
import { keepsWithoutAvx } from '../lib/harness/needs.ts'
import { selftest } from '../lib/harness/selftest.ts'

const source = 'tools/testing/selftests/arm64/signal, fake_sigreturn'

/** Frames that no signal made: built from nothing, on the stack, and returned from. */
export default selftest('fake_sigreturn', {
  summary: 'A frame that is built from nothing, without any signal, is restored as any other.',
  variants: 'each component',
  cases: {
    whole: {
      summary: 'The task’s own frame with these components in use.',
      rule: 'frames-need-no-signal',
      commit: source,
      raise: 'fake',
      withLegacy: true,
      loadOnly: true,
      edit: () => [],
    },
    shrunk: {
      summary: 'The frame of a CPU that has x87, SSE and these components alone.',
      rule: ({ layout, components }) =>
        layout.sizeFor(components.reduce((mask, name) => mask | layout.component(name).mask, 3n)) <
        layout.size
          ? 'shrunk-frame-restores'
          : 'frames-need-no-signal',
      commit: source,
      raise: 'fake',
      needs: keepsWithoutAvx,
      withLegacy: true,
      loadOnly: true,
      edit: ({ layout, components }) => shrinkTo(layout, components),
    },
    corrupt: {
      summary: 'The same with an XCOMP_BV that does not describe it.',
      rule: 'corrupt-xcomp-bv-is-rejected',
      commit: source,
      raise: 'fake',
      loadOnly: true,
      edit: () => [{ op: 'or', field: 'xcompBv', value: 1n << 63n }],
    },
  },
})
