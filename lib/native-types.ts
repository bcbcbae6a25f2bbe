/** The addon's surface, as native/addon/addon.cc exports it. Numbers are checked on the other side again. */

/** How a native wait ended; the codes are in `ArenaNumbers` as `Waited.*`. */
export type Waited = number

export interface NativeExit {
  /** The signal's number, or null for an exit by code. */
  readonly signal: number | null
  readonly code: number | null
}

/** Byte counts that the arena is made with; each is rounded up to pages. */
export interface ArenaShape {
  readonly stackBytes: number
  /** Of `stackBytes`: what stays free above the frame, for edits that enlarge it in place. */
  readonly headroom: number
  readonly spareBytes: number
  readonly dataBytes: number
  /** Components to ask of ARCH_REQ_XCOMP_PERM, as a mask. */
  readonly permissions: bigint
}

export interface SessionDescription {
  readonly pid: number
  /** Address of the arena in the probe process. */
  readonly base: bigint
  /** ARCH_GET_XCOMP_PERM of the probe process; all ones where the kernel has no such call. */
  readonly permitted: bigint
  /** Why there are no 32-bit frames; null where there are. */
  readonly ia32Lack: string | null
  /** The same of x32 frames. */
  readonly x32Lack: string | null
  readonly stack: number
  readonly stackBytes: number
  readonly headroom: number
  readonly spare: number
  readonly spareBytes: number
  readonly data: number
  readonly dataBytes: number
}

export interface NativeSession {
  /** The arena from `arena.first` on. Detached by close(). */
  memory(): ArrayBuffer
  describe(): SessionDescription
  /**
   * Hands `count` requests over and waits until `target` are completed in all, or a frame waits. The thread stays
   * on the probe process's CPU meanwhile; with `hold` until letGo().
   */
  run(count: number, target: number, timeoutMs: number, hold?: boolean): Waited
  letGo(): void
  /** Lets a handler that waits with a frame go on, and waits until `target` are completed. */
  reply(target: number, timeoutMs: number, hold?: boolean): Waited
  runAsync(count: number, target: number, timeoutMs: number): Promise<Waited>
  completed(): number
  kill(): void
  tryReap(): NativeExit | undefined
  /** Kills, waits a moment, lets go of everything. False: the process has not ended yet. */
  close(): boolean
}

export interface NativeCpu {
  readonly vendor: string
  readonly brand: string
  readonly family: number
  readonly model: number
  readonly stepping: number
  readonly hypervisor: string | null
  readonly mxcsrMask: number
  /** AT_MINSIGSTKSZ; 0 where the kernel does not say. */
  readonly minSignalStack: number
  /** 0 without XSAVE. */
  readonly xcr0: bigint
  /** CPUID.(0xD,1):EAX. */
  readonly xsaveFeatures: number
  readonly components: readonly {
    readonly index: number
    readonly size: number
    readonly offset: number
    readonly supervisor: boolean
    readonly alignedCompacted: boolean
    readonly xfd: boolean
  }[]
}

export interface Native {
  readonly Session: new (probePath: string, shape: ArenaShape) => NativeSession
  readCpu(): NativeCpu
  /** Offsets, sizes and codes of native/shared/arena.h by name: `Request.load`, `ringSlots`, `OpCode.write`. */
  readonly arena: Readonly<Record<string, number>>
}
