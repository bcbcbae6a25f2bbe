/** The format of the catalogue as a zod schema; docs/cpu.schema.json is made of it. Loaded only where a file is read. */
import { z } from 'zod'
import {
  type CpuFile,
  cpuNamePattern,
  longestCpuName,
  type SourceKind,
  sourceKinds,
} from '../catalogue/entry.ts'
import { layoutSchema } from './layout-schema.ts'

const longestName = 500

const text = z.string().min(1).max(longestName)

const source = z
  .object({
    kind: z
      .enum(sourceKinds as unknown as [SourceKind, ...SourceKind[]])
      .describe(
        'measured by this tool on a machine; a CPUID dump that others published; a manual; source code; announced by the vendor.',
      ),
    text: text.describe('What a reader needs to look it up: section, file and function, or the machine.'),
  })
  .describe('Where it is from.')

/** A field that the type has and this lacks is a type error. */
export const cpuFileSchema: z.ZodType<CpuFile> = z
  .object({
    format: z.literal('sigframe cpu'),
    version: z.literal(1),
    name: z
      .string()
      .max(longestCpuName)
      .regex(cpuNamePattern, 'must be words in lower case, joined by hyphens')
      .describe('As commands know it; the file of the catalogue is called so, too.'),
    title: text.describe('In one line, for people.'),
    cpus: z
      .array(text)
      .min(1)
      .max(100)
      .describe('The models that have exactly this, virtual ones among them.'),
    task: text.describe('Whose frames these are: what the task has asked its kernel for, and used.'),
    announced: z.boolean().describe('Nobody has seen one yet.'),
    sources: z.array(source).min(1).max(100),
    compacts: z.boolean().describe("Whether the kernel's buffers are compacted: it has XSAVEC or XSAVES."),
    emulated: z.boolean().default(false).describe("Whether it is QEMU's, in software."),
    layout: layoutSchema.describe('Where each component lies in the frames of that task.'),
  })
  .describe('A CPU, and where it has its components.')

/** docs/cpu.schema.json. */
export const cpuFileJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(cpuFileSchema, { io: 'input' })
  return { $schema, title: 'sigframe cpu', ...rest }
}
