/** Primitives executed on bytes, as the signal handler executes them on a live frame. Pure. */
import { combineByte, littleEndian } from './compile.ts'
import type { Primitive, Region } from './edit.ts'

const atLeast = (bytes: Uint8Array, length: number): Uint8Array => {
  if (bytes.length >= length) return bytes
  const longer = new Uint8Array(length)
  longer.set(bytes)
  return longer
}

const regionOf = (op: Primitive): Region => ('region' in op ? (op.region ?? 'area') : 'area')

/**
 * What an fpstate becomes, or another region of the frame.
 * @param written its bytes as the kernel wrote them
 * @returns a new array, as long as the edit reaches; the operations on pointer and pages change no bytes
 */
export const applyPrimitives = (
  written: Uint8Array,
  primitives: readonly Primitive[],
  region: Region = 'area',
): Uint8Array => {
  let bytes: Uint8Array = written.slice()
  for (const op of primitives) {
    if (op.code === 'pages' || regionOf(op) !== region) continue
    if ('length' in op && op.code !== 'move') bytes = atLeast(bytes, op.at + op.length)
    switch (op.code) {
      case 'write':
        bytes = atLeast(bytes, op.at + op.bytes.length)
        bytes.set(op.bytes, op.at)
        break
      case 'fill':
        bytes.fill(op.value, op.at, op.at + op.length)
        break
      case 'move':
        bytes = atLeast(bytes, op.length).slice(0, op.length)
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
