/** Where something in a file comes from, as zod schemas: the machine and its kernel. Loaded only where one is read. */
import { z } from 'zod'

const longestName = 500
const u32 = 0xffff_ffff

const name = z.string().max(longestName)
const count = z.int().min(0).max(u32)

/** A CPU, as it describes itself. */
export const cpuSchema = z.object({
  vendor: name,
  brand: name,
  family: count,
  model: count,
  stepping: count,
  microcode: name.nullable(),
  hypervisor: name.nullable(),
})

export const originHostSchema = cpuSchema.nullable().default(null)

export const originKernelSchema = z
  .object({
    release: name.describe('uname -r'),
    generation: name.nullable().describe('Told by what the kernel does; null where it was not told.'),
  })
  .nullable()
  .default(null)

/** Whoever wrote the file. */
export const toolSchema = z.object({
  name: z.literal('sigframe'),
  version: name.describe('Of the tool that wrote this.'),
})
