/** The bundle's format as a zod schema; docs/bundle.schema.json is made of it. Loaded only where a bundle is read. */
import { z } from 'zod'
import type { DeviationKind } from '../contract/deviation.ts'
import { type GenerationId, generations } from '../contract/generations.ts'
import { type RuleId, rules } from '../contract/rules.ts'
import { abis } from '../frame/abi.ts'
import { type Bundle, type CaseResult, countVerdicts, type Verdict } from '../harness/results.ts'
import { placements } from '../harness/selftest.ts'
import { longestArray, longestCases } from './bundle-limits.ts'

const longestName = 500
const longestText = 10_000
const longestBytes = 200_000
const u32 = 0xffff_ffff

const oneOf = <T extends string>(values: readonly T[]) => z.enum(values as [T, ...T[]])

const name = z.string().max(longestName)
const text = z.string().max(longestText)
const count = z.int().min(0).max(u32)
const mask = z
  .string()
  .regex(/^0x[0-9a-f]{1,16}$/, 'must be 0x and 1 to 16 hexadecimal digits in lower case')
  .describe('64 bits')
const taint = z.int().min(0).nullable()
const rule = oneOf<RuleId>(rules.map(({ id }) => id))
const generation = oneOf<GenerationId>(generations.map(({ id }) => id))

const tool = z.object({ name: z.literal('sigframe'), version: name.describe('Of the tool that wrote this.') })

const leaf = z
  .object({
    index: z.int().min(0).max(63),
    name,
    size: count.describe('Bytes.'),
    offset: count.describe('Bytes from the start of the area, standard format.'),
    xfd: z.boolean().describe('Given to tasks on their asking only.'),
    supervisor: z.boolean(),
  })
  .describe('One subleaf of CPUID leaf 0xD, from 2 up.')

const host = z
  .object({
    vendor: name,
    brand: name,
    family: count,
    model: count,
    stepping: count,
    microcode: name.nullable(),
    hypervisor: name.nullable(),
    xcr0: mask.describe('What the kernel enabled; 0x0 without XSAVE.'),
    userFeatures: mask.describe("The task's components: the sw bytes' xfeatures of its own frames."),
    userSize: count.describe("Bytes of the task's XSAVE area, standard format."),
    minSignalStack: count.describe('AT_MINSIGSTKSZ; 0 where the kernel does not say.'),
    leafD: z.array(leaf).max(64),
  })
  .describe('The machine that was probed.')

const evidence = z.object({
  rule,
  observed: name.describe('What the kernel did with the frame that tells of this rule.'),
  asGeneration: z.boolean().describe('Whether kernels of the generation do so.'),
  deviation: oneOf<DeviationKind>(['ahead', 'behind', 'otherwise'])
    .nullable()
    .default(null)
    .describe(
      'Where they do not: as a later good generation, as another, or as none; absent from before it was said.',
    ),
  as: z.array(generation).max(64).default([]).describe('The generations that do so, where its own does not.'),
})

const log = z
  .object({
    watched: z.boolean().describe('Whether it was read, from boot on.'),
    reason: text.describe('Why it was not watched, or what of it was missed; empty where all was seen.'),
    onceCleared: z.boolean().describe('Whether what prints once a boot was made to print again.'),
    lines: z
      .array(text)
      .max(1000)
      .describe('What the kernel complained of during the run, with call traces.'),
  })
  .nullable()
  .default(null)
  .describe("The kernel's log during the run; null or absent from before it was watched.")

const kernel = z
  .object({
    release: name.describe('uname -r'),
    version: name.describe('uname -v'),
    generation: generation
      .nullable()
      .describe('Told by what the kernel does; null where no frame of the host could tell.'),
    headline: text
      .default('')
      .describe('What the kernel is, in one line; empty where not told, absent from before it was said.'),
    evidence: z.array(evidence).max(1000),
    deviations: z
      .array(text)
      .max(1000)
      .describe('Where it does otherwise than its generation: a line for each rule.'),
    taintBefore: taint.describe('/proc/sys/kernel/tainted; null where it cannot be read.'),
    taintAfter: taint,
    taintReason: text
      .default('')
      .describe('Why the taint was not read, or tells less than it could; empty where it tells all.'),
    log,
  })
  .nullable()
  .describe('Null where nothing could be probed.')

const repro = z
  .object({
    seed: z.int().describe('Of the image that is loaded.'),
    edit: z
      .array(
        z.record(
          z.string().max(64),
          z.union(
            [z.string().max(longestBytes), z.number(), z.boolean()],
            'must be a string, number or boolean',
          ),
        ),
      )
      .max(longestArray)
      .describe('Operations on the frame: bytes are hexadecimal digits, 64-bit values 0x strings.'),
    abi: name.default('x86_64').describe(`Whose frame it is: ${abis.join(', ')}.`),
    raise: name.default('tgkill').describe('How the signal comes.'),
    stack: z
      .object({ bytes: count, state: name })
      .nullable()
      .default(null)
      .describe('The alternate signal stack, if the frame is delivered onto one.'),
  })
  .nullable()
  .describe('What repeats the case; null where it passed.')

/** One case. */
export const caseSchema: z.ZodType<CaseResult> = z.object({
  id: name.min(1).describe('<selftest>/<case>/<abi>/<components>; stable, and once in a bundle.'),
  selftest: name,
  case: name,
  abi: name,
  components: z.array(name).max(64).describe('The extended components that the case is about.'),
  placement: name.describe(`Where the fpstate lay: ${placements.join(', ')}.`),
  rules: z.array(rule).max(64).describe('The rules that the frame reaches.'),
  verdict: oneOf<Verdict>(Object.keys(countVerdicts([])) as Verdict[]),
  reason: text.describe('Why this verdict. Empty for a plain pass.'),
  observed: text,
  expected: text,
  durationUs: z.number().min(0),
  repro,
})

/** All but what is in the cases: they are checked one by one, and a file of wrong ones is refused at the first. */
export const shellSchema = z.object({
  bundleVersion: z.literal(1),
  tool,
  startedAt: z.iso.datetime('must be a time as in 2026-11-21T09:57:00.000Z'),
  durationMs: z.number().min(0),
  host,
  kernel,
  warnings: z.array(text).max(1000).describe('Lines that must not be overlooked.'),
  cases: z.array(z.unknown()).max(longestCases),
})

/** The whole, for the published schema. A field that the types have and this lacks is a type error. */
export const bundleSchema: z.ZodType<Bundle> = shellSchema
  .extend({ cases: z.array(caseSchema).max(longestCases) })
  .describe('All results of one run of sigframe on one host.')

/** docs/bundle.schema.json. */
export const bundleJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(bundleSchema, { io: 'input' })
  return { $schema, title: 'sigframe bundle', ...rest }
}
