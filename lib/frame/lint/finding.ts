/** What lint says of a frame. */
import type { Abi } from '../abi.ts'

/**
 * - `error`: a kernel or a CPU rejects it, some of its state is lost, or the process ends by it; or its format is one
 *   that no kernel writes.
 * - `warning`: allowed, and known to go wrong elsewhere.
 * - `note`: worth knowing.
 */
export const severities = ['error', 'warning', 'note'] as const
export type Severity = (typeof severities)[number]

/** A wrong shape that a project is known to have made. */
export interface KnownShape {
  /** `CRIU`. */
  readonly project: string
  /** Its issue or commit: `checkpoint-restore/criu#1042`. */
  readonly reference: string
}

export interface LintFinding {
  /** Stable, in kebab case: `magic2-missing`. */
  readonly check: string
  readonly severity: Severity
  /** As messages call it: `sw.xstateSize`, `xstateBv`, `MAGIC2`. */
  readonly field: string
  /** Bytes from the start of the XSAVE area; negative below it; null where it is of no one place. */
  readonly offset: number | null
  /** In one line: field, value, limit. */
  readonly message: string
  /** Projects that made frames of this wrong shape. */
  readonly known: readonly KnownShape[]
}

/** A frame that is looked at: what of it is known. */
export interface LintedFrame {
  readonly abi: Abi
  /** Where the XSAVE area lay; null where that is not known. */
  readonly address: bigint | null
  /** `frameShape(abi).headBytes` bytes; null where they are not known. */
  readonly head: Uint8Array | null
  readonly fsave: Uint8Array | null
  /** From the XSAVE area on, as far as it is known; may be shorter or longer than the frame. */
  readonly fpstate: Uint8Array
}
