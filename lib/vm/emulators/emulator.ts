/** What every emulator is to the rest: something that can be found, and that makes a command line of a machine. */
import type { Acceleration, EmulatorName } from '../machine.ts'

/** An emulator that is there and does not work; the message says what it says. */
export class EmulatorError extends Error {
  override name = 'EmulatorError'
}

/** A machine to boot. */
export interface MachineSpec {
  /** Path of a bzImage. */
  readonly kernel: string
  /** Path of a newc archive, uncompressed. */
  readonly initramfs: string
  /** The emulator's own text for the CPU. */
  readonly cpu: string
  readonly commandLine: string
  readonly memoryMib: number
  readonly cpus: number
  readonly acceleration: Acceleration
  /** Of this machine alone; whoever made it removes it. */
  readonly folder: string
}

/** A command that runs a machine until it is off. */
export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The file that the first serial port is written to: the kernel's console. */
  readonly console: string
  /** The file that the second serial port is written to: what PID 1 and the run say. */
  readonly data: string
}

export interface FoundEmulator {
  readonly name: EmulatorName
  /** As it says itself: `7.2.22`. */
  readonly version: string
  /** Files that the machine needs first are written to its folder. */
  readonly prepare: (spec: MachineSpec, signal: AbortSignal) => Promise<Launch>
}

/** Found, or what is missing and which packages bring it, in one line. */
export type EmulatorSearch =
  | { readonly found: FoundEmulator }
  | { readonly found: null; readonly missing: string }
