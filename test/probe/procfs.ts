/** What /proc says of processes. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

interface ProcessStat {
  /** R, S, T, Z … */
  readonly state: string
  readonly parent: number
}

/** Undefined once the process is gone. */
export const statOf = (pid: number): ProcessStat | undefined => {
  try {
    // The name in parentheses may hold anything; what follows its last one does not.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return { state: fields[0]!, parent: Number(fields[1]) }
  } catch {
    return undefined
  }
}

/** Gone without a trace: not even a zombie is left. */
export const isGone = (pid: number): boolean => statOf(pid) === undefined

/** Ended, but its parent has not asked how. */
export const isZombie = (pid: number): boolean => statOf(pid)?.state === 'Z'

/**
 * Ended, and nothing that we could clean up is left: orphans are the first process's to reap, and the one of a
 * container may never do so.
 */
export const isOver = (pid: number): boolean => {
  const stat = statOf(pid)
  return stat === undefined || (stat.state === 'Z' && stat.parent === 1)
}

export const childrenOf = (parent: number): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => statOf(pid)?.parent === parent)

export const zombiesOf = (parent: number): number[] => childrenOf(parent).filter(isZombie)

const nameOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

/** The probe processes that a process has. */
export const probesOf = (parent: number): number[] =>
  childrenOf(parent).filter(pid => nameOf(pid) === 'sigframe-probe')

/** The open descriptors of a process and what they are. Undefined where they may not be read. */
export const descriptorsOf = (pid: number | 'self'): Map<number, string> | undefined => {
  try {
    const folder = `/proc/${pid}/fd`
    const found = new Map<number, string>()
    for (const name of readdirSync(folder)) {
      try {
        found.set(Number(name), readlinkSync(`${folder}/${name}`))
      } catch {
        // The one that read the folder, which is closed again.
      }
    }
    return found
  } catch {
    return undefined
  }
}
