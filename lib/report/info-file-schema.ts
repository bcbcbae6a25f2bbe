/** The format of `sigframe info --json` as a zod schema; docs/info.schema.json is made of it. Loaded only where one is read. */
import { z } from 'zod'
import { hostSchema, kernelSchema } from './bundle-schema.ts'
import type { InfoFile } from './info-file.ts'
import { layoutSchema } from './layout-schema.ts'

const longestName = 500
const u32 = 0xffff_ffff

const count = z.int().min(0).max(u32)

const tool = z
  .object({
    name: z.literal('sigframe'),
    version: z.string().max(longestName).describe('Of the tool that wrote this.'),
  })
  .nullable()
  .default(null)
  .describe('Absent from before it was said.')

const sw = z
  .object({
    magic1: count,
    extendedSize: count,
    xfeatures: z
      .string()
      .regex(/^0x[0-9a-f]{1,16}$/, 'must be 0x and 1 to 16 hexadecimal digits in lower case')
      .describe('64 bits'),
    xstateSize: count,
  })
  .describe('The sw bytes of a frame as the kernel wrote it.')

/** A field that the type has and this lacks is a type error. */
export const infoFileSchema: z.ZodType<InfoFile> = z
  .object({
    format: z.literal('sigframe info').default('sigframe info').describe('Absent from before it was said.'),
    version: z.literal(1).default(1),
    tool,
    host: hostSchema,
    layout: layoutSchema
      .extend({ size: count.describe("Bytes of the task's XSAVE area, standard format.") })
      .describe('Where each component lies in the frames of a task that has asked for nothing.'),
    sw,
    kernel: kernelSchema,
  })
  .describe('A host, its frames and its kernel.')

/** docs/info.schema.json. */
export const infoFileJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(infoFileSchema, { io: 'input' })
  return { $schema, title: 'sigframe info', ...rest }
}
