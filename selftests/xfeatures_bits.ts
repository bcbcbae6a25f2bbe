import type { EditOp } from '../lib/frame/edit.ts'
import { type SelftestCase, selftest } from '../lib/harness/selftest.ts'
import type { ComponentName } from '../lib/xstate/components.ts'
import { maskOf } from '../lib/xstate/components.ts'

const source = 'arch/x86/kernel/fpu/signal.c, restore_fpregs_from_user'
const everything = (1n << 64n) - 1n

const without = (...names: ComponentName[]): EditOp[] => [
  { op: 'and', field: 'sw.xfeatures', value: everything & ~maskOf(names) },
]

const leftOut = (what: string, ...names: ComponentName[]): SelftestCase => ({
  summary: `sw.xfeatures without ${what}: to init, as any other component, whatever XSTATE_BV says.`,
  rule: 'left-out-components-go-to-init',
  commit: source,
  edit: () => without(...names),
})

/** Bits of the sw bytes' xfeatures that no CPU with extended state is without, and those that a task may lack. */
export default selftest('xfeatures_bits', {
  summary: 'x87 and SSE can be left out of sw.xfeatures, too; what the task lacks is ignored in it.',
  variants: 'once',
  cases: {
    without_x87: leftOut('x87', 'x87'),
    without_sse: leftOut('SSE', 'sse'),
    without_both: leftOut('x87 and SSE', 'x87', 'sse'),
    not_the_tasks: {
      summary: 'Components that this CPU has and this task has not, as AMX without permission, are ignored.',
      rule: 'untouched-frame-restores',
      commit: source,
      needs: ({ layout }) =>
        (layout.hostFeatures & ~layout.features) === 0n ? 'this task has every component of this CPU' : null,
      edit: ({ layout }) => [
        { op: 'or', field: 'sw.xfeatures', value: layout.hostFeatures & ~layout.features },
      ],
    },
  },
})
