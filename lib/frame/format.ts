/**
 * Where things are in a signal frame's fpstate, the XSAVE area of every ABI's frames. Source:
 * arch/x86/include/uapi/asm/sigcontext.h (`struct _fpx_sw_bytes`).
 */

/** FP_XSTATE_MAGIC1, in the sw bytes: the frame has extended state. */
export const magic1 = 0x46505853
/** FP_XSTATE_MAGIC2, right behind the XSAVE area: it is all there. */
export const magic2 = 0x46505845
export const magic2Size = 4
/** Bytes of an XSAVE area that is looked at: several times the largest there is (11008, with AMX tiles). */
export const largestFrame = 64 << 10

/** A named little-endian unsigned of the fpstate: offset from its start and width, in bytes. */
export interface FieldPlace {
  readonly at: number
  readonly width: 2 | 4 | 8
}

/** The fields that edits can name. `sw.*` are the sw bytes (464..511), the next two the XSAVE header. */
export const frameFields = {
  'sw.magic1': { at: 464, width: 4 },
  'sw.extendedSize': { at: 468, width: 4 },
  'sw.xfeatures': { at: 472, width: 8 },
  'sw.xstateSize': { at: 480, width: 4 },
  xstateBv: { at: 512, width: 8 },
  xcompBv: { at: 520, width: 8 },
  mxcsr: { at: 24, width: 4 },
  fcw: { at: 0, width: 2 },
  fsw: { at: 2, width: 2 },
} as const satisfies Record<string, FieldPlace>

export type FrameField = keyof typeof frameFields

export const fieldNames = Object.keys(frameFields) as FrameField[]
