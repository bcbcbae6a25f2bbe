/** A case as plain data that repeats it. */
import type { EditOp } from '../frame/edit.ts'
import type { Repro } from './results.ts'
import type { CaseContext, SelftestCase } from './selftest.ts'

const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** An operation as JSON has it; it is accepted in this form too. */
export const plainOp = (op: EditOp): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(op).map(([key, value]: [string, unknown]) => {
      if (value instanceof Uint8Array) return [key, hexBytes(value)]
      return [key, typeof value === 'bigint' ? `0x${value.toString(16)}` : value]
    }),
  )

export const reproOf = (test: SelftestCase, context: CaseContext): Repro => ({
  seed: context.seed,
  edit: test.edit(context).map(plainOp),
})
