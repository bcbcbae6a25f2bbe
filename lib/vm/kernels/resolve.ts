/** What `--kernel` names: a file, or a kernel that was fetched. */
import { basename } from 'node:path'
import { isKernelError, KernelError } from './errors.ts'
import { type KernelImage, readKernelImage } from './image.ts'
import { cachedKernels } from './store.ts'
import { checkVersion, nameOf, resolveVersion, splitName } from './version.ts'

export interface NamedKernel {
  /** `debian:7.2.12`, or the last part of the path. */
  readonly name: string
  readonly path: string
  readonly image: KernelImage
}

const debian = 'debian:'

const fetchWords = (version: string, flavour: string): string =>
  `sigframe vm fetch ${version}${flavour === 'cloud' ? '' : ` --flavour ${flavour}`}`

const resolveCached = async (text: string, cache: string | undefined): Promise<NamedKernel> => {
  const { version: wanted, flavour } = splitName(text.slice(debian.length))
  checkVersion(wanted)
  const kernels = (await cachedKernels(cache)).filter(kernel => kernel.flavour === flavour)
  let version: string
  try {
    version = resolveVersion(
      wanted,
      kernels.map(kernel => kernel.version),
    )
  } catch (error) {
    if (!isKernelError(error, 'unknown')) throw error
    throw new KernelError(
      'not-cached',
      `${text} is not in the cache: ${fetchWords(wanted, flavour)} brings it`,
    )
  }
  const { path, image } = kernels.find(kernel => kernel.version === version) ?? never()
  return { name: `${debian}${nameOf(version, flavour)}`, path, image }
}

const never = (): never => {
  throw new Error('a version was chosen that was not offered')
}

/**
 * The kernel that is meant: `debian:7.2` is the newest 7.2.x in the cache, anything else a path (`./debian:7.2` too).
 * @param cache of cacheFolder(), if left out
 * @throws KernelError
 */
export const resolveKernel = async (text: string, cache?: string): Promise<NamedKernel> =>
  text.startsWith(debian)
    ? await resolveCached(text, cache)
    : { name: basename(text), path: text, image: await readKernelImage(text) }
