/** Kernel images made up for tests. */

export interface ImageParts {
  readonly release?: string
  readonly setupSects?: number
  readonly protocol?: number
  readonly xloadflags?: number
  readonly loadflags?: number
  /** Of the protected-mode part, in 16 bytes. */
  readonly syssize?: number
}

/** A bzImage whose parts other than the header are zero. */
export const bzImage = ({
  release = '7.2.12+test-amd64',
  setupSects = 4,
  protocol = 0x20f,
  xloadflags = 0x3f,
  loadflags = 1,
  syssize = 64,
}: ImageParts = {}): Buffer => {
  const bytes = Buffer.alloc(((setupSects || 4) + 1) * 512 + syssize * 16)
  bytes.write('MZ', 0)
  bytes[0x1f1] = setupSects
  bytes.writeUInt32LE(syssize, 0x1f4)
  bytes.writeUInt16LE(0xaa55, 0x1fe)
  bytes.write('HdrS', 0x202)
  bytes.writeUInt16LE(protocol, 0x206)
  bytes.writeUInt16LE(0x300, 0x20e)
  bytes[0x211] = loadflags
  bytes.writeUInt16LE(xloadflags, 0x236)
  bytes.write(`${release} (someone@example.org) #1 SMP\0`, 0x500)
  return bytes
}
