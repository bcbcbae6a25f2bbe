/** The lane of core files: frames are looked for in one, beside a program that counts its bytes. */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scanCore } from '../elf/scan.ts'
import { writeCoreFile } from './core-file.ts'
import { BenchError, type Lane } from './lane.ts'

/** MiB of files which make up any number of them. */
const sizes = [16, 8, 4, 2, 1] as const

export interface CoreFile {
  readonly file: string
  readonly mebibytes: number
  readonly frames: number
}

/** Files that have so many MiB together. */
const filesFor = (files: readonly CoreFile[], mebibytes: number): CoreFile[] => {
  let left = mebibytes
  return files.flatMap(one => {
    const times = Math.floor(left / one.mebibytes)
    left -= times * one.mebibytes
    return new Array<CoreFile>(times).fill(one)
  })
}

const scanAll = async (files: readonly CoreFile[]): Promise<void> => {
  for (const { file, frames } of files) {
    const found = (await scanCore(file)).frames.length
    if (found !== frames) throw new BenchError(`bench: core file: ${found} frames were found of ${frames}`)
  }
}

/** @returns nanoseconds */
const catAll = (files: readonly CoreFile[]): number => {
  const started = performance.now()
  const { status } = spawnSync('sh', ['-c', 'cat "$@" | wc -c', 'sh', ...files.map(({ file }) => file)], {
    stdio: 'ignore',
  })
  if (status !== 0) throw new BenchError('bench: core file: cat | wc -c failed')
  return (performance.now() - started) * 1e6
}

/** The lane of some files, one of them of 1 MiB. */
export const coreLaneOf = (files: readonly CoreFile[]): Lane => ({
  name: 'core file, MiB',
  wanted: { ratio: 1 / 3 },
  weight: 4,
  run: count => scanAll(filesFor(files, count)),
  against: [{ name: 'cat', run: count => catAll(filesFor(files, count)) }],
})

/** Writes a file that has no name any more: whatever ends this process, nothing is left behind. */
const openCoreFile = (folder: string, mebibytes: number): CoreFile & { readonly descriptor: number } => {
  const file = join(folder, `${mebibytes}.core`)
  const frames = writeCoreFile(file, mebibytes)
  const descriptor = openSync(file, 'r')
  rmSync(file)
  return { file: `/proc/${process.pid}/fd/${descriptor}`, mebibytes, frames, descriptor }
}

/**
 * The lane, while its files are there. Both read them from the page cache.
 * @throws what `use` throws
 */
export const withCoreLane = async <T>(use: (lane: Lane) => Promise<T>): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'sigframe-bench-'))
  const files: ReturnType<typeof openCoreFile>[] = []
  try {
    for (const mebibytes of sizes) files.push(openCoreFile(folder, mebibytes))
    rmSync(folder, { recursive: true })
    return await use(coreLaneOf(files))
  } finally {
    for (const { descriptor } of files) closeSync(descriptor)
    rmSync(folder, { recursive: true, force: true })
  }
}
