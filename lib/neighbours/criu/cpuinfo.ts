/** CRIU's check of CPUs: what this one is written down as, and whether it would do for a process from one like that. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCriu } from './program.ts'

export type CpuCheck =
  | { readonly kind: 'checked'; readonly allows: boolean; readonly words: string }
  | { readonly kind: 'unable'; readonly text: string }

/** `criu cpuinfo dump` here, and `criu cpuinfo check` of that here. */
export const checkOwnCpu = (criu: string): CpuCheck => {
  const folder = mkdtempSync(join(tmpdir(), 'sigframe-criu-'))
  try {
    const dumped = runCriu(criu, ['cpuinfo', 'dump'], folder)
    if (!dumped.succeeded) return { kind: 'unable', text: `criu cpuinfo dump: ${dumped.words}` }
    const { succeeded, words } = runCriu(criu, ['cpuinfo', 'check'], folder)
    return { kind: 'checked', allows: succeeded, words: succeeded ? '' : words }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
