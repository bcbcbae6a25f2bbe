/** All machines as JSON text. The same report gives the same text, whoever put its objects together. */
import type { CapturedFrame, ReplayedFrame } from '../../foreign/captured.ts'
import type { MachineCpu, MachineKernel, MachineResult, VmReport } from '../../vm/machine.ts'
import type { LayoutJson } from '../../xstate/layout.ts'
import { type KeysOf, pick, plainBundle, toJson } from '../json.ts'

const reportKeys: KeysOf<VmReport> = {
  format: true,
  version: true,
  tool: true,
  startedAt: true,
  durationMs: true,
  require: true,
  rule: true,
  interrupted: true,
  machines: true,
}

const machineKeys: KeysOf<MachineResult> = {
  kernel: true,
  cpu: true,
  emulator: true,
  status: true,
  reason: true,
  phase: true,
  lacks: true,
  wants: true,
  attempts: true,
  durationMs: true,
  bootMs: true,
  console: true,
  warnings: true,
  bundle: true,
  frames: true,
  replayed: true,
}

const kernelKeys: KeysOf<MachineKernel> = { name: true, path: true, release: true }

const cpuKeys: KeysOf<MachineCpu> = { name: true, emulator: true, model: true }

const frameKeys: KeysOf<CapturedFrame> = { id: true, abi: true, layout: true, fpstate: true, image: true }

const layoutKeys: KeysOf<LayoutJson> = {
  vendor: true,
  xcr0: true,
  userFeatures: true,
  components: true,
  mxcsrMask: true,
}

const componentKeys: KeysOf<LayoutJson['components'][number]> = {
  index: true,
  size: true,
  offset: true,
  alignedCompacted: true,
  supervisor: true,
  xfd: true,
}

const replayedKeys: KeysOf<ReplayedFrame> = {
  from: true,
  outcome: true,
  lost: true,
  unknown: true,
  leftOver: true,
  observed: true,
  expected: true,
  asExpected: true,
}

const plainFrame = (frame: CapturedFrame): CapturedFrame => ({
  ...pick(frame, frameKeys),
  layout: {
    ...pick(frame.layout, layoutKeys),
    components: frame.layout.components.map(one => pick(one, componentKeys)),
  },
})

const plainMachine = (machine: MachineResult): MachineResult => {
  const { kernel, cpu, emulator, bundle, frames, replayed } = machine
  return {
    ...pick(machine, machineKeys),
    kernel: pick(kernel, kernelKeys),
    cpu: pick(cpu, cpuKeys),
    emulator: emulator === null ? null : pick(emulator, { version: true, acceleration: true, why: true }),
    bundle: bundle === null ? null : plainBundle(bundle),
    frames: frames.map(plainFrame),
    replayed: replayed.map(one => pick(one, replayedKeys)),
  }
}

/** All machines as JSON: docs/vm.schema.json describes it. */
export const vmJson = (report: VmReport): string =>
  toJson({
    ...pick(report, reportKeys),
    tool: pick(report.tool, { name: true, version: true }),
    machines: report.machines.map(plainMachine),
  })
