/** A layout in a file, as a zod schema: every format that has one takes it from here. Loaded only where one is read. */
import { z } from 'zod'

const longestName = 500
const u32 = 0xffff_ffff

const count = z.int().min(0).max(u32)
const mask = z
  .string()
  .regex(/^0x[0-9a-f]{1,16}$/, 'must be 0x and 1 to 16 hexadecimal digits in lower case')
  .describe('64 bits')

const component = z
  .object({
    index: count,
    size: count.describe('Bytes.'),
    offset: count.describe('Bytes from the start of the area, standard format.'),
    alignedCompacted: z.boolean().describe('64-byte aligned in the compacted format.'),
    supervisor: z.boolean(),
    xfd: z.boolean().describe('Given to tasks on their asking only.'),
  })
  .describe('One subleaf of CPUID leaf 0xD, from 2 up.')

export const layoutSchema = z.object({
  vendor: z.string().max(longestName),
  xcr0: mask.describe('What the kernel enabled; 0x0 without XSAVE.'),
  userFeatures: mask.describe("The task's components: the sw bytes' xfeatures of its own frames."),
  components: z.array(component).max(64),
  mxcsrMask: count.describe('The bits of MXCSR that may be set.'),
})
