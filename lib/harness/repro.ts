/** A case as plain data that repeats it. */
import type { EditOp } from '../frame/edit.ts'
import type { Repro } from './results.ts'
import { type CaseContext, isTrial, type SelftestCase } from './selftest.ts'

const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** An operation as JSON has it; it is accepted in this form too. */
export const plainOp = (op: EditOp): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(op).map(([key, value]: [string, unknown]) => {
      if (value instanceof Uint8Array) return [key, hexBytes(value)]
      return [key, typeof value === 'bigint' ? `0x${value.toString(16)}` : value]
    }),
  )

/** Null for cases that are more than one frame: their ids repeat them. */
export const reproOf = (test: SelftestCase, context: CaseContext): Repro | null => {
  if (isTrial(test)) return null
  const { raise = 'tgkill', stack } = test
  return {
    seed: context.seed,
    edit: test.edit(context).map(plainOp),
    abi: context.abi,
    raise,
    stack: stack === undefined ? null : { state: 'plain', ...stack(context) },
  }
}
