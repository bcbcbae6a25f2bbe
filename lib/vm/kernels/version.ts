/** Versions of kernels, as people ask for them and as Debian writes them. Pure. */
import { KernelError } from './errors.ts'

/** Which of Debian's builds: the one for virtual machines, small, or the one for everything, with x32. */
export const flavours = ['cloud', 'amd64'] as const
export type Flavour = (typeof flavours)[number]

/** `7.2.12`, `7.2` or `7.3-rc7`. */
const upstream = /^(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?(?:-rc(\d{1,5}))?$/

/** Numbers to compare by: a release candidate comes before its release, `7.2` is 7.2.0. */
type Parts = readonly [major: number, minor: number, patch: number, candidate: number]

const partsOf = (version: string): Parts | null => {
  const found = upstream.exec(version)
  if (found === null) return null
  const [, major, minor, patch = '0', candidate] = found
  return [Number(major), Number(minor), Number(patch), candidate === undefined ? Infinity : Number(candidate)]
}

const compareParts = (a: Parts, b: Parts): number => {
  for (const [i, part] of a.entries()) if (part !== b[i]) return part < (b[i] ?? 0) ? -1 : 1
  return 0
}

export const isVersion = (text: string): boolean => upstream.test(text)

/** Older first; what is no version first of all. */
export const compareVersions = (a: string, b: string): number => {
  const [first, second] = [partsOf(a), partsOf(b)]
  if (first === null || second === null) return Number(first !== null) - Number(second !== null)
  return compareParts(first, second)
}

/** Upstream's version in a version of Debian's: `7.3~rc7-1~exp1` is 7.3-rc7. Null where there is none. */
export const upstreamOf = (packageVersion: string): string | null => {
  const text = packageVersion
    .replace(/^\d+:/, '')
    .replace(/-[^-]*$/, '')
    .replace('~rc', '-rc')
  return isVersion(text) ? text : null
}

const orderOf = (character: string | undefined): number => {
  if (character === undefined) return 0
  if (character === '~') return -1
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256
}

const compareWords = (a: string, b: string): number => {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const difference = orderOf(a[i]) - orderOf(b[i])
    if (difference !== 0) return difference
  }
  return 0
}

const compareRuns = (a: string, b: string): number => {
  // Words and numbers in turns, a word first.
  const [first, second] = [a.split(/(\d+)/), b.split(/(\d+)/)]
  for (let i = 0; i < Math.max(first.length, second.length); i += 1) {
    const [one = '', other = ''] = [first[i], second[i]]
    const difference = i % 2 === 0 ? compareWords(one, other) : Number(one) - Number(other)
    if (difference !== 0) return difference
  }
  return 0
}

const splitDebian = (version: string): readonly [epoch: number, upstream: string, revision: string] => {
  const [, epoch = '0', rest = version] = /^(\d+):(.*)$/.exec(version) ?? []
  const at = rest.lastIndexOf('-')
  return at < 0 ? [Number(epoch), rest, ''] : [Number(epoch), rest.slice(0, at), rest.slice(at + 1)]
}

/** As dpkg orders them (deb-version(7)). */
export const compareDebianVersions = (a: string, b: string): number => {
  const [first, second] = [splitDebian(a), splitDebian(b)]
  return first[0] - second[0] || compareRuns(first[1], second[1]) || compareRuns(first[2], second[2])
}

const shown = 4

/** The ones around a version: of its own series where there are any, else the newest of each. */
const nearest = (wanted: Parts, available: readonly string[]): readonly string[] => {
  const sorted = [...new Set(available)].filter(isVersion).sort(compareVersions)
  const series = (version: string): string => version.replace(/^(\d+\.\d+).*/, '$1')
  const own = sorted.filter(version => series(version) === `${wanted[0]}.${wanted[1]}`)
  const near =
    own.length > 0 ? own : sorted.filter((version, i) => series(version) !== series(sorted[i + 1] ?? ''))
  const at = near.filter(version => compareParts(partsOf(version) as Parts, wanted) < 0).length
  const start = Math.max(0, Math.min(at - shown / 2, near.length - shown))
  return near.slice(start, start + shown)
}

/** @throws KernelError for what is no version */
export const checkVersion = (text: string): string => {
  if (isVersion(text)) return text
  const asked = JSON.stringify(text.slice(0, 48))
  throw new KernelError('name', `${asked} is no version of a kernel: 7.2 is the newest 7.2.x, 7.0.4 that one`)
}

/**
 * The version that is meant: `7.2` is the newest of 7.2, 7.2.1 and so on (a release candidate only where there is
 * nothing else), anything longer is itself.
 * @throws KernelError that lists the nearest
 */
export const resolveVersion = (wanted: string, available: readonly string[]): string => {
  const parts = partsOf(checkVersion(wanted)) as Parts
  const isSeries = /^\d+\.\d+$/.test(wanted)
  const fitting = available.filter(version => {
    const found = partsOf(version)
    if (found === null) return false
    return isSeries ? found[0] === parts[0] && found[1] === parts[1] : compareParts(found, parts) === 0
  })
  const newest = [...fitting].sort(compareVersions).at(-1)
  if (newest !== undefined) return newest
  const near = nearest(parts, available)
  throw new KernelError(
    'unknown',
    near.length === 0
      ? `there is no kernel ${wanted}, nor any other`
      : `there is no kernel ${wanted}; the nearest are ${near.join(' ')}`,
  )
}

/** A name of a kernel in the cache, behind `debian:`, and of its folder. */
export const nameOf = (version: string, flavour: Flavour): string =>
  flavour === 'cloud' ? version : `${version}-${flavour}`

/** The version, or series, and flavour in such a name. Checks neither. */
export const splitName = (name: string): { readonly version: string; readonly flavour: Flavour } => {
  const flavour = flavours.find(one => name.endsWith(`-${one}`))
  return flavour === undefined
    ? { version: name, flavour: 'cloud' }
    : { version: name.slice(0, -flavour.length - 1), flavour }
}
