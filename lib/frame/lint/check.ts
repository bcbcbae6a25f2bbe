/** One check of a frame. */
import type { FrameField } from '../format.ts'
import { frameFields } from '../format.ts'
import type { KnownShape, Severity } from './finding.ts'
import type { Subject } from './subject.ts'

/** What a check has to say; the rest is the check's own. */
export interface Problem {
  /** Field, value, limit. */
  readonly message: string
  /** Where it is another one than the check's. */
  readonly severity?: Severity
  readonly field?: string
  readonly offset?: number | null
  readonly known?: readonly KnownShape[]
}

export interface Check {
  /** Stable, in kebab case. */
  readonly name: string
  readonly severity: Severity
  readonly field: string
  /** Bytes from the start of the XSAVE area; null where it is of no one place. */
  readonly offset: number | null
  readonly look: (subject: Subject, head: Uint8Array | null) => Problem | null
}

/** A check of a field that edits can name. */
export const fieldCheck = (
  name: string,
  severity: Severity,
  field: FrameField,
  look: Check['look'],
): Check => ({ name, severity, field, offset: frameFields[field].at, look })
