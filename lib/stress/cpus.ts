/** CPUs as the kernel writes lists of them: `0-3,8`. */
import { readFileSync } from 'node:fs'

const mostCpu = 8191
const range = /^(\d+)(?:-(\d+))?$/

/** The CPUs of a list, in order and each once. Null: it is no list, or names a number that no kernel has. */
export const parseCpus = (text: string): number[] | null => {
  const cpus = new Set<number>()
  for (const part of text.trim().split(',')) {
    const [, first, last = first] = range.exec(part) ?? []
    if (first === undefined) return null
    if (Number(last) > mostCpu || Number(last) < Number(first)) return null
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu)
  }
  return [...cpus].sort((a, b) => a - b)
}

/** CPUs as a list, `0-3,8`. */
export const formatCpus = (cpus: readonly number[]): string => {
  const runs: [number, number][] = []
  for (const cpu of cpus.toSorted((a, b) => a - b)) {
    const run = runs.at(-1)
    if (run !== undefined && cpu === run[1] + 1) run[1] = cpu
    else runs.push([cpu, cpu])
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',')
}

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/**
 * Where this process may run: what its affinity allows, of the CPUs that are online. CPU 0 where neither can be read.
 */
export const allowedCpus = (readText: (path: string) => string | null = read): number[] => {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readText('/proc/self/status') ?? '')?.[1]
  const allowed = parseCpus(list ?? '') ?? [0]
  const online = parseCpus(readText('/sys/devices/system/cpu/online') ?? '')
  return online === null ? allowed : allowed.filter(cpu => online.includes(cpu))
}
