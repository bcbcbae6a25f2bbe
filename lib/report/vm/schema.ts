/** The format of `sigframe vm --json` as a zod schema; docs/vm.schema.json is made of it. Loaded only where one is read. */
import { z } from 'zod'
import type { DemandId } from '../../contract/demand.ts'
import { generations } from '../../contract/generations.ts'
import { proposals } from '../../contract/proposals.ts'
import type { ReplayedFrame } from '../../foreign/captured.ts'
import { type Abi, abis } from '../../frame/abi.ts'
import {
  type Acceleration,
  type EmulatorName,
  type MachinePhase,
  type MachineResult,
  type MachineStatus,
  machineStatuses,
  type VmReport,
} from '../../vm/machine.ts'
import { bundleSchema, shellSchema } from '../bundle-schema.ts'
import { layoutSchema } from '../layout-schema.ts'

const longestName = 500
const longestText = 10_000
/** Of the largest area that a layout can have, in base64. */
const longestBytes = 2 << 20
const u32 = 0xffff_ffff

const oneOf = <T extends string>(values: readonly T[]) => z.enum(values as unknown as [T, ...T[]])

const name = z.string().max(longestName)
const text = z.string().max(longestText)
const texts = z.array(text).max(1000)
const count = z.int().min(0).max(u32)
const duration = z.number().min(0)
const base64 = z
  .string()
  .max(longestBytes)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/, 'must be base64')

const kernel = z
  .object({
    name: name.describe('What the matrix calls it.'),
    path: z.string().max(4096).describe('Of a bzImage.'),
    release: name.nullable().describe('As its header has it; null where it has none.'),
  })
  .describe('The kernel that was booted.')

const cpu = z
  .object({
    name: name.describe('As in --cpu.'),
    emulator: oneOf<EmulatorName>(['qemu', 'bochs']),
    model: name.describe("The emulator's own text."),
  })
  .describe('The CPU that it was booted on.')

const emulator = z
  .object({
    version: name,
    acceleration: oneOf<Acceleration>(['kvm', 'tcg', 'interpreter']),
    why: text.describe('Why this acceleration; empty where it was asked for.'),
  })
  .nullable()
  .describe('Null where there is none.')

const layout = layoutSchema.describe('Of the machine that the frame was made on.')

const frame = z
  .object({
    id: name.describe('<abi>/<what>, once on a machine.'),
    abi: oneOf<Abi>(abis),
    layout,
    fpstate: base64.describe(
      'The fpstate as it lay on the stack, from the fsave header of a 32-bit frame on, MAGIC2 included, base64.',
    ),
    image: base64.describe('What was in the registers: an XSAVE image of the layout, base64.'),
  })
  .describe('A frame as the kernel delivered it.')

const names = z.array(name).max(65)

const replayed = z
  .object({
    from: z
      .string()
      .max(3 * longestName)
      .describe('<kernel>|<cpu>|<abi>/<what> of the captured frame.'),
    outcome: oneOf<ReplayedFrame['outcome']>(['holds', 'loses', 'rejected', 'killed', 'unable']),
    lost: names.describe('Components that the frame had and this machine knows, but did not restore.'),
    unknown: names.describe('Components that the frame had and this machine does not know.'),
    leftOver: names.describe('Components that the frame had at init, and the registers had not.'),
    observed: text,
    expected: text.describe(
      "What a kernel of the machine's generation does with it; empty where not predicted.",
    ),
    asExpected: z.boolean().nullable(),
  })
  .describe('What became of the frame of another machine.')

const machineShape = {
  kernel,
  cpu,
  emulator,
  status: oneOf<MachineStatus>(machineStatuses).describe(
    'How it ended. Whether the kernel passed is in the verdicts of the bundle.',
  ),
  reason: text.describe('Why this status; empty for ran.'),
  phase: oneOf<MachinePhase>(['emulator', 'boot', 'probes', 'end']).describe('How far it came.'),
  lacks: texts.describe('Kernel options that Node or the probes need and this kernel lacks.'),
  wants: texts.describe('Kernel options without which cases are skipped.'),
  attempts: count.describe('Boots that it took.'),
  durationMs: duration.describe("From the emulator's start to its end, the last boot alone."),
  bootMs: duration
    .nullable()
    .describe("From the emulator's start to PID 1; null where it did not come to that."),
  console: texts.describe('What of the console tells of its end; empty for ran.'),
  warnings: texts.describe('Warnings of the kernel on the console, before the run began.'),
}

const frames = z.array(frame).max(1000)
const replays = z.array(replayed)

/** All but what is in the bundle's cases: they are checked one by one, as a bundle's own are. */
export const machineShellSchema = z.object({
  ...machineShape,
  bundle: shellSchema.nullable(),
  frames,
  replayed: replays,
})

/** A field that the type has and this lacks is a type error. */
const machineSchema: z.ZodType<MachineResult> = z
  .object({
    ...machineShape,
    bundle: bundleSchema
      .nullable()
      .describe('What bundle.schema.json describes; whole for the status ran alone.'),
    frames,
    replayed: replays,
  })
  .describe('One machine: a kernel on an emulated CPU.')

const reportShape = {
  format: z.literal('sigframe vm'),
  version: z.literal(1),
  tool: z.object({ name: z.literal('sigframe'), version: name.describe('Of the tool that wrote this.') }),
  startedAt: z.iso.datetime('must be a time as in 2026-11-21T09:57:00.000Z'),
  durationMs: duration,
  require: oneOf<DemandId>([...generations, ...proposals].map(({ id }) => id))
    .nullable()
    .describe('The generation, or the proposal, that was demanded.'),
  rule: name.nullable().describe('The rule that alone was judged.'),
  interrupted: z.boolean().describe('Whether Ctrl-C ended it early.'),
}

/** All but what is in the machines. */
export const vmShellSchema = z.object({ ...reportShape, machines: z.array(z.unknown()) })

/** The whole, for the published schema. */
export const vmSchema: z.ZodType<VmReport> = z
  .object({ ...reportShape, machines: z.array(machineSchema) })
  .describe('All machines of one sigframe vm.')

/** docs/vm.schema.json. */
export const vmJsonSchema = (): Record<string, unknown> => {
  const { $schema, ...rest } = z.toJSONSchema(vmSchema, { io: 'input' })
  return { $schema, title: 'sigframe vm', ...rest }
}
