/** What the model has to know of a session's task, and how its CPU answers what the model asks. */
import { readFileSync } from 'node:fs'
import type { HardwareAnswer, HardwareAsk } from '../contract/predict/hardware.ts'
import type { Task } from '../contract/predict/task.ts'
import type { ImageSource } from '../probe/request.ts'
import type { Probe } from '../probe/session.ts'
import type { XrstorAnswer, XrstorAsk } from '../probe/xrstor.ts'
import { diffComponents } from '../xstate/compare.ts'
import type { HostCpu } from '../xstate/host.ts'
import { fieldOffset, initFcw, initImage, initMxcsr, XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { randomImage, randomMxcsr } from '../xstate/random.ts'
import type { Traits } from './selftest.ts'

/** SEGV_ACCERR, asm-generic/siginfo.h: the page is there, and not to be read. */
const segvAccerr = 2

/** What is needed of a session. */
export type Hardware = Pick<Probe, 'layout' | 'xrstor'>

/** A question of the model, and what the registers hold when it is asked. */
export interface Question {
  readonly ask: HardwareAsk
  readonly before: ImageSource
}

/** Null where nobody answers: what was asked would take the process's own memory away. */
const answerOf = (answer: XrstorAnswer): HardwareAnswer | null => {
  if (answer.kind === 'lost') return null
  if (answer.kind === 'loaded') return answer.after
  return answer.siCode === segvAccerr ? 'page fault' : 'fault'
}

/** What the probe process is asked: an end says where the bytes lie, too. */
const xrstorAsk = ({ ask, before }: Question): XrstorAsk => {
  const { endsAt, misalignedBy, ...rest } = ask
  return endsAt === null ? { ...rest, misalignedBy, before } : { ...rest, endsAt, before }
}

const askEach = ({ xrstor }: { xrstor: Hardware['xrstor'] }, questions: readonly Question[]) =>
  xrstor(questions.map(xrstorAsk))

/** Asks all of it; one answer for each, null where the question cannot be put. */
export const askHardware = (probe: Hardware, questions: readonly Question[]): (HardwareAnswer | null)[] => {
  if (questions.length === 0) return []
  const xrstor: Hardware['xrstor'] = asks => probe.xrstor(asks)
  try {
    return askEach({ xrstor }, questions).map(answerOf)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    // One of them is refused: only that one has no answer.
    return questions.length === 1 ? [null] : questions.flatMap(question => askHardware(probe, [question]))
  }
}

const sse = 2n
const fswEsAndB = 0x8080
const avx = 4n

/** The registers after XRSTOR has put AVX alone to init; null where nobody says. */
const afterAvxInit = (probe: Hardware, before: XsaveImage): Uint8Array | null => {
  const { bytes } = initImage(probe.layout)
  const ask: HardwareAsk = { instruction: 'xrstor', bytes, mask: avx, misalignedBy: 0, endsAt: null }
  const [answer] = askHardware(probe, [{ ask, before }])
  return answer instanceof Uint8Array ? answer : null
}

/** Whether XRSTOR loads MXCSR where AVX is asked for and SSE is not. */
const avxLoadsMxcsr = (probe: Hardware): boolean => {
  const { layout } = probe
  if ((layout.features & avx) === 0n) return false
  const before = initImage(layout)
  before.mxcsr = randomMxcsr(layout, 1)
  before.xstateBv = sse
  const after = afterAvxInit(probe, before)
  if (after === null) throw new Error('this CPU does not load its own init image')
  return mxcsrOf(after) === initMxcsr
}

/** Whether ZMM_Hi256 is what it was once AVX is put to init. What nobody has seen lost is kept. */
export const keepsZmmHi256 = (probe: Hardware): boolean => {
  const { layout } = probe
  if (!layout.has('zmm_hi256')) return true
  const before = randomImage(layout, { seed: 1, components: ['zmm_hi256'] })
  const after = afterAvxInit(probe, before)
  return after === null || !diffComponents(after, before.bytes, layout).includes('zmm_hi256')
}

/** A bit of MXCSR that no CPU has (SDM volume 1, 10.2.3). */
const reservedMxcsr = 1 << 16

/** Whether loading reserved bits of MXCSR is a fault. What nobody says is as the manual has it. */
const checksMxcsr = (probe: Hardware): boolean => {
  const { layout } = probe
  const before = initImage(layout)
  const odd = initImage(layout)
  if (layout.xsave) odd.xstateBv = sse
  const bytes = odd.bytes.slice()
  new DataView(bytes.buffer).setUint32(fieldOffset.mxcsr, initMxcsr | reservedMxcsr, true)
  const instruction = layout.xsave ? 'xrstor' : 'fxrstor'
  const ask: HardwareAsk = { instruction, bytes, mask: sse, misalignedBy: 0, endsAt: null }
  const [answer] = askHardware(probe, [{ ask, before }])
  return !(answer instanceof Uint8Array)
}

/** What emulators may do otherwise, asked of the session's CPU. */
export const traitsOf = (probe: Hardware): Traits => ({
  keepsZmmHi256: keepsZmmHi256(probe),
  checksMxcsr: checksMxcsr(probe),
})

const someFop = 0x7e5
const someAddress = 0x1234_5678n

/** Whether XRSTOR loads FOP, FIP and FDP, and XSAVE saves them, with an exception pending. */
const keepsPointers = (probe: Hardware): boolean => {
  const image = initImage(probe.layout)
  // Invalid operation, not masked, and what follows of it.
  image.fcw = initFcw & ~1
  image.fsw = fswEsAndB | 1
  image.fop = someFop
  image.fip = someAddress
  image.fdp = someAddress + 8n
  image.xstateBv = 1n
  const ask: HardwareAsk = {
    instruction: 'xrstor',
    bytes: image.bytes,
    mask: 1n,
    misalignedBy: 0,
    endsAt: null,
  }
  const [answer] = askHardware(probe, [{ ask, before: initImage(probe.layout) }])
  if (!(answer instanceof Uint8Array)) return false
  const { fop, fip, fdp } = new XsaveImage(answer, probe.layout)
  return fop === someFop && fip === someAddress && fdp === someAddress + 8n
}

const mxcsrOf = (image: Uint8Array): number =>
  new DataView(image.buffer, image.byteOffset, image.byteLength).getUint32(fieldOffset.mxcsr, true)

/** CPUID leaf 0xD, subleaf 1, EAX: bits 1 and 3. */
const xsavecAndXsaves = 2 | 8

/**
 * Either of XSAVEC and XSAVES makes Linux compact its buffers. What it was told not to use (`clearcpuid=`, `noxsaves`) is
 * no flag in /proc/cpuinfo, though CPUID has it.
 * @param cpuinfo the text; null where it cannot be read
 */
export const compactsBuffers = (
  { xsaveFeatures }: Pick<HostCpu, 'xsaveFeatures'>,
  cpuinfo: string | null = readCpuinfo(),
): boolean => {
  const [flags] = /^flags\s*:.*$/m.exec(cpuinfo ?? '') ?? []
  return flags === undefined ? (xsaveFeatures & xsavecAndXsaves) !== 0 : / xsave[cs]( |$)/.test(flags)
}

const readCpuinfo = (): string | null => {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return null
  }
}

/**
 * The task of a session.
 * @param cpuinfo /proc/cpuinfo of its kernel, or null: then CPUID says what the kernel uses
 */
export const taskOf = (
  probe: Hardware & Pick<Probe, 'cpu'>,
  cpuinfo: string | null = readCpuinfo(),
): Task => {
  const layout: Layout = probe.layout
  return {
    layout,
    compacts: compactsBuffers(probe.cpu, cpuinfo),
    avxLoadsMxcsr: layout.xsave && avxLoadsMxcsr(probe),
    keepsPointers: layout.xsave && keepsPointers(probe),
    keepsZmmHi256: keepsZmmHi256(probe),
  }
}
