import { freshValues } from '../lib/contract/frames.ts'
import { selftest } from '../lib/harness/selftest.ts'
import { switchAmongThreads } from '../lib/harness/trials/switches.ts'

const upstream = 'tools/testing/selftests/x86/xstate.c'

/** Upstream's tests of each component, but for ptrace. */
export default selftest('xstate', {
  summary: 'Each component survives context switches and signals, and a handler can change it.',
  variants: 'single components',
  cases: {
    context_switch: {
      summary: 'Five threads with values of their own give one CPU to one another.',
      rule: 'registers-survive-context-switches',
      commit: upstream,
      abis: ['x86_64'],
      trial: switchAmongThreads,
    },
    signal_delivery: {
      summary: 'The component, alone in use, is as before when the handler has returned.',
      rule: 'untouched-frame-restores',
      commit: upstream,
      loadOnly: true,
      edit: () => [],
    },
    signal_modify: {
      summary: 'What the handler wrote into its frame is in the component afterwards.',
      rule: 'handler-changes-arrive',
      commit: upstream,
      edit: ({ layout, components, seed }) => freshValues(layout, components, seed + 1),
    },
  },
})
