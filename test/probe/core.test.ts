/** A probe process that dies leaves no core file. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, it, onTestFinished, type TestContext } from 'vitest'
import { scriptPath, sh } from './child.ts'
import { needsProbes } from './support.ts'

beforeEach(needsProbes)

const unlimited = 'ulimit -c unlimited && exec "$@"'

const emptyFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'sigframe-core-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Skips where a process that may leave a core file leaves none either. */
const needsCoreFiles = async (ctx: TestContext): Promise<void> => {
  const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim()
  if (/^[|@/]/.test(pattern))
    ctx.skip(`core files do not go to the working folder here: core_pattern is ${pattern}`)
  const cwd = emptyFolder()
  const { stderr } = await sh(unlimited, ['sh', '-c', 'kill -SEGV $$'], { cwd }).ended
  if (readdirSync(cwd).length === 0)
    ctx.skip(`no process leaves a core file here${stderr ? `: ${stderr.trim()}` : ''}`)
}

it('whatever it dies of', async ctx => {
  await needsCoreFiles(ctx)
  const cwd = emptyFolder()
  const { code, stdout, stderr } = await sh(unlimited, ['sh', '-c', '"$NODE" "$0"', scriptPath('die.mjs')], {
    cwd,
  }).ended
  expect({ code, stdout, stderr }).toEqual({
    code: 0,
    stdout: 'SIGSEGV\nSIGABRT\nSIGQUIT\nSIGSYS\nSIGBUS\n',
    stderr: '',
  })
  expect(readdirSync(cwd)).toEqual([])
})
