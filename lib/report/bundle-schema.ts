/** The bundle's format as a zod schema; docs/bundle.schema.json is made of it. Loaded only where a bundle is read. */
import { z } from 'zod'
import type { DeviationKind } from '../contract/deviation.ts'
import { type GenerationId, generations } from '../contract/generations.ts'
import { type RuleId, rules } from '../contract/rules.ts'
import { abis } from '../frame/abi.ts'
import {
  type Bundle,
  type CaseBytes,
  type CaseResult,
  type ComponentBytes,
  countVerdicts,
  type Verdict,
} from '../harness/results.ts'
import { placements } from '../harness/selftest.ts'
import { longestArray, longestCases } from './bundle-limits.ts'
import { cpuSchema } from './origin-schema.ts'

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

export const hostSchema = cpuSchema
  .extend({
    xcr0: mask.describe('What the kernel enabled; 0x0 without XSAVE.'),
    userFeatures: mask.describe("The task's components: the sw bytes' xfeatures of its own frames."),
    userSize: count.describe("Bytes of the task's XSAVE area, standard format."),
    minSignalStack: count.describe('AT_MINSIGSTKSZ; 0 where the kernel does not say.'),
    leafD: z.array(leaf).max(64),
    mxcsrMask: count
      .nullable()
      .default(null)
      .describe('The bits of MXCSR that may be set; null or absent from before it was said.'),
    compacts: z
      .boolean()
      .nullable()
      .default(null)
      .describe(
        "Whether the kernel's own buffers are compacted (XSAVEC or XSAVES); null or absent from before it was said.",
      ),
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

export const kernelSchema = z
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

const hexDigits = z
  .string()
  .max(128)
  .regex(/^([0-9a-f]{2})*$/, 'must be bytes as hexadecimal digits in lower case')

const componentBytes = z
  .object({
    name: name.describe('Of a component; mxcsr, which belongs to none, may be among them.'),
    offset: count.describe('Bytes from the start of the XSAVE area, standard format.'),
    size: count.describe('Bytes.'),
    wanted: oneOf<ComponentBytes['wanted']>(['restored', 'init']).describe(
      'Where its bytes should have come from: the frame, or nowhere.',
    ),
    differing: count.describe('How many of its bytes differ.'),
    from: count.describe("Where expected and observed begin, from the component's first byte on."),
    expected: hexDigits.describe('The bytes around the first that differs, 64 at most.'),
    observed: hexDigits,
  })
  .describe('A component that is not as it should be.')

const bytes = z
  .object({
    of: oneOf<CaseBytes['of']>(['frame', 'witness']).describe('Which of the two frames that a case sends.'),
    components: z.array(componentBytes).max(64),
  })
  .nullable()
  .default(null)
  .describe(
    'What a failed case should have had in its registers, and had; null where that is not why, and from before it was said.',
  )

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
  bytes,
  durationUs: z.number().min(0),
  repro,
})

/** All but what is in the cases: they are checked one by one, and a file of wrong ones is refused at the first. */
export const shellSchema = z.object({
  bundleVersion: z.literal(1),
  tool,
  startedAt: z.iso.datetime('must be a time as in 2026-11-21T09:57:00.000Z'),
  durationMs: z.number().min(0),
  host: hostSchema,
  kernel: kernelSchema,
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
