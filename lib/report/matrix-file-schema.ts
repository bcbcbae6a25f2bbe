/** The format of pair matrices as a zod schema; docs/matrix.schema.json is made of it. Loaded only where one is read. */
import { z } from 'zod'
import { type GenerationId, generations } from '../contract/generations.ts'
import { type HostKind, hostKinds } from '../hosts/host.ts'
import {
  type MatrixHost,
  type Pair,
  type PairFrame,
  type PairMatrix,
  type PairOutcome,
  type PairSeen,
  pairOutcomes,
} from '../matrix/matrix.ts'
import { layoutSchema } from './layout-schema.ts'
import { longestFrames, longestNames, mostHosts, mostPairs } from './matrix-limits.ts'
import { toolSchema } from './origin-schema.ts'

const longestName = 500
const longestText = 10_000

const oneOf = <T extends string>(values: readonly T[]) => z.enum(values as [T, ...T[]])

const name = z.string().min(1).max(longestName)
const text = z.string().max(longestText)
const names = z.array(name).max(longestNames)
const generation = oneOf<GenerationId>(generations.map(({ id }) => id))

const seenSchema: z.ZodType<PairSeen> = z.object({
  outcome: oneOf<PairSeen['outcome']>(['holds', 'loses', 'rejected', 'killed', 'unable']),
  observed: text.describe('In one line.'),
  asPredicted: z.boolean().nullable().describe('Null where nothing was predicted, or it could not be sent.'),
})

const frameSchema: z.ZodType<PairFrame> = z
  .object({
    used: names.describe('Components that are in use; pkru and mxcsr where they are not the default.'),
    end: text.describe('How it ends, by which rule.'),
    lost: names.describe('Components, and mxcsr, that the frame had and the registers then have not.'),
    unknown: names.describe('Components that the frame had, and the destination has no register for.'),
    leftOver: names.describe('Components that are not at init, though the frame had them so.'),
    seen: seenSchema.nullable().describe('What was seen of it; null where it was predicted alone.'),
  })
  .describe('One frame of a pair: with all in use, or with some left out.')

export const pairSchema: z.ZodType<Pair> = z
  .object({
    from: name.describe('A name of the hosts.'),
    to: name.describe('A name of the hosts.'),
    generation: generation.describe('Of the kernel that the frame is returned from on.'),
    outcome: oneOf<PairOutcome>(pairOutcomes).describe(
      'works: all that a frame can have arrives. works if unused: where the components of unused are not in use. ' +
        'breaks: whatever is in use, the frame is rejected, or nothing beyond x87 and SSE arrives, or PKRU is lost. ' +
        'unknown: nobody here could say.',
    ),
    unused: names.describe(
      'The components, and mxcsr, that must not be in use; empty but for works if unused.',
    ),
    silent: z.boolean().describe('Whether no signal tells the task where it does not work.'),
    reason: text.describe('Why, in one line; empty for works.'),
    evidence: oneOf<Pair['evidence']>(['predicted', 'live']).describe(
      'live: every frame of it was sent, and the outcome is what was seen.',
    ),
    frames: z
      .array(frameSchema)
      .min(1)
      .max(longestFrames)
      .describe(
        'With all in use first, then with ever less of it; where nothing else is left, with x87 and SSE alone.',
      ),
  })
  .describe('What becomes of frames of one host on another.')

const hostSchema: z.ZodType<MatrixHost> = z
  .object({
    name: name.describe('Once in the list.'),
    title: text.describe('For people.'),
    kind: oneOf<HostKind>(hostKinds),
    here: z.boolean().describe('Whether frames of the machine that this was made on are like its own.'),
    size: z.int().min(512).describe("Bytes of the task's XSAVE area."),
    layout: layoutSchema,
  })
  .describe('A host that frames come from or are sent to.')

const shape = {
  format: z.literal('sigframe matrix'),
  version: z.literal(1),
  tool: toolSchema,
  abi: name.describe('Whose frames these are.'),
  generations: z.array(generation).max(generations.length),
  kernel: z
    .object({ release: name.describe('uname -r'), generation: generation.nullable() })
    .nullable()
    .describe('The kernel that the live ones ran on; null where nothing ran.'),
  hosts: z.array(hostSchema).max(mostHosts),
}

/** All but the pairs: they are checked one by one. */
export const matrixShellSchema = z.object({ ...shape, pairs: z.array(z.unknown()).max(mostPairs) })

/** The whole, for the published schema. A field that the type has and this lacks is a type error. */
export const matrixSchema: z.ZodType<PairMatrix> = z
  .object({
    ...shape,
    pairs: z
      .array(pairSchema)
      .max(mostPairs)
      .describe('Generations in their order, for each the sources, for each the destinations.'),
  })
  .describe('What becomes of signal frames of CPUs on others, for each generation of kernels.')

/** docs/matrix.schema.json. */
export const matrixJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(matrixSchema, { io: 'input', reused: 'ref' })
  return { $schema, title: 'sigframe matrix', ...rest }
}
