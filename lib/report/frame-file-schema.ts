/** A frame file's format as a zod schema; docs/frame.schema.json is made of it. Loaded only where one is read. */
import { z } from 'zod'
import { type FrameSource, frameSources } from '../foreign/saved.ts'
import { type Abi, abis } from '../frame/abi.ts'
import { largestFrame } from '../frame/format.ts'
import type { FrameFile } from './frame-file.ts'
import { layoutSchema } from './layout-schema.ts'
import { originHostSchema, originKernelSchema, toolSchema } from './origin-schema.ts'

const longestText = 2000
/** Two digits for each byte of the largest frame that is read. */
const longestBytes = 2 * largestFrame

const oneOf = <T extends string>(values: readonly T[]) => z.enum(values as unknown as [T, ...T[]])

const bytes = z
  .string()
  .max(longestBytes)
  .regex(/^(?:[0-9a-f]{2})*$/, 'must be hexadecimal digits in lower case, two a byte')

/** A field that the type has and this lacks is a type error. */
export const frameFileSchema: z.ZodType<FrameFile> = z
  .object({
    format: z.literal('sigframe frame'),
    version: z.literal(1),
    tool: toolSchema,
    source: oneOf<FrameSource>(frameSources).describe('How the frame came to be.'),
    origin: z.string().max(longestText).default('').describe('More of that, in one line.'),
    host: originHostSchema.describe('The machine that it was made on; null or absent where it is not told.'),
    kernel: originKernelSchema.describe('The kernel that wrote it.'),
    layout: layoutSchema.describe('Of the task that it was made for: where each component lies.'),
    permissions: z
      .array(z.string().max(64))
      .max(64)
      .default([])
      .describe('Components that the task had asked the kernel for, by their names.'),
    abi: oneOf<Abi>(abis),
    address: z
      .string()
      .regex(/^0x[0-9a-f]{1,16}$/, 'must be 0x and 1 to 16 hexadecimal digits in lower case')
      .nullable()
      .default(null)
      .describe('Where the XSAVE area lay in the memory of the process.'),
    head: bytes
      .nullable()
      .default(null)
      .describe('The frame below its fpstate: restorer, ucontext and siginfo; null where not known.'),
    fsave: bytes
      .nullable()
      .default(null)
      .describe('The fsave header of a 32-bit frame, 112 bytes; null for the others.'),
    fpstate: bytes.describe('The XSAVE area from its first byte, MAGIC2 included.'),
    image: bytes
      .nullable()
      .default(null)
      .describe('What the registers held: an XSAVE area of the layout; null where not known.'),
    seed: z
      .int()
      .min(0)
      .max(0xffff_ffff)
      .nullable()
      .default(null)
      .describe('Of the image, where it was drawn.'),
  })
  .describe('One signal frame, as a kernel wrote it, and all that is needed to decode it.')

/** docs/frame.schema.json. */
export const frameFileJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(frameFileSchema, { io: 'input' })
  return { $schema, title: 'sigframe frame', ...rest }
}
