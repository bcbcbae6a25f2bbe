import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { canProbe, ended, inShell, start } from './sigframe.ts'

const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap(thread =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )

const until = async <T>(what: () => T | undefined | false, ms = 10_000): Promise<T> => {
  const end = performance.now() + ms
  for (;;) {
    const found = what()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(5)
  }
}

const probeOf = (child: ChildProcess): Promise<number> =>
  until(() => (existsSync(`/proc/${child.pid}/task`) ? childrenOf(child.pid as number)[0] : undefined))

describe.skipIf(!canProbe)('a signal while frames are under way', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends all of it at once', async signal => {
    const child = start(['bench', '--seconds', '60'])
    const end = ended(child)
    const probe = await probeOf(child)
    await sleep(200)
    const sent = performance.now()
    child.kill(signal)
    expect(await end).toEqual({ code: null, signal, stdout: '', stderr: '' })
    expect(performance.now() - sent).toBeLessThan(15_000)
    await until(() => !existsSync(`/proc/${probe}`))
  })

  test('to a shell that is 130', async () => {
    const { stdout } = await inShell(
      'SIGFRAME bench --seconds 60 & pid=$!; sleep 0.7; kill -INT $pid; wait $pid; echo "exit $?"',
    )
    expect(stdout).toBe('exit 130\n')
  })
})

describe.skipIf(!canProbe)('a signal while stress is under way', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s: the table so far, then its end', async signal => {
    const child = start(['stress', '--seconds', '600'])
    const end = ended(child)
    const probe = await probeOf(child)
    await sleep(600)
    child.kill(signal)
    const { code, signal: by, stdout, stderr } = await end
    expect({ code, by, stderr }).toEqual({ code: null, by: signal, stderr: '' })
    expect(stdout).toMatch(/\nSTOPPED {2}[\d,]+ probes, .*: nothing lost\n$/)
    await until(() => !existsSync(`/proc/${probe}`))
  })

  test('the JSON so far', async () => {
    const child = start(['stress', '--seconds', '600', '--json'])
    const end = ended(child)
    await probeOf(child)
    await sleep(600)
    child.kill('SIGINT')
    expect(JSON.parse((await end).stdout)).toMatchObject({ interrupted: true, lost: 0, problems: [] })
  })

  test('to a shell that is 130', async () => {
    const { stdout } = await inShell(
      'SIGFRAME stress --seconds 600 >/dev/null & pid=$!; sleep 1; kill -INT $pid; wait $pid; echo "exit $?"',
    )
    expect(stdout).toBe('exit 130\n')
  })
})

describe.skipIf(process.platform !== 'linux')('a signal while the results are written', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-signals-'))
  })

  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  const module = join(import.meta.dirname, '../../dist/lib/cli/output-file.js')

  /** Writes much, and says when it begins. */
  const writing = (file: string): string => `
    import { checkTarget, writeWhole } from ${JSON.stringify(module)}
    const text = 'new'.repeat(30e6)
    process.stdout.write('now')
    await writeWhole(checkTarget(${JSON.stringify(file)}), text)
    await new Promise(resolve => setTimeout(resolve, 30_000))
  `

  test('waits until they are: the file is whole, and nothing else is left', async () => {
    const file = join(folder, 'r.json')
    writeFileSync(file, 'old')
    const { spawn } = await import('node:child_process')
    const child = spawn(process.execPath, ['--input-type=module', '-e', writing(file)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const end = ended(child)
    await until(() => readdirSync(folder).length === 2)
    child.kill('SIGINT')
    expect(await end).toMatchObject({ signal: 'SIGINT' })
    expect(readdirSync(folder)).toEqual(['r.json'])
    expect(readFileSync(file, 'utf8')).toBe('new'.repeat(30e6))
  })
})
