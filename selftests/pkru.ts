import { freshValues } from '../lib/contract/frames.ts'
import { ampleStack } from '../lib/harness/needs.ts'
import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import { keysAfter, keysOf } from '../lib/harness/trials/keys.ts'
import type { XsaveImage } from '../lib/xstate/image.ts'
import { randomImage } from '../lib/xstate/random.ts'

const clearing = 'arch/x86/kernel/fpu/core.c, fpu__clear_user_states'
const restoring = 'arch/x86/kernel/fpu/signal.c, __fpu_restore_sig'
const onClosedStacks = '70044df250d0, d10b554919d4'
/** Key 1, the one of the closed stack: neither read nor written (SDM volume 3, 4.6.2: two bits for each key). */
const key1Closed = 0xc
const key2Closed = 0x30
/** init_pkru_value: every key but 0 closed to reads and writes alike by its access-disable bit. */
const defaultKeys = 0x5555_5554
const pkruBit = 1n << 9n

const needsKeys = ({ layout }: CaseContext): string | null =>
  layout.has('pkru') ? null : 'this task has no protection keys'

/** A random image with these keys. */
const withKeys =
  (keys: number, seedOffset = 0) =>
  ({ layout, seed }: CaseContext): XsaveImage => {
    const image = randomImage(layout, { seed: seed + seedOffset })
    image.pkru = keys
    return image
  }

const hex = (keys: number): string => `0x${keys.toString(16)}`

/** Protection keys, the component whose loss opens memory or closes it. */
export default selftest('pkru', {
  summary:
    'Protection keys in frames: what they are at delivery, after a good return, and after one that failed.',
  variants: 'once',
  cases: {
    in_the_frame: {
      summary: 'The frame has the keys as they were when the signal hit.',
      rule: 'frame-has-the-interrupted-keys',
      commit: onClosedStacks,
      needs: needsKeys,
      load: withKeys(0x300),
      edit: () => [],
      verify: ({ written }) => {
        const keys = keysOf(written)
        return keys === 0x300 ? null : `the frame has ${hex(keys)}, not 0x300`
      },
    },
    all_open_in_the_frame: {
      summary: 'The same with all keys open, the init value.',
      rule: 'frame-has-the-interrupted-keys',
      commit: onClosedStacks,
      needs: needsKeys,
      load: withKeys(0),
      edit: () => [],
      verify: ({ written, after }) =>
        keysOf(written) === 0 && keysOf(after) === 0
          ? null
          : `the frame has ${hex(keysOf(written))}, the return left ${hex(keysOf(after))}`,
    },
    changed_by_handler: {
      summary: 'Keys that the handler wrote into its frame are in force afterwards.',
      rule: 'handler-changes-arrive',
      commit: restoring,
      needs: needsKeys,
      edit: ({ layout, seed }) => freshValues(layout, ['pkru'], seed + 1),
    },
    left_out: {
      summary: 'A frame whose xfeatures leave the keys out opens all of them.',
      rule: 'left-out-components-go-to-init',
      commit: restoring,
      needs: needsKeys,
      load: withKeys(defaultKeys),
      edit: ({ layout }) => [{ op: 'set', field: 'sw.xfeatures', value: layout.features & ~pkruBit }],
      verify: ({ after }) => (keysOf(after) === 0 ? null : `PKRU is ${hex(keysOf(after))}, not 0`),
    },
    fx_only: {
      summary: 'The FX-only fallback silently opens every key: all closed before, all open after.',
      rule: 'fx-only-opens-all-keys',
      commit: restoring,
      needs: needsKeys,
      load: withKeys(defaultKeys),
      edit: () => [{ op: 'set', field: 'sw.magic1', value: 0 }],
      verify: ({ after }) => (keysOf(after) === 0 ? null : `PKRU is ${hex(keysOf(after))}, not 0`),
    },
    after_rejection: {
      summary: 'After a frame that is rejected the kernel’s default is in force.',
      rule: 'failed-return-sets-default-keys',
      commit: clearing,
      needs: needsKeys,
      trial: keysAfter([{ op: 'or', field: 'xcompBv', value: 1n << 63n }], defaultKeys),
    },
    after_null: {
      summary: 'After a frame without fpstate the kernel’s default is in force.',
      rule: 'failed-return-sets-default-keys',
      commit: clearing,
      needs: needsKeys,
      trial: keysAfter([{ op: 'pointer', address: 0n }], defaultKeys),
    },
    closed_stack: {
      summary: 'Delivery onto a stack whose own key is closed, and the return from it.',
      rule: ({ abi }) =>
        abi === 'ia32-rt' || abi === 'x32'
          ? 'compat-rt-returns-from-closed-stacks'
          : 'delivery-opens-closed-stacks',
      commit: onClosedStacks,
      needs: needsKeys,
      load: withKeys(key1Closed),
      // Another key closed: open enough to read the frame, and unlike what FX-only leaves.
      poison: withKeys(key2Closed, 7),
      stack: context => ({ bytes: ampleStack(context), state: 'closed-key' }),
      edit: () => [],
    },
  },
})
