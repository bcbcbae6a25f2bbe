import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { type Info, infoJson, infoText } from '../../lib/report/info.ts'
import { widthOf } from '../../lib/report/text.ts'
import { known, knownNames } from '../xstate/arbitrary.ts'
import { evidence, host, kernel, log } from './stub.ts'

const style = { columns: 80, colors: picocolors.createColors(false) }

const infoOf = (name: string, changes: Partial<Info> = {}): Info => {
  const layout = known(name)
  const sw = {
    magic1: layout.xsave ? 0x46505853 : 0,
    extendedSize: layout.size + 4,
    xfeatures: layout.features,
    xstateSize: layout.size,
  }
  return { host: host(), kernel: kernel(), layout, sw, ...changes }
}

test('the frame as the kernel wrote it', () => {
  expect(infoText(infoOf('alder-lake'), style)).toContain(
    'Frame   xfeatures 0x207, xstate_size 2696, extended_size 2700; the least signal\n        stack is 3376 bytes\n',
  )
  expect(infoText(infoOf('nehalem', { host: host({ minSignalStack: 0 }) }), style)).toContain(
    'Frame   no XSAVE on this host: the legacy 512 bytes alone\n',
  )
})

test('what the CPU has and the frame lacks, and why', () => {
  const leaf = { offset: 2816, size: 8192, xfd: false, supervisor: false }
  const changes = {
    xcr0: '0x40207',
    leafD: [
      { ...leaf, index: 18, name: 'xtiledata', xfd: true },
      { ...leaf, index: 11, name: 'cet_u', size: 16, offset: 0, supervisor: true },
      { ...leaf, index: 19, name: 'apx', size: 128, offset: 960 },
      { ...leaf, index: 2, name: 'avx', size: 256, offset: 576 },
    ],
  }
  expect(infoText(infoOf('alder-lake', { host: host(changes) }), style)).toContain(`
Missing xtiledata (8192 bytes at 2816): in frames only with permission
Missing cet_u (16 bytes): supervisor state, never in a frame
Missing apx (128 bytes at 960): not enabled by this kernel
Kernel  `)
})

test('how the generation was told', () => {
  const seen = [
    evidence('too-small-is-rejected', 'rejected', 'ahead', ['portable', 'larger']),
    evidence('shrunk-frame-restores', 'fx-only'),
    evidence('larger-frame-restores', 'no word\nof ours', 'otherwise'),
    { ...evidence('size-below-576-is-fx-only', 'fx-only'), asGeneration: false },
  ]
  const text = infoText(infoOf('zen4', { kernel: kernel('regressed', { evidence: seen }) }), style)
  expect(text.split('\n\n').at(-1)).toBe(`Told as regressed by what the kernel did with 4 frames
  too-small-is-rejected      rejected with SIGSEGV, as portable and larger
  shrunk-frame-restores      FX-only
  larger-frame-restores      no word of ours, as no known generation
  size-below-576-is-fx-only  FX-only, unlike regressed
`)
})

test('a kernel whose log cannot be watched, and one that complained', () => {
  const unwatched = log({ watched: false, reason: 'not there' })
  expect(infoText(infoOf('zen4', { kernel: kernel('classic', { log: unwatched }) }), style)).toContain(
    '\n        log not watched; not there\n',
  )
  const complaining = kernel('classic', { log: log({ lines: ['WARNING: at'] }) })
  expect(infoText(infoOf('zen4', { kernel: complaining }), style)).toContain('\nKernel log\n  WARNING: at\n')
})

test('a host whose kernel was not told', () => {
  const text = infoText(infoOf('nehalem', { kernel: null }), style)
  expect(text).toContain('Kernel  not told')
  expect(text).not.toContain('Told as')
})

describe.each(knownNames)('%s', name => {
  test.each([80, 120])('keeps to %i columns', columns => {
    for (const line of infoText(infoOf(name), { ...style, columns }).split('\n'))
      expect(widthOf(line), line).toBeLessThanOrEqual(columns)
  })

  test('as JSON: 64-bit values are hexadecimal strings', () => {
    const info = infoOf(name)
    const json = JSON.parse(infoJson(info))
    expect(Object.keys(json)).toEqual(['format', 'version', 'tool', 'host', 'layout', 'sw', 'kernel'])
    expect(json.layout).toEqual({ size: info.layout.size, ...JSON.parse(JSON.stringify(info.layout)) })
    expect(json.sw.xfeatures).toBe(`0x${info.layout.features.toString(16)}`)
    expect(json.kernel).toEqual(info.kernel)
    expect(json.host).toEqual(info.host)
  })
})
