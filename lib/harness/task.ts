/** What the model has to know of a session's task, and how its CPU answers what the model asks. */
import type { HardwareAnswer, HardwareAsk } from '../contract/predict/hardware.ts'
import type { Task } from '../contract/predict/task.ts'
import type { ImageSource } from '../probe/request.ts'
import type { Probe } from '../probe/session.ts'
import type { XrstorAnswer, XrstorAsk } from '../probe/xrstor.ts'
import { fieldOffset, initFcw, initImage, initMxcsr, XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { randomMxcsr } from '../xstate/random.ts'

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

/** Whether XRSTOR loads MXCSR where AVX is asked for and SSE is not. */
const avxLoadsMxcsr = (probe: Hardware): boolean => {
  const { layout } = probe
  if ((layout.features & avx) === 0n) return false
  const before = initImage(layout)
  before.mxcsr = randomMxcsr(layout, 1)
  before.xstateBv = sse
  const bytes = initImage(layout).bytes
  const ask: HardwareAsk = { instruction: 'xrstor', bytes, mask: avx, misalignedBy: 0, endsAt: null }
  const [answer] = askHardware(probe, [{ ask, before }])
  if (!(answer instanceof Uint8Array)) throw new Error('this CPU does not load its own init image')
  return mxcsrOf(answer) === initMxcsr
}

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

/** CPUID leaf 0xD, subleaf 1, EAX: bits 1 and 3. Either makes Linux compact its buffers. */
const xsavecAndXsaves = 2 | 8

/** The task of a session. */
export const taskOf = (probe: Hardware & Pick<Probe, 'cpu'>): Task => {
  const layout: Layout = probe.layout
  return {
    layout,
    compacts: (probe.cpu.xsaveFeatures & xsavecAndXsaves) !== 0,
    avxLoadsMxcsr: layout.xsave && avxLoadsMxcsr(probe),
    keepsPointers: layout.xsave && keepsPointers(probe),
  }
}
