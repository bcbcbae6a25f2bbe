/** Primitives executed on bytes, as the signal handler executes them on a live frame. Pure. */
import { combineByte, littleEndian } from './compile.ts'
import type { Primitive } from './edit.ts'

/**
 * What an fpstate becomes.
 * @param fpstate as the kernel wrote it, and whatever follows it up to where the edit reaches
 * @returns a new array of at least the same length; the pointer's operations change no bytes
 */
export const applyPrimitives = (fpstate: Uint8Array, primitives: readonly Primitive[]): Uint8Array => {
  let bytes = fpstate.slice()
  for (const op of primitives) {
    switch (op.code) {
      case 'write':
        bytes.set(op.bytes, op.at)
        break
      case 'fill':
        bytes.fill(op.value, op.at, op.at + op.length)
        break
      case 'move':
        // Behind what was moved lies what the second buffer held before, which nobody may rely on.
        bytes = bytes.slice(0, op.length)
        break
      case 'and':
      case 'or':
      case 'xor': {
        const { code, at } = op
        littleEndian(op.value, op.length).forEach((byte, i) => {
          bytes[at + i] = combineByte(code, bytes[at + i] as number, byte)
        })
        break
      }
    }
  }
  return bytes
}
