/** The format of collections as a zod schema; docs/collection.schema.json is made of it. Loaded only where one is read. */
import { z } from 'zod'
import { type CollectedHost, type Collection, missing } from '../merge/collection.ts'
import { bundleSchema, shellSchema } from './bundle-schema.ts'
import { matrixSchema } from './matrix-file-schema.ts'
import { vmSchema } from './vm/schema.ts'

const longestName = 500
const longestText = 10_000

const name = z.string().min(1).max(longestName)

const hostShape = {
  name: name.describe('Once in the list: of the file that was merged, or as it was expected.'),
  problem: z
    .string()
    .max(longestText)
    .nullable()
    .describe(
      `Why it counts as an error: nothing ran there, its file could not be read, or there is none (${JSON.stringify(missing)}). Null for a host that ran.`,
    ),
}

/** All but what is in the bundle's cases: they are checked one by one, as a bundle's own are. */
export const hostShellSchema = z.object({ ...hostShape, bundle: shellSchema.nullable() })

const hostSchema: z.ZodType<CollectedHost> = z
  .object({
    ...hostShape,
    bundle: bundleSchema
      .nullable()
      .describe('What bundle.schema.json describes; null where there is nothing to be read.'),
  })
  .describe('One host, or what should have been one.')

/** What is named and checked by a reader of its own. */
export const vmShellSchema = z.object({ name, report: z.unknown() })
export const matrixShellSchema = z.object({ name, matrix: z.unknown() })

const shellShape = {
  format: z.literal('sigframe collection'),
  version: z.literal(1),
  tool: z.object({
    name: z.literal('sigframe'),
    version: z.string().max(longestName).describe('Of the tool that wrote this.'),
  }),
}

/** All but what is in the lists. */
export const collectionShellSchema = z.object({
  ...shellShape,
  hosts: z.array(z.unknown()),
  vms: z.array(z.unknown()),
  matrices: z.array(z.unknown()),
})

/** The whole, for the published schema. A field that the type has and this lacks is a type error. */
const collectionSchema: z.ZodType<Collection> = z
  .object({
    ...shellShape,
    hosts: z.array(hostSchema),
    vms: z.array(z.object({ name, report: vmSchema.describe('What vm.schema.json describes.') })),
    matrices: z.array(
      z.object({ name, matrix: matrixSchema.describe('What matrix.schema.json describes.') }),
    ),
  })
  .describe('Results of any number of hosts.')

/** docs/collection.schema.json. */
export const collectionJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(collectionSchema, { io: 'input', reused: 'ref' })
  return { $schema, title: 'sigframe collection', ...rest }
}
