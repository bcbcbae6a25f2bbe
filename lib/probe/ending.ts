/** The end of a process of ours: killed, waited for, and let go of; or left behind where it does not end. */
import type { NativeExit, NativeSession } from '../native-types.ts'
import { signalName } from './result.ts'

/** How long the end of a killed process is waited for before it counts as stuck. */
const reapTimeoutMs = 1000
const reapPauseMs = 2

/** Processes that SIGKILL did not end in time. Looked at again now and then, so that none stays a zombie. */
const abandoned = new Set<NativeSession>()

export const sweepAbandoned = (): void => {
  for (const session of abandoned) {
    if (session.tryReap() === undefined) continue
    session.close()
    abandoned.delete(session)
  }
}

const pauseSync = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

const leave = (
  session: NativeSession,
  exit: NativeExit | undefined,
  last: () => void,
): NativeExit | undefined => {
  last()
  if (exit === undefined) abandoned.add(session)
  else session.close()
  return exit
}

/**
 * Kills the process and lets go of it. Undefined: it did not end, and was left behind.
 * @param last called when it has ended, before its memory goes
 */
export const endSession = (session: NativeSession, last = () => {}): NativeExit | undefined => {
  session.kill()
  let exit = session.tryReap()
  for (let waited = 0; exit === undefined && waited < reapTimeoutMs; waited += reapPauseMs) {
    pauseSync(reapPauseMs)
    exit = session.tryReap()
  }
  return leave(session, exit, last)
}

/** The same without blocking the thread. */
export const endSessionAsync = async (
  session: NativeSession,
  last = () => {},
): Promise<NativeExit | undefined> => {
  session.kill()
  let exit = session.tryReap()
  for (let waited = 0; exit === undefined && waited < reapTimeoutMs; waited += reapPauseMs) {
    await new Promise(resolve => setTimeout(resolve, reapPauseMs))
    exit = session.tryReap()
  }
  return leave(session, exit, last)
}

/** A native exit with the signal's name. */
export const namedExit = (exit: NativeExit): { signal: string | null; code: number | null } => ({
  signal: exit.signal === null ? null : signalName(exit.signal),
  code: exit.code,
})
