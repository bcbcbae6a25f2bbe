import {
  enlarge,
  featuresOf,
  freshValues,
  futureFeature,
  maskFeatures,
  resizeTo,
  shrinkTo,
  sizeBelow,
} from '../lib/contract/frames.ts'
import type { RuleId } from '../lib/contract/rules.ts'
import { keepsWithoutAvx } from '../lib/harness/needs.ts'
import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import { minXsaveSize } from '../lib/xstate/layout.ts'

const merged = '391cac638edd'
const v3 = 'v3 of 15 June 2026'

// A set with the furthest component needs the task's full size: such a frame is masked, but not shrunk.
const shrunkRule = ({ layout, components }: CaseContext): RuleId =>
  layout.sizeFor(featuresOf(components)) < layout.size
    ? 'shrunk-frame-restores'
    : 'left-out-components-go-to-init'

/** Frames that travelled from a CPU with fewer or more components: upstream's tests, for every component. */
export default selftest('sigframe_fpu_portability', {
  summary:
    'Frames made on CPUs with fewer or more components are restored, or rejected, but lose nothing silently.',
  variants: 'each component',
  cases: {
    valid_shrunk: {
      summary: 'A frame with only these components restores what the handler wrote to them (as merged).',
      rule: shrunkRule,
      needs: keepsWithoutAvx,
      withLegacy: true,
      commit: merged,
      edit: ({ layout, components, seed }) => [
        ...freshValues(layout, components, seed + 1),
        ...shrinkTo(layout, components),
      ],
    },
    invalid_shrunk: {
      summary: 'The same frame with an xstate_size of 576 is a SIGSEGV (as merged).',
      rule: 'too-small-is-rejected',
      commit: merged,
      edit: ({ layout, components, seed }) => [
        ...freshValues(layout, components, seed + 1),
        ...maskFeatures(featuresOf(components)),
        ...resizeTo(minXsaveSize),
      ],
    },
    shrunk: {
      summary: 'A frame with only these components restores what was in them when the signal hit (v3).',
      rule: shrunkRule,
      needs: keepsWithoutAvx,
      withLegacy: true,
      commit: v3,
      edit: ({ layout, components }) => shrinkTo(layout, components),
    },
    insufficient: {
      summary: 'A frame that ends before the last of these components, masks left alone, is a SIGSEGV (v3).',
      rule: 'too-small-is-rejected',
      commit: v3,
      edit: ({ layout, components }) => resizeTo(sizeBelow(layout, components)),
    },
    larger: {
      summary: 'A frame 64 bytes larger, with a component of a future CPU in xfeatures, is restored (v3).',
      rule: 'larger-frame-restores',
      commit: v3,
      placement: 'spare',
      edit: ({ layout, components, seed }) => [
        ...freshValues(layout, components, seed + 1),
        ...enlarge(layout),
      ],
    },
    unsupported_xfeatures: {
      summary: 'The same with that component in XSTATE_BV too is a SIGSEGV (v3).',
      rule: 'unsupported-xfeatures-are-rejected',
      commit: v3,
      placement: 'spare',
      edit: ({ layout, components, seed }) => [
        ...freshValues(layout, components, seed + 1),
        ...enlarge(layout),
        { op: 'or', field: 'xstateBv', value: futureFeature },
      ],
    },
  },
})
