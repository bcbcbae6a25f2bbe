/** sigframe: a laboratory for live x86 signal frames on Linux. */
export { catalogueEntry, catalogueLayout, catalogueNames } from './catalogue/catalogue.ts'
export type { CatalogueEntry } from './catalogue/entry.ts'
export { type Generation, type GenerationId, generationOf, generations } from './contract/generations.ts'
export type { Policy } from './contract/policy.ts'
export { type Differing, differing } from './contract/predict/compare.ts'
export type { Pages, SentFrame } from './contract/predict/frame.ts'
export type { HardwareAnswer, HardwareAsk } from './contract/predict/hardware.ts'
export { type Ended, type Prediction, predict } from './contract/predict/predict.ts'
export type { Registers } from './contract/predict/registers.ts'
export { sentFrame } from './contract/predict/sent.ts'
export type { Task } from './contract/predict/task.ts'
export { decidedBy, decisionsOf, endText } from './contract/predict/words.ts'
export type { CoreFrame, CoreScan, CoreThread, FrameState } from './elf/core.ts'
export { CoreFileError } from './elf/error.ts'
export { type ScanOptions, scanCore } from './elf/scan.ts'
export { type ExplainedForeign, explainForeign } from './foreign/explain.ts'
export { keepFrame } from './foreign/keep.ts'
export { foreignOf } from './foreign/meant.ts'
export { manualOf, taskElsewhere } from './foreign/predict.ts'
export type { SavedFrame } from './foreign/saved.ts'
export { type SentFrameResult, sendFrame } from './foreign/send.ts'
export { type Abi, abis, type FrameShape, frameShape, type HeadField } from './frame/abi.ts'
export * from './frame/edit.ts'
export { type FrameField, frameFields, magic1, magic2 } from './frame/format.ts'
export { type FsaveField, foldFsave, fsaveFields, readFsave } from './frame/fsave.ts'
export type { KnownShape, LintedFrame, LintFinding, Severity } from './frame/lint/finding.ts'
export { guessOf } from './frame/lint/guess.ts'
export { lintFrame } from './frame/lint/lint.ts'
export { cutFrame, findAreas } from './frame/lint/raw.ts'
export { LiveFrame, type LiveSwBytes } from './frame/live.ts'
export { type FrameParts, FrameRecord, restorable, type SwBytes } from './frame/reader.ts'
export {
  type Malformed,
  type PlacedFrame,
  type TranslatedFrame,
  translateFrame,
} from './frame/translate.ts'
export type { Difference } from './fuzz/finding.ts'
export { type FoundIn, type FuzzOptions, type FuzzResult, fuzz } from './fuzz/fuzz.ts'
export { askHardware, taskOf } from './harness/task.ts'
export { type Host, type HostKind, hostKinds } from './hosts/host.ts'
export { HostError, resolveHost } from './hosts/resolve.ts'
export { createMatrix } from './matrix/create.ts'
export type { Pair, PairMatrix } from './matrix/matrix.ts'
export { NativeUnavailableError, nativeProblem } from './native.ts'
export { type AuxName, type AuxVector, auxEntry, auxType } from './neighbours/auxv/vector.ts'
export { type Answered, askChild, type Step, type StepAnswer } from './neighbours/child/steps.ts'
export { type Checkpointed, checkpointInHandler, type Live } from './neighbours/criu/checkpoint.ts'
export { findCriu } from './neighbours/criu/program.ts'
export type { KvmAnswer, KvmDone, KvmFailure } from './neighbours/kvm/answer.ts'
export { type CpuidEntry, featuresOfCpuid, withFeatures } from './neighbours/kvm/cpuid.ts'
export type { KvmDoor } from './neighbours/kvm/door.ts'
export { type KvmOptions, kvmAdvice, openKvm } from './neighbours/kvm/open.ts'
export type { PreparedXsave } from './neighbours/kvm/process.ts'
export type { KvmVcpu, RoundTrip, XsaveCall } from './neighbours/kvm/vcpu.ts'
export type { KvmVm } from './neighbours/kvm/vm.ts'
export type { RegsetAnswer, RegsetDone } from './neighbours/ptrace/answer.ts'
export type { PreparedRegset, RegsetAsk, TracedSignal } from './neighbours/ptrace/ask.ts'
export type { CallResult, GetCall, RegsetCall, SetCall } from './neighbours/ptrace/calls.ts'
export { getXcomp, requestXcomp } from './neighbours/xcomp/calls.ts'
export type {
  AlternateStack,
  DataRequest,
  ImageSource,
  LiveEdit,
  PreparedImage,
  PreparedRequest,
  ProbeRequest,
  Raise,
  Refusal,
  StackState,
} from './probe/request.ts'
export { raises, stackStates } from './probe/request.ts'
export type * from './probe/result.ts'
export { type OpenOptions, open, openSync, Probe, permissible } from './probe/session.ts'
export type { XrstorAnswer, XrstorAsk } from './probe/xrstor.ts'
export { BundleError, readBundle } from './report/bundle.ts'
export { CollectionError, readCollection } from './report/collection.ts'
export {
  FrameFileError,
  frameFileJson,
  parseFrameFile,
  readFrameFile,
} from './report/frame-file.ts'
export { matrixJson, readMatrix } from './report/matrix-file.ts'
export {
  ProbeFileError,
  parseProbeFile,
  probeFileJson,
  readProbeFile,
  type SavedProbe,
} from './report/probe-file.ts'
export * from './xstate/compare.ts'
export * from './xstate/components.ts'
export { type HostCpu, hostLayout, readHostCpu } from './xstate/host.ts'
export { imageFrom, initImage, validateLoadable, XsaveImage } from './xstate/image.ts'
export * from './xstate/layout.ts'
export { defaultPkru } from './xstate/pkru.ts'
export { type RandomImageOptions, randomComponent, randomImage } from './xstate/random.ts'
export * from './xstate/translate.ts'
