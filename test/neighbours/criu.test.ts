/** CRIU: its words, what is concluded of a checkpoint, and what is left of one that fails. */
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkpointed, cpuCheck } from '../../lib/harness/trials/checkpoints.ts'
import { nativeProblem } from '../../lib/native.ts'
import { checkpointInHandler, type Live } from '../../lib/neighbours/criu/checkpoint.ts'
import { checkOwnCpu } from '../../lib/neighbours/criu/cpuinfo.ts'
import { criuWords, findCriu } from '../../lib/neighbours/criu/program.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { initImage } from '../../lib/xstate/image.ts'
import { contextOf, machineNamed } from '../contract/simulated-cases.ts'
import { isOver } from '../probe/procfs.ts'
import { eventually, needsProbes, session } from '../probe/support.ts'

const { layout } = machineNamed('zen4')
const context = contextOf(layout)
const probe = {} as Probe

/** A program in its place that does something else. */
const standIn = (script: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'sigframe-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'criu'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, 'criu'), 0o755)
  return join(folder, 'criu')
}

const leftFolders = (): string[] => readdirSync(tmpdir()).filter(name => name.startsWith('sigframe-criu-'))

describe('its words', () => {
  test('the last errors that differ, without the places in its source', () => {
    const log = [
      '(00.000100) Error (criu/util.c:642): exited, status=1',
      '(00.000200) Error (criu/util.c:642): exited, status=1',
      '(00.000300) Warn  (criu/kerndat.c:1): nothing',
      'Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds',
      'Error (criu/a.c:1): one',
      'Error (criu/b.c:2):   two  ',
    ].join('\n')
    expect(criuWords(log)).toBe('vdso: Unexpected rt vDSO area bounds; one; two')
    expect(criuWords('')).toBe('')
    expect(criuWords('(00.1) CRIU run id\n\nYou need to be root to run this command\nmore\n')).toBe(
      'You need to be root to run this command',
    )
    expect(criuWords('x'.repeat(10_000))).toHaveLength(300)
  })

  test('is found on a PATH', () => {
    const criu = standIn('exit 0')
    expect(findCriu(join(criu, '..'))).toBe(criu)
  })
})

describe('what is concluded of a checkpoint', () => {
  const found = (take: (live: Live) => ReturnType<typeof checkpointInHandler>) =>
    checkpointed(probe, context, '/criu', (_, live) => take(live))
  const whole = ({ load, poison }: Live) =>
    ({ kind: 'restored', handler: Uint8Array.from(poison), after: Uint8Array.from(load) }) as const
  const init = initImage(layout).bytes
  const without = (area: Uint8Array, name: 'avx' | 'hi16_zmm'): Uint8Array => {
    const { offset, end } = layout.component(name)
    const changed = Uint8Array.from(area)
    changed.set(init.subarray(offset, end), offset)
    return changed
  }

  test('registers as they were', () => {
    expect(found(whole)).toMatchObject({ observed: 'as-stated' })
  })

  test('a component lost after the return, or in the handler', () => {
    expect(found(live => ({ ...whole(live), after: without(live.load, 'hi16_zmm') }))).toEqual({
      observed: 'unexplained',
      text: 'not as before: hi16_zmm after its return',
    })
    expect(found(live => ({ ...whole(live), handler: without(live.poison, 'avx') }))).toEqual({
      observed: 'unexplained',
      text: 'not as before: avx in the handler',
    })
    expect(found(live => ({ ...whole(live), after: live.poison }))).toMatchObject({
      observed: 'unexplained',
    })
    expect(found(live => ({ ...whole(live), after: new Uint8Array(8) }))).toMatchObject({
      text: 'not as before: everything after its return',
    })
  })

  test('MXCSR, which is no component', () => {
    const changed = (live: Live): Uint8Array => {
      const after = Uint8Array.from(live.load)
      after[25] = (after[25] as number) ^ 0x20
      return after
    }
    expect(found(live => ({ ...whole(live), after: changed(live) }))).toMatchObject({
      text: 'not as before: mxcsr after its return',
    })
  })

  test('what its images have no place for is its own loss in the handler, and none after it', () => {
    const tiles = contextOf(machineNamed('sapphire-rapids').layout)
    const cfg = tiles.layout.component('xtilecfg')
    const clear = (area: Uint8Array): Uint8Array => Uint8Array.from(area).fill(0, cfg.offset, cfg.end)
    const lose = (what: 'handler' | 'after') =>
      checkpointed(probe, tiles, '/criu', (_, live) => {
        const done = whole(live)
        return { ...done, [what]: clear(done[what]) }
      })
    expect(lose('handler')).toEqual({
      observed: 'as-stated',
      text: expect.stringContaining('no place for the handler'),
    })
    expect(lose('after')).toMatchObject({ observed: 'unexplained' })
  })

  test('not restored is a skip with its words, restored and gone is none', () => {
    expect(found(() => ({ kind: 'unable', text: 'criu dump: no' }))).toEqual({ unable: 'criu dump: no' })
    expect(found(() => ({ kind: 'lost', text: 'gone' }))).toMatchObject({ observed: 'unexplained' })
    expect(checkpointed(probe, context, null)).toEqual({
      unable: 'criu is not installed: apt-get install criu',
    })
  })
})

describe('its check of CPUs beside ours', () => {
  const found = (allows: boolean, ours: string) =>
    cpuCheck(
      probe,
      context,
      '/criu',
      () => ({ kind: 'checked', allows, words: 'no' }),
      () => ours,
    )

  test('what it lets go must arrive', () => {
    expect(found(true, 'holds')).toMatchObject({ observed: 'as-stated' })
    expect(found(true, 'loses')).toMatchObject({ observed: 'unexplained' })
    expect(found(false, 'holds')).toEqual({ unable: 'criu cpuinfo check, of this host by itself: no' })
    expect(cpuCheck(probe, context, null)).toMatchObject({ unable: expect.stringContaining('not installed') })
  })

  test('by a program that answers', () => {
    expect(checkOwnCpu(standIn('exit 0'))).toEqual({ kind: 'checked', allows: true, words: '' })
    expect(
      checkOwnCpu(standIn('[ $2 = dump ] || { echo "Error (a.c:1): fpu: mismatch" >&2; exit 1; }')),
    ).toEqual({
      kind: 'checked',
      allows: false,
      words: 'fpu: mismatch',
    })
    expect(checkOwnCpu(standIn('exit 3'))).toEqual({
      kind: 'unable',
      text: 'criu cpuinfo dump: exit code 3',
    })
  })
})

describe.skipIf(nativeProblem() !== undefined)('a process in its handler', () => {
  const live = (): Live => {
    const image = initImage(layoutHere())
    return { load: image.bytes, poison: image.bytes, mask: image.layout.features }
  }
  const layoutHere = () => session().layout

  test('is gone where it could not be checkpointed, and so is its folder', async ctx => {
    needsProbes(ctx)
    if (!layoutHere().xsave) ctx.skip('this host has no XSAVE')
    // It says which process it was given.
    const criu = standIn('echo "Error (a.c:1): pid $3" >&2; exit 1')
    const done = checkpointInHandler(criu, live())
    expect(done).toEqual({ kind: 'unable', text: expect.stringMatching(/^criu dump: pid \d+$/) })
    const pid = Number(/\d+$/.exec((done as { text: string }).text)?.[0])
    expect(await eventually(() => isOver(pid))).toBe(true)
    expect(leftFolders()).toEqual([])
  })

  test('is a skip where it was said to be checkpointed and is still there', ctx => {
    needsProbes(ctx)
    if (!layoutHere().xsave) ctx.skip('this host has no XSAVE')
    expect(checkpointInHandler(standIn('exit 0'), live())).toEqual({
      kind: 'unable',
      text: expect.stringMatching(/^pid \d+ is not free again$/),
    })
    expect(leftFolders()).toEqual([])
  })

  test('is lost where it was restored and does not come back', ctx => {
    needsProbes(ctx)
    if (!layoutHere().xsave) ctx.skip('this host has no XSAVE')
    const script = [
      'if [ $1 = dump ]; then kill -9 $3; exit 0; fi',
      'echo "(00.1) Restore finished successfully. Tasks resumed." > $3/restore.log',
    ].join('\n')
    expect(checkpointInHandler(standIn(script), live())).toMatchObject({ kind: 'lost' })
    expect(leftFolders()).toEqual([])
  })
})
