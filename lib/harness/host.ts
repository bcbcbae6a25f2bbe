/** Observes the host that a run is on: CPU, kernel, what the task's frames hold, and the kernel's generation. */
import { readFileSync } from 'node:fs'
import { release, version } from 'node:os'
import { deviationText } from '../contract/deviation.ts'
import { type Fingerprint, fingerprint, tellingFrames } from '../contract/fingerprint.ts'
import type { Probe } from '../probe/session.ts'
import { componentAt } from '../xstate/components.ts'
import type { HostCpu } from '../xstate/host.ts'
import type { Complaints } from './complaints.ts'
import { executeCase } from './execute.ts'
import type { Watched } from './kernel-log.ts'
import type { HostResult, KernelResult } from './results.ts'
import type { FrameCase } from './selftest.ts'
import { compactsBuffers } from './task.ts'

const readLine = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

const microcode = (): string | null =>
  /^microcode\s*:\s*(\S+)/m.exec(readLine('/proc/cpuinfo') ?? '')?.[1] ?? null

const hex = (value: bigint): string => `0x${value.toString(16)}`

/** The host as a bundle has it. */
export const describeHost = (cpu: HostCpu, probe: Probe): HostResult => ({
  vendor: cpu.vendor,
  brand: cpu.brand.trim(),
  family: cpu.family,
  model: cpu.model,
  stepping: cpu.stepping,
  microcode: microcode(),
  hypervisor: cpu.hypervisor,
  xcr0: hex(cpu.xcr0),
  userFeatures: hex(probe.layout.features),
  userSize: probe.layout.size,
  minSignalStack: cpu.minSignalStack,
  leafD: cpu.components.map(({ index, size, offset, xfd, supervisor }) => ({
    index,
    name: componentAt(index).name,
    size,
    offset,
    xfd,
    supervisor,
  })),
  mxcsrMask: cpu.mxcsrMask,
  compacts: compactsBuffers(cpu),
})

/**
 * Sends the telling frames. A frame whose probe process was lost is evidence of no generation, one that the host did
 * not let us send no evidence.
 */
export const fingerprintKernel = (probe: Probe): Fingerprint =>
  fingerprint(
    tellingFrames(probe.layout).flatMap(({ rule, edit, placement }) => {
      const test: FrameCase = {
        summary: '',
        rule,
        commit: '',
        edit: () => edit,
        placement: placement ?? 'stack',
      }
      const done = executeCase(probe, test, {
        layout: probe.layout,
        expected: probe.expected,
        limits: probe.limits,
        cpu: probe.cpu,
        abi: 'x86_64',
        components: [],
        seed: 1,
      })
      if (done.kind === 'broken') throw new Error(`the fingerprint is broken at ${rule}: ${done.text}`)
      if (done.kind === 'unable') return []
      return [{ rule, observed: done.kind === 'observed' ? done.observed : 'unexplained', seen: done.text }]
    }),
  )

const orNull = (taint: number | string): number | null => (typeof taint === 'string' ? null : taint)

/** The kernel as a bundle has it. */
export const describeKernel = (
  found: Fingerprint,
  { taintBefore, taintAfter }: Watched,
  { taintReason, log }: Complaints,
): KernelResult => ({
  release: release(),
  version: version(),
  generation: found.evidence.length > 0 ? found.generation.id : null,
  headline: found.evidence.length > 0 ? found.headline : '',
  evidence: found.evidence.map(({ rule, observed, asGeneration, deviation }) => ({
    rule,
    observed,
    asGeneration,
    deviation: deviation?.kind ?? null,
    as: deviation?.as ?? [],
  })),
  deviations: found.deviations.map(deviationText),
  taintBefore: orNull(taintBefore),
  taintAfter: orNull(taintAfter),
  taintReason,
  log,
})
