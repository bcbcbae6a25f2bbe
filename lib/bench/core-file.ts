/** A core file as large as is wanted, with what memory holds: random pages and empty ones by turns, and some frames. */
import { randomFillSync } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { frameShape } from '../frame/abi.ts'
import { frameFields, magic1, magic2, magic2Size } from '../frame/format.ts'

const mebibyte = 1 << 20
const page = 4096
/** Memory of one mapping: a segment. */
const segmentSize = mebibyte
const frameEvery = 8
const xstateSize = 2696
const xfeatures = 0x2e7n
/** The kernel's: from the frame to its XSAVE area. */
const frameSize = 456

// What makes it a core file takes a page. (ELF specification, chapters 4 and 5.)
const headerSize = 64
const entrySize = 56

const addressOf = (segment: number): bigint => 0x7000_0000_0000n + BigInt(segment) * BigInt(2 * segmentSize)

const headerOf = (segments: number): Buffer => {
  const header = Buffer.alloc(Math.ceil((headerSize + segments * entrySize) / page) * page)
  header.write('\x7fELF\x02\x01\x01', 'latin1')
  header.writeUInt16LE(4, 16)
  header.writeUInt16LE(62, 18)
  header.writeBigUInt64LE(BigInt(headerSize), 32)
  header.writeUInt16LE(entrySize, 54)
  header.writeUInt16LE(segments, 56)
  for (let i = 0; i < segments; i++) {
    const at = headerSize + i * entrySize
    header.writeUInt32LE(1, at)
    header.writeUInt32LE(6, at + 4)
    header.writeBigUInt64LE(BigInt(header.length + i * segmentSize), at + 8)
    header.writeBigUInt64LE(addressOf(i), at + 16)
    header.writeBigUInt64LE(BigInt(segmentSize), at + 32)
    header.writeBigUInt64LE(BigInt(segmentSize), at + 40)
  }
  return header
}

const writeFrame = (bytes: Buffer, at: number, address: bigint): void => {
  const { fields } = frameShape('x86_64')
  const start = at - frameSize
  bytes.fill(0, start, at + xstateSize + magic2Size)
  bytes.writeBigUInt64LE(7n, start + (fields.ucFlags?.at ?? 0))
  bytes.writeBigUInt64LE(0x40_1000n, start + fields.pretcode.at)
  bytes.writeBigUInt64LE(address + BigInt(xstateSize + 256), start + fields.rsp.at)
  bytes.writeUInt16LE(0x33, start + fields.cs.at)
  bytes.writeUInt16LE(0x2b, start + fields.ss.at)
  bytes.writeBigUInt64LE(address, start + fields.fpstate.at)
  bytes.writeUInt32LE(magic1, at + frameFields['sw.magic1'].at)
  bytes.writeUInt32LE(xstateSize + magic2Size, at + frameFields['sw.extendedSize'].at)
  bytes.writeBigUInt64LE(xfeatures, at + frameFields['sw.xfeatures'].at)
  bytes.writeUInt32LE(xstateSize, at + frameFields['sw.xstateSize'].at)
  bytes.writeBigUInt64LE(3n, at + frameFields.xstateBv.at)
  bytes.writeUInt16LE(0x37f, at + frameFields.fcw.at)
  bytes.writeUInt32LE(0x1f80, at + frameFields.mxcsr.at)
  bytes.writeUInt32LE(0xffff, at + frameFields.mxcsr.at + 4)
  bytes.writeUInt32LE(magic2, at + xstateSize)
}

/** Writes it, and a header beside. @returns how many frames it has */
export const writeCoreFile = (file: string, mebibytes: number): number => {
  const descriptor = openSync(file, 'wx')
  try {
    writeSync(descriptor, headerOf(mebibytes))
    const bytes = Buffer.alloc(segmentSize)
    let frames = 0
    for (let i = 0; i < mebibytes; i++) {
      for (let at = 0; at < segmentSize; at += 2 * page) randomFillSync(bytes, at, page)
      const at = segmentSize / 2
      if (i % frameEvery === 0) {
        writeFrame(bytes, at, addressOf(i) + BigInt(at))
        frames++
      }
      writeSync(descriptor, bytes)
    }
    return frames
  } finally {
    closeSync(descriptor)
  }
}
