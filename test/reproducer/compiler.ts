/** Compiles C programs into folders that go with the test, and runs them. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, type TestContext } from 'vitest'

const hasGcc = spawnSync('gcc', ['--version']).status === 0

export const needsGcc = (ctx: Pick<TestContext, 'skip'>): void => {
  if (!hasGcc) ctx.skip('there is no gcc here')
}

/** The program's path. @throws with gcc's words where it warns of anything */
export const compiled = (source: string, flags: readonly string[] = ['-O2']): string => {
  const folder = mkdtempSync(join(tmpdir(), 'sigframe-c-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'program.c')
  const program = join(folder, 'program')
  writeFileSync(file, source)
  const gcc = spawnSync('gcc', [...flags, '-Wall', '-Wextra', '-Werror', '-o', program, file], {
    encoding: 'utf8',
  })
  if (gcc.status !== 0) throw new Error(gcc.stderr.slice(0, 4000))
  return program
}

export interface Ran {
  readonly code: number | null
  readonly out: string
}

export const ran = (program: string): Ran => {
  const { status, stdout } = spawnSync(program, { encoding: 'utf8', maxBuffer: 1 << 28, timeout: 120_000 })
  return { code: status, out: stdout }
}

export type Outcome = 'pass' | 'fail' | 'xfail' | 'skip'

export interface ReadTap {
  readonly outcomes: ReadonlyMap<string, Outcome>
  readonly totals: Readonly<Record<Outcome, number>>
}

/** The results of a kselftest. @throws where its plan, numbers or totals do not agree with them */
export const readTap = (text: string): ReadTap => {
  const lines = text.trimEnd().split('\n')
  if (lines[0] !== 'TAP version 13') throw new Error(`no version: ${lines[0]}`)
  const plan = /^1\.\.(\d+)$/.exec(lines[1] ?? '')
  if (plan === null) throw new Error(`no plan: ${lines[1]}`)
  const outcomes = new Map<string, Outcome>()
  const totals = { pass: 0, fail: 0, xfail: 0, skip: 0 }
  for (const line of lines.slice(2)) {
    if (line.startsWith('# ')) continue
    const found = /^(not )?ok (\d+) ([^#]*[^# ])( # (?:SKIP|XFAIL) [^#]+)?$/.exec(line)
    if (found === null) throw new Error(`no result: ${line}`)
    const [, not, number, name = '', directive = ''] = found
    const told = directive.startsWith(' # SKIP') ? 'skip' : directive === '' ? 'pass' : 'xfail'
    const outcome = not !== undefined ? 'fail' : told
    outcomes.set(name, outcome)
    totals[outcome]++
    if (Number(number) !== outcomes.size) throw new Error(`not number ${outcomes.size}: ${line}`)
  }
  if (Number(plan[1]) !== outcomes.size) throw new Error(`${outcomes.size} results, ${plan[0]} planned`)
  const { pass, fail, xfail, skip } = totals
  const last = `# Totals: pass:${pass} fail:${fail} xfail:${xfail} xpass:0 skip:${skip} error:0`
  if (lines.at(-1) !== last) throw new Error(`totals: ${lines.at(-1)}, should be ${last}`)
  return { outcomes, totals }
}
