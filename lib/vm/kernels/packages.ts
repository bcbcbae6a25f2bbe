/** Debian's packages of kernels, in what apt-cache prints. Pure. */
import { z } from 'zod'
import {
  compareDebianVersions,
  compareVersions,
  type Flavour,
  flavours,
  isVersion,
  upstreamOf,
} from './version.ts'

export const availableKernel = z.object({
  /** Upstream's: `7.2.12`. */
  version: z.string().refine(isVersion),
  flavour: z.enum(flavours),
  package: z.string(),
  packageVersion: z.string(),
  /** `trixie-backports`. */
  suite: z.string(),
  /** Of the package, in bytes: what is fetched. */
  bytes: z.number(),
  /** The package with its configuration, where that is not in the same one and is to be had. */
  config: z.string().nullable(),
})

/** A kernel that is to be had. */
export type AvailableKernel = Readonly<z.infer<typeof availableKernel>>

// Up to 6.18 the kernel is in linux-image, from 6.19 on in linux-binary; the newest may have no signed package yet.
const kinds = ['linux-binary', 'linux-binary-unsigned', 'linux-image'] as const
const name =
  /^(linux-binary-unsigned|linux-binary|linux-image)-(\d+\.\d+[a-z0-9.+~-]*?)-(cloud-)?amd64(-unsigned)?$/

interface Build {
  readonly kind: (typeof kinds)[number]
  /** `7.2.12+deb13-cloud-amd64`. */
  readonly release: string
  readonly flavour: Flavour
  readonly isSigned: boolean
}

const buildOf = (packageName: string): Build | null => {
  const found = name.exec(packageName)
  if (found === null) return null
  const [, kind, abi = '', cloud = '', unsigned] = found
  // linux-image-6.1.0-56-rt-amd64 is another flavour.
  if (/-[a-z]+$/.test(abi)) return null
  return {
    kind: kind as Build['kind'],
    release: `${abi}-${cloud}amd64`,
    flavour: cloud === '' ? 'amd64' : 'cloud',
    isSigned: unsigned === undefined && kind !== 'linux-binary-unsigned',
  }
}

const configOf = (build: Build): string => `linux-base-${build.release}`

/** Of all names of packages, those of kernels and of their configurations. */
export const kernelPackages = (names: readonly string[]): readonly string[] => {
  const kernels = names.filter(one => buildOf(one) !== null)
  const configs = new Set(kernels.map(one => configOf(buildOf(one) as Build)))
  return [...kernels, ...names.filter(one => configs.has(one))]
}

const fieldOf = (stanza: string, field: string): string =>
  new RegExp(`^${field}: *(.*)$`, 'm').exec(stanza)?.[1]?.trim() ?? ''

const keyOf = (packageName: string, version: string): string => `${packageName} ${version}`

/** `apt-cache show`: bytes of each package in each version. */
const sizesIn = (show: string): ReadonlyMap<string, number> =>
  new Map(
    show
      .split(/\n\s*\n/)
      .map(stanza => [
        keyOf(fieldOf(stanza, 'Package'), fieldOf(stanza, 'Version')),
        Number(fieldOf(stanza, 'Size')),
      ]),
  )

interface Row {
  readonly packageName: string
  readonly version: string
  readonly suite: string
}

/** `apt-cache madison`: ` package | version | URI suite/component architecture Packages`. */
const rowsIn = (madison: string): readonly Row[] =>
  madison.split('\n').flatMap(line => {
    const [packageName = '', version = '', place = ''] = line.split('|').map(cell => cell.trim())
    const suite = /(\S+)\/\S+ \S+ Packages$/.exec(place)?.[1]
    return suite === undefined ? [] : [{ packageName, version, suite }]
  })

// From 6.19 on linux-image only depends on linux-binary.
const leastBytes = 1 << 20

/**
 * The kernels in what apt-cache printed, oldest first, each version once: signed rather than not, and Debian's newest
 * build of it.
 * @param madison of `apt-cache madison`, for the packages that kernelPackages chose
 * @param show of `apt-cache show`, for the same
 */
export const kernelsIn = (madison: string, show: string): readonly AvailableKernel[] => {
  const rows = rowsIn(madison)
  const sizes = sizesIn(show)
  const best = new Map<string, { readonly kernel: AvailableKernel; readonly build: Build }>()
  for (const { packageName, version: packageVersion, suite } of rows) {
    const build = buildOf(packageName)
    const version = upstreamOf(packageVersion)
    const bytes = sizes.get(keyOf(packageName, packageVersion)) ?? 0
    if (build === null || version === null || !(bytes >= leastBytes)) continue
    const config = configOf(build)
    const kernel: AvailableKernel = {
      version,
      flavour: build.flavour,
      package: packageName,
      packageVersion,
      suite,
      bytes,
      config: sizes.has(keyOf(config, packageVersion)) ? config : null,
    }
    const key = `${version} ${build.flavour}`
    const known = best.get(key)
    if (known === undefined || isBetter({ kernel, build }, known)) best.set(key, { kernel, build })
  }
  return [...best.values()]
    .map(({ kernel }) => kernel)
    .sort(
      (a, b) =>
        compareVersions(a.version, b.version) || (a.flavour < b.flavour ? 1 : a.flavour > b.flavour ? -1 : 0),
    )
}

type Candidate = { readonly kernel: AvailableKernel; readonly build: Build }

const isBetter = (a: Candidate, b: Candidate): boolean => {
  if (a.build.isSigned !== b.build.isSigned) return a.build.isSigned
  const newer = compareDebianVersions(a.kernel.packageVersion, b.kernel.packageVersion)
  return newer !== 0 ? newer > 0 : kinds.indexOf(a.build.kind) < kinds.indexOf(b.build.kind)
}
