/** Opens the door: starts its process, and opens the device there. */
import { checkInteger, checkRecord, outOfRange, wrongType } from '../../errors.ts'
import { type KvmAnswer, type KvmFailure, unanswered } from './answer.ts'
import { KvmDoor } from './door.ts'
import { Holder } from './holder.ts'
import { KvmProcess } from './process.ts'

export interface KvmOptions {
  /** Of the device; SIGFRAME_KVM, or /dev/kvm, if left out. */
  readonly path?: string
  /** How long a call may take before the process is ended; 5000 ms if left out. */
  readonly timeoutMs?: number
}

const defaultPath = '/dev/kvm'
const defaultTimeoutMs = 5000
const maxTimeoutMs = 24 * 3600 * 1000
const longestPath = 4095
/** KVM_API_VERSION, the same since Linux 2.6.22. */
const apiVersion = 12
const fields = new Set(['path', 'timeoutMs'])

const checkPath = (path: unknown): string => {
  if (typeof path !== 'string') throw wrongType('options.path', path, 'a path')
  checkInteger('options.path.length', Buffer.byteLength(path), 1, longestPath)
  if (path.includes('\0')) throw outOfRange('options.path', path, 'must have no NUL in it')
  return path
}

const checkOptions = (options: KvmOptions): Required<KvmOptions> => {
  const record = checkRecord('options', options)
  for (const key of Object.keys(record))
    if (!fields.has(key))
      throw outOfRange(`options.${key}`, record[key], `but there are only ${[...fields].join(' ')}`)
  const { path = process.env.SIGFRAME_KVM || defaultPath, timeoutMs = defaultTimeoutMs } = options
  return {
    path: checkPath(path),
    timeoutMs: checkInteger('options.timeoutMs', timeoutMs, 1, maxTimeoutMs),
  }
}

/** A device that answers as KVM does. */
const openDevice = (process: KvmProcess, path: string): KvmAnswer<Holder> => {
  const slot = process.takeSlot() as number
  const list = process.placeList(Buffer.from(`${path}\0`))
  const opened = process.ask({ what: 'open', slot: 0, into: slot, ...list })
  if (!opened.ok) return opened
  const device = new Holder(process, slot)
  const version = device.ask({ what: 'apiVersion' })
  if (!version.ok) return version
  if (version.value.result === apiVersion) return { ok: true, value: device }
  return unanswered('KVM_GET_API_VERSION', `version ${version.value.result}, not ${apiVersion}`)
}

/**
 * @returns the door, or which call failed
 * @throws NativeUnavailableError where the addon is not available, Error when the process cannot be started,
 * TypeError and RangeError for wrong options
 */
export const openKvm = (options: KvmOptions = {}): KvmAnswer<KvmDoor> => {
  const { path, timeoutMs } = checkOptions(options)
  const process = new KvmProcess(timeoutMs)
  const device = openDevice(process, path)
  if (device.ok) return { ok: true, value: new KvmDoor(device.value) }
  process.end('the KVM door did not open')
  return device
}

const onAccess = (path: string): string =>
  `add yourself to the group kvm (sudo usermod -aG kvm "$USER", then log in anew), or give it to the container (--device ${path})`

/** What to do about a device that does not open, in a clause; empty where nobody knows. */
export const kvmAdvice = ({ call, errno }: KvmFailure, path = defaultPath): string => {
  if (call === 'open') {
    if (errno === 'EACCES' || errno === 'EPERM') return onAccess(path)
    if (errno === 'ENOENT')
      return `load kvm_intel or kvm_amd, turn virtualisation on in the firmware (nested, in a virtual machine), or give the device to the container (--device ${path})`
    if (errno === 'ENODEV' || errno === 'ENXIO') return 'load kvm_intel or kvm_amd: nobody serves the device'
  }
  return call === 'KVM_GET_API_VERSION' && errno === 'ENOTTY' ? `${path} is no KVM device` : ''
}
