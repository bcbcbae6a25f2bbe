import { describe, expect, test } from 'vitest'
import {
  createReader,
  type KernelSources,
  type LogSource,
  parseRecord,
  runningKernel,
  watchKernel,
} from '../../lib/harness/kernel-log.ts'

const failing = (code: string): Error => Object.assign(new Error(`${code}: so it is`), { code })

/** A log that gives these, an Error by throwing it, and then ends. */
const logOf = (...steps: readonly (string | Error)[]): LogSource & { push(...more: string[]): void } => {
  const left = [...steps]
  return {
    push: (...more) => left.push(...more),
    read: into => {
      const step = left.shift() ?? failing('EAGAIN')
      if (typeof step !== 'string') throw step
      return Buffer.from(into.buffer, into.byteOffset, into.length).write(step, 'latin1')
    },
    close: () => {},
  }
}

const raw = (seq: number, text = `line ${seq}`): string => `6,${seq},1000000,-;${text}\n`

describe('a record', () => {
  test.each([
    [
      '4,1234,5678901,-;WARNING: CPU: 1\n',
      { facility: 0, level: 4, seq: 1234, usec: 5678901, caller: null, text: 'WARNING: CPU: 1' },
    ],
    ['30,1,2,-;systemd[1]: hello\n', { facility: 3, level: 6 }],
    ['12,1,2,-;a; b, c\n', { facility: 1, level: 4, text: 'a; b, c' }],
    ['6,1,2,-,caller=T77;x\n', { caller: 'T77' }],
    ['6,1,2,c,caller=C1,more=3;x\n', { caller: 'C1', text: 'x' }],
    ['6,1,2,-,caller=T7,cpu=1,pid=7,comm=a b;x\n', { caller: 'T7', text: 'x' }],
    [
      '6,342,3,-;virtio1: new size\n SUBSYSTEM=virtio\n DEVICE=+virtio:virtio1\n',
      { text: 'virtio1: new size' },
    ],
    ['6,1,2,-;one\\x0atwo\\x09\\x5cx0a \\x1b[31m\n', { text: 'one\ntwo\t\\x0a \\x1b[31m' }],
    ['6,1,2,-;\n', { text: '' }],
    ['6,1,2,-;cut off', { text: 'cut off' }],
  ])('%j', (line, expected) => {
    expect(parseRecord(line)).toMatchObject(expected)
  })

  test.each(['', '\n', 'text', '6;text', '6,1,2;text', 'a,1,2,-;text', ' SUBSYSTEM=virtio\n'])(
    '%j is none',
    line => {
      expect(parseRecord(line)).toBeNull()
    },
  )
})

describe('reading', () => {
  test('to the end, and then what is new', () => {
    const log = logOf(raw(0), raw(1))
    const read = createReader(log)
    expect(read()).toMatchObject({ records: [{ seq: 0 }, { seq: 1 }], lost: 0, ended: true })
    expect(read()).toEqual({ records: [], lost: 0, ended: true })
    log.push(raw(2))
    expect(read()).toMatchObject({ records: [{ seq: 2, text: 'line 2' }], lost: 0, ended: true })
  })

  test('a record is not mixed with a longer one before it', () => {
    const { records } = createReader(logOf(raw(0, 'x'.repeat(8000)), raw(1, 'y').trimEnd()))()
    expect(records.map(({ text }) => text)).toEqual(['x'.repeat(8000), 'y'])
  })

  test('what was overwritten before the first read, and between two, is counted', () => {
    const log = logOf(raw(100), failing('EPIPE'), raw(105))
    const read = createReader(log)
    expect(read()).toMatchObject({ records: [{ seq: 100 }, { seq: 105 }], lost: 104, ended: true })
    log.push(raw(109))
    expect(read()).toMatchObject({ lost: 3 })
  })

  test('one that is too large, or no record, is lost', () => {
    expect(createReader(logOf(raw(0), failing('EINVAL'), raw(2)))()).toMatchObject({ lost: 1, ended: true })
    expect(createReader(logOf(raw(0), 'what', raw(2)))()).toMatchObject({ lost: 1, ended: true })
  })

  test('a log without end is left after so many records, and gone on with', () => {
    const read = createReader(logOf(raw(0), raw(1), raw(2)), { reads: 2, characters: 1000 })
    expect(read()).toMatchObject({ records: [{ seq: 0 }, { seq: 1 }], ended: false })
    expect(read()).toMatchObject({ records: [{ seq: 2 }], lost: 0, ended: true })
  })

  test('overwritten again and again: not for ever', () => {
    const log: LogSource = {
      read: () => {
        throw failing('EPIPE')
      },
      close: () => {},
    }
    expect(createReader(log, { reads: 9, characters: 9 })()).toEqual({ records: [], lost: 0, ended: false })
  })

  test('of more than can be kept the newest are, and the others are counted', () => {
    const all = Array.from({ length: 100 }, (_, i) => raw(i, 'x'.repeat(10)))
    const { records, lost, ended } = createReader(logOf(...all), { reads: 1000, characters: 200 })()
    expect(ended).toBe(true)
    expect(records.length).toBeLessThanOrEqual(20)
    expect(records.length).toBeGreaterThanOrEqual(10)
    expect(lost).toBe(100 - records.length)
    expect(records.map(({ seq }) => seq)).toEqual(Array.from(records, (_, i) => lost + i))
  })
})

const sourcesOf = (changes: Partial<KernelSources> = {}): KernelSources => ({
  openLog: () => logOf(),
  readTaint: () => 0,
  clearOnce: null,
  ...changes,
})

const throwing = (error: Error) => (): never => {
  throw error
}

describe('watching', () => {
  test('what was there before, and what came', () => {
    const log = logOf(raw(0))
    let taint = 0
    const watch = watchKernel(sourcesOf({ openLog: () => log, readTaint: () => taint }))
    log.push(raw(1))
    taint = 512
    expect(watch.end()).toMatchObject({
      log: { before: { records: [{ seq: 0 }] }, during: { records: [{ seq: 1 }] } },
      onceCleared: false,
      taintBefore: 0,
      taintAfter: 512,
    })
  })

  test.each([
    [failing('ENOENT'), '/dev/kmsg cannot be read: it is not there'],
    [failing('EACCES'), '/dev/kmsg cannot be read: its mode forbids it (EACCES)'],
    [
      failing('EPERM'),
      '/dev/kmsg cannot be read: it is not permitted (EPERM): see kernel.dmesg_restrict and CAP_SYSLOG',
    ],
    [failing('ENODEV'), '/dev/kmsg cannot be read: ENODEV: so it is'],
  ])('a log that cannot be opened: %s', (error, reason) => {
    expect(watchKernel(sourcesOf({ openLog: throwing(error) })).end().log).toBe(reason)
  })

  test('a log that can be opened, not read', () => {
    const broken = (error: Error) => watchKernel(sourcesOf({ openLog: () => logOf(error) })).end().log
    expect(broken(failing('EIO'))).toBe('/dev/kmsg cannot be read: EIO: so it is')
    const file: LogSource = { read: () => 0, close: () => {} }
    expect(watchKernel(sourcesOf({ openLog: () => file })).end().log).toMatch(/it ends as a file does$/)
  })

  test('a log that cannot be read any more', () => {
    const steps = [failing('EAGAIN'), failing('EIO')]
    const watch = watchKernel(sourcesOf({ openLog: () => logOf(...steps) }))
    expect(watch.end().log).toBe('/dev/kmsg cannot be read: EIO: so it is')
  })

  test('a taint that cannot be read', () => {
    const watch = watchKernel(sourcesOf({ readTaint: throwing(failing('ENOENT')) }))
    const reason = '/proc/sys/kernel/tainted cannot be read: it is not there'
    expect(watch.end()).toMatchObject({ taintBefore: reason, taintAfter: reason })
  })

  test('once-a-boot warnings are made to print again after the log was read, or silently not', () => {
    const order: string[] = []
    const log: LogSource = {
      read: () => {
        order.push('read')
        throw failing('EAGAIN')
      },
      close: () => {},
    }
    const watch = watchKernel(sourcesOf({ openLog: () => log, clearOnce: () => order.push('clear') }))
    expect(order).toEqual(['read', 'clear'])
    expect(watch.end().onceCleared).toBe(true)
    expect(watchKernel(sourcesOf({ clearOnce: throwing(failing('ENOENT')) })).end().onceCleared).toBe(false)
  })

  test('the log is closed once, by whichever comes first', () => {
    let closed = 0
    const log: LogSource = { ...logOf(), close: () => (closed += 1) }
    const watch = watchKernel(sourcesOf({ openLog: () => log }))
    watch.close()
    watch.close()
    expect(closed).toBe(1)
    const ended = watchKernel(sourcesOf({ openLog: () => log }))
    ended.end()
    ended.close()
    expect(closed).toBe(2)
  })
})

describe.runIf(process.platform === 'linux')('the running kernel', () => {
  test('is watched, or it is told why not', context => {
    const { log, taintBefore, taintAfter } = watchKernel({ ...runningKernel, clearOnce: null }).end()
    if (typeof taintBefore === 'string')
      expect(taintBefore).toMatch(/^\/proc\/sys\/kernel\/tainted cannot be /)
    else expect(taintAfter).toBeGreaterThanOrEqual(taintBefore)
    if (typeof log === 'string') {
      expect(log).toMatch(/^\/dev\/kmsg cannot be read: ./)
      return context.skip(log)
    }
    const { records, lost, ended } = log.before
    expect(ended).toBe(true)
    expect(records.length).toBeGreaterThan(0)
    expect(lost + records.length).toBe((records.at(-1)?.seq ?? 0) + 1)
    expect(records.some(({ facility }) => facility === 0)).toBe(true)
    expect(log.during.lost).toBe(0)
  })
})
