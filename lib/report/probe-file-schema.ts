/** A saved probe's format as a zod schema; docs/probe.schema.json is made of it. Loaded only where one is read. */
import { z } from 'zod'
import { type Abi, abis } from '../frame/abi.ts'
import { type Raise, raises, type StackState, stackStates } from '../probe/request.ts'
import { longestArray } from './bundle-limits.ts'
import { layoutSchema } from './layout-schema.ts'
import { originHostSchema, originKernelSchema, toolSchema } from './origin-schema.ts'
import type { ProbeFile } from './probe-file.ts'

const longestName = 500
const longestText = 10_000
const longestBytes = 200_000
/** Two digits for each byte of the largest area that a layout can have. */
const longestImage = 2 << 20
const u32 = 0xffff_ffff

const oneOf = <T extends string>(values: readonly T[]) => z.enum(values as unknown as [T, ...T[]])

const name = z.string().max(longestName)
const text = z.string().max(longestText)
const count = z.int().min(0).max(u32)
const image = z
  .string()
  .max(longestImage)
  .regex(/^[0-9a-f]*$/, 'must be hexadecimal digits in lower case')

const host = originHostSchema.describe('The machine that was probed; null or absent where it is not told.')

const layout = layoutSchema.describe('Where each component lies in the images and in the frame.')

const stack = z
  .object({ bytes: count.min(1), state: oneOf<StackState>(stackStates) })
  .nullable()
  .default(null)
  .describe('The alternate signal stack, if the frame is delivered onto one.')

const edit = z
  .array(
    z.record(
      z.string().max(64),
      z.union([z.string().max(longestBytes), z.number(), z.boolean()], 'must be a string, number or boolean'),
    ),
  )
  .max(longestArray)
  .describe('Operations on the frame: bytes are hexadecimal digits, 64-bit values 0x strings.')

const kernel = originKernelSchema.describe('The kernel that was probed.')

const finding = z
  .object({
    seed: z.int().describe('Of the run that found it.'),
    index: z.int().min(0).describe('Of the frame in that run.'),
    generation: name.describe('Whose behaviour was expected.'),
    expected: text,
    observed: text,
    differences: z.array(text).max(1000),
  })
  .nullable()
  .default(null)
  .describe('Where the kernel did otherwise than was expected of it.')

/** A field that the type has and this lacks is a type error. */
export const probeFileSchema: z.ZodType<ProbeFile> = z
  .object({
    format: z.literal('sigframe probe'),
    version: z.literal(1),
    tool: toolSchema,
    host,
    layout,
    permissions: z
      .array(name)
      .max(64)
      .default([])
      .describe('Components that the session has asked the kernel for, by their names.'),
    abi: oneOf<Abi>(abis).describe('Whose frame it is.'),
    raise: oneOf<Raise>(raises).describe('How the signal comes.'),
    stack,
    load: image.describe('What the registers hold when the signal hits: an XSAVE area of the layout.'),
    poison: image.describe('What they hold when the handler returns.'),
    edit,
    kernel,
    finding,
  })
  .describe('One probe: all that repeats it, and what came of it.')

/** docs/probe.schema.json. */
export const probeFileJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(probeFileSchema, { io: 'input' })
  return { $schema, title: 'sigframe probe', ...rest }
}
