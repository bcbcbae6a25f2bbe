/**
 * Bochs: an interpreter of x86 that knows AVX-512 and faults where hardware does, and is tens of times slower than QEMU.
 * It boots from a CD, which is made for each machine.
 */
import { access, copyFile, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { outOfRange } from '../../errors.ts'
import { runTool } from '../kernels/tool.ts'
import { type BochsHelp, displayFiles, helpOf, missingText, type PartName, parts } from './bochs/parts.ts'
import { bochsCommandLine, commandsText, configText, menuText, names, scriptText } from './bochs/texts.ts'
import type { EmulatorSearch, FoundEmulator, Launch, MachineSpec } from './emulator.ts'

const program = 'bochs'
const askMs = 20_000
/** A hundred megabytes are a second of work; the disk may be slow. */
const imageMs = 120_000

/** A terminal that every ncurses knows: Bochs makes one of its own and draws the machine's screen there. */
const terminal = { TERM: 'vt100' }

const canRead = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

const firstReadable = async (paths: readonly string[]): Promise<string | null> => {
  for (const path of paths) if (await canRead(path)) return path
  return null
}

/** What a program prints, to whichever stream; null where there is none. */
const ask = async (command: string, ...words: readonly string[]): Promise<string | null> => {
  const result = await runTool(command, words, { timeoutMs: askMs, env: terminal })
  return result && result.stdout + result.stderr
}

const askBochs = async (): Promise<BochsHelp | null> => {
  const usage = await ask(program, '--help')
  return usage === null ? null : helpOf(usage, (await ask(program, '--help', 'cpu')) ?? '')
}

const hasDisplay = async (help: BochsHelp | null): Promise<boolean> => {
  if (help === null) return false
  const folder = process.env.LTDL_LIBRARY_PATH ?? help.plugins
  if (folder === null) return true
  return (await firstReadable(displayFiles.map(name => join(folder, name)))) !== null
}

type Files = Readonly<Record<PartName, string>>

const findFiles = async (): Promise<Readonly<Record<PartName, string | null>>> => {
  const found = Object.entries(parts).map(async ([name, { paths }]) => [name, await firstReadable(paths)])
  return Object.fromEntries(await Promise.all(found))
}

/** The last line that says what went wrong; xorriso says at the end that it does not go on. */
const complaint = (text: string): string => {
  const lines = text.split('\n').filter(line => /FAILURE|SORRY|FATAL|ABORT/.test(line))
  return (lines[0] ?? text.trim().split('\n').at(-1) ?? '').trim()
}

/** The CD. Its files are links: only the CD is written. */
const makeImage = async (spec: MachineSpec, files: Files, signal: AbortSignal): Promise<void> => {
  const content = join(spec.folder, names.content)
  await mkdir(content)
  await Promise.all([
    symlink(await realpath(spec.kernel), join(content, 'kernel')),
    symlink(await realpath(spec.initramfs), join(content, 'initrd')),
    symlink(files.ldlinux, join(content, 'ldlinux.c32')),
    // The boot loader is the only file that is changed on its way: it learns where on the CD it is.
    copyFile(files.isolinux, join(content, 'isolinux.bin')),
    writeFile(join(content, 'isolinux.cfg'), menuText(bochsCommandLine(spec.commandLine))),
  ])
  const boot = [
    '-b',
    'isolinux.bin',
    '-c',
    'boot.cat',
    '-no-emul-boot',
    '-boot-load-size',
    '4',
    '-boot-info-table',
  ]
  const words = ['-as', 'mkisofs', '-quiet', '-f', '-o', names.image, ...boot, names.content]
  const result = await runTool('xorriso', words, { cwd: spec.folder, signal, timeoutMs: imageMs })
  if (result?.code === 0) return
  if (result?.timedOut) throw new Error(`xorriso did not write ${names.image} in ${imageMs / 1000} s`)
  throw new Error(`xorriso did not write ${names.image}: ${result ? complaint(result.stderr) : 'it is gone'}`)
}

const launchOf = (folder: string): Launch => ({
  // Names in what is run there are relative to the folder.
  command: 'env',
  args: ['-C', folder, 'sh', names.script],
  env: terminal,
  console: join(folder, names.console),
  data: join(folder, names.data),
})

const prepare = async (
  spec: MachineSpec,
  help: BochsHelp,
  files: Files,
  signal: AbortSignal,
): Promise<Launch> => {
  if (!help.models.includes(spec.cpu))
    throw outOfRange(
      'the CPU',
      spec.cpu,
      `which Bochs ${help.version} does not have: bochs --help cpu lists what it has`,
    )
  const inFolder = (name: string): string => join(spec.folder, name)
  await writeFile(inFolder(names.config), configText(spec))
  await writeFile(inFolder(names.commands), commandsText)
  await writeFile(inFolder(names.script), scriptText(help.debugs))
  await copyFile(files.bios, inFolder(names.bios))
  await copyFile(files.vgaBios, inFolder(names.vgaBios))
  await makeImage(spec, files, signal)
  return launchOf(spec.folder)
}

/** Bochs, where it is on PATH and has all that a boot takes. */
export const findBochs = async (): Promise<EmulatorSearch> => {
  const help = await askBochs()
  const [display, xorriso, setpriv, files] = await Promise.all([
    hasDisplay(help),
    ask('xorriso', '-version').then(text => text !== null),
    ask('setpriv', '--version').then(text => text !== null),
    findFiles(),
  ])
  const missing = missingText({ help, display, xorriso, setpriv, files })
  if (help === null || missing !== null) return { found: null, missing: missing as string }
  const found: FoundEmulator = {
    name: 'bochs',
    version: help.version,
    prepare: (spec, signal) => prepare(spec, help, files as Files, signal),
  }
  return { found }
}
