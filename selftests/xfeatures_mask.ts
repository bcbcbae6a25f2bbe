import { featuresOf, resizeTo } from '../lib/contract/frames.ts'
import { keepsWithoutAvx } from '../lib/harness/needs.ts'
import { selftest } from '../lib/harness/selftest.ts'
import { legacyFeatures, minXsaveSize } from '../lib/xstate/layout.ts'

/** What the sw bytes' xfeatures leave out goes to init, though XSTATE_BV and the bytes are there. */
export default selftest('xfeatures_mask', {
  summary:
    'The sw bytes’ xfeatures decide what is restored; the rest goes to init, not to what the handler left.',
  variants: 'each component',
  cases: {
    subset: {
      summary: 'Only these components in sw.xfeatures, size and XSTATE_BV left alone.',
      rule: 'left-out-components-go-to-init',
      needs: keepsWithoutAvx,
      withLegacy: true,
      commit: 'arch/x86/kernel/fpu/signal.c',
      edit: ({ components }) => [{ op: 'set', field: 'sw.xfeatures', value: featuresOf(components) }],
    },
    size_without_them: {
      summary:
        'These components in sw.xfeatures, size and XSTATE_BV of a frame without: too small for its xfeatures.',
      rule: 'too-small-is-rejected',
      commit: '391cac638edd',
      edit: ({ components }) => [
        { op: 'set', field: 'sw.xfeatures', value: featuresOf(components) },
        { op: 'and', field: 'xstateBv', value: legacyFeatures },
        ...resizeTo(minXsaveSize),
      ],
    },
    future_bit: {
      summary: 'A component of a future CPU in sw.xfeatures alone, at the native size, is ignored.',
      rule: 'untouched-frame-restores',
      commit: 'arch/x86/kernel/fpu/signal.c',
      loadOnly: true,
      edit: () => [{ op: 'or', field: 'sw.xfeatures', value: 1n << 62n }],
    },
  },
})
