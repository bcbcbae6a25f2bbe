import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parseKtap } from '../report/ktap-parser.ts'
import { canProbe, inShell, sigframe } from './sigframe.ts'

/** Node that believes it runs elsewhere. */
const elsewhere = {
  NODE_OPTIONS: `--import=data:text/javascript,Object.defineProperty(process,'arch',{value:'arm64'})`,
}
const noAddon = { SIGFRAME_NATIVE_DIR: '/no/such/folder' }

describe('a machine that cannot be probed', () => {
  const reason = 'probing signal frames needs x86-64 Linux; this is linux arm64'

  test
    .runIf(process.platform === 'linux')
    .each([['run'], ['run', '--format', 'json'], ['info'], ['bench'], ['stress']])(
    '%s %s %s: one line, and the exit code of a skip',
    async (...words) => {
      const { code, stdout, stderr } = await sigframe(words.filter(Boolean), elsewhere)
      expect({ code, stdout, stderr }).toEqual({ code: 4, stdout: '', stderr: `sigframe: ${reason}\n` })
    },
  )

  test.runIf(process.platform === 'linux')('KTAP that skips all, and why', async () => {
    const { code, stdout } = await sigframe(['run', '--format', 'ktap'], elsewhere)
    expect(code).toBe(4)
    expect(stdout).toMatch(
      /^KTAP version 1\n1\.\.0 # SKIP probing signal frames needs x86-64 Linux; .*\n# Totals: /,
    )
  })

  test('can still list', async () => {
    expect((await sigframe(['run', '--list'], elsewhere)).code).toBe(0)
  })
})

describe.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'an addon that is gone is no skip',
  () => {
    test.each([['run'], ['info'], ['bench'], ['stress']])('%s: one line, exit code 70', async word => {
      const { code, stdout, stderr } = await sigframe([word], noAddon)
      expect({ code, stdout }).toEqual({ code: 70, stdout: '' })
      expect(stderr).toBe(
        'sigframe: the native addon is not there: /no/such/folder: no such folder. SIGFRAME_NATIVE_DIR names the folder that holds both: correct it or unset it\n',
      )
    })
  },
)

describe('a fault of our own', () => {
  const faulty = {
    NODE_OPTIONS: `--import=data:text/javascript,Array.prototype.flatMap=()=>{throw(new(Error)('our%2520fault'))}`,
  }

  test('one line that asks to report it, exit code 70', async () => {
    const { code, stderr } = await sigframe(['run', '--list'], faulty)
    expect(code).toBe(70)
    expect(stderr).toBe(
      'sigframe: our%20fault; this is a fault of sigframe: please report it, with what SIGFRAME_DEBUG=1 prints\n',
    )
  })

  test('with SIGFRAME_DEBUG: where', async () => {
    const { code, stderr } = await sigframe(['run', '--list'], { ...faulty, SIGFRAME_DEBUG: '1' })
    expect(code).toBe(70)
    expect(stderr).toMatch(/please report it, .*\nError: our%20fault\n {4}at /)
  })

  test('that nobody awaits: not Node’s exit code, which says that the kernel failed', async () => {
    const loose = {
      NODE_OPTIONS: `--import=data:text/javascript,setTimeout(()=>{throw(new(Error)('loose'))},600)`,
    }
    const { code, stderr } = await sigframe(['bench', '--seconds', '2'], loose)
    if (canProbe)
      expect({ code, stderr }).toEqual({ code: 70, stderr: expect.stringMatching(/^sigframe: loose; /) })
  })
})

describe.skipIf(!canProbe)('info', () => {
  test('for people', async () => {
    const { code, stdout, stderr } = await sigframe(['info'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^Host {4}/)
    expect(stdout).toContain('|x87--')
    expect(stdout).not.toContain('\u001b')
    for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  })

  test('for machines', async () => {
    const { code, stdout } = await sigframe(['info', '--json'])
    expect(code).toBe(0)
    const { host, layout, sw } = JSON.parse(stdout)
    expect(layout.size).toBe(host.userSize)
    expect(sw.xfeatures).toBe(layout.userFeatures)
  })

  test('| head -1', async () => {
    expect(await inShell('SIGFRAME info | head -1')).toMatchObject({ code: 0, stderr: '' })
  })
})

describe.skipIf(!canProbe)('bench', () => {
  test('for people', async () => {
    const { code, stdout, stderr } = await sigframe(['bench', '--seconds', '0.2'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(
      /^batched good frames +[\d,]+ +plain +[\d,]+ +\d\.\d\d +\d\.\d\d\.\.\d\.\d\d +0\.90$/m,
    )
  })

  test('for machines', async () => {
    const { code, stdout } = await sigframe(['bench', '--json', '--seconds', '0.2'])
    expect(code).toBe(0)
    for (const lane of JSON.parse(stdout).lanes)
      expect(lane).toMatchObject({
        lane: expect.any(String),
        perSecond: expect.any(Number),
        against: expect.stringMatching(/^(plain|64-bit|engine|cat)$/),
        limitPerSecond: expect.any(Number),
        ratio: expect.any(Number),
      })
  })
})

describe.skipIf(!canProbe)('stress', () => {
  test('for people, and where nobody watches not a word more', async () => {
    const { code, stdout, stderr } = await sigframe(['stress', '--seconds', '1.5'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^CPU +probes +a second +signals +by timers +moves here +lost$/m)
    expect(stdout).toMatch(/\nPASS {2}[\d,]+ probes, [\d,]+ signals in .*: nothing lost\n$/)
    for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  })

  test('for machines', async () => {
    const { code, stdout } = await sigframe([
      'stress',
      '--json',
      '--seconds',
      '0.3',
      '--cpus',
      '0',
      '--seed',
      '9',
    ])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ lost: 0, problems: [], seed: 9, cpus: [0], oneCpu: null })
  })

  test('| head -1', async () => {
    expect(await inShell('SIGFRAME stress --seconds 0.2 | head -1')).toMatchObject({ code: 0, stderr: '' })
  })

  test('what is lost is told by the exit code', async () => {
    const session = pathToFileURL(join(import.meta.dirname, '../../dist/lib/probe/session.js'))
    const losing = `import{Probe}from${JSON.stringify(session.href)};const{stress}=Probe.prototype;Probe.prototype.stress=function(images,task){return(stress.call(this,images,{...task,spoil:2}))}`
    const { code, stdout, stderr } = await sigframe(['stress', '--seconds', '0.2'], {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(losing)}`,
    })
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    expect(stdout).toMatch(/\nFAIL {2}[\d,]+ probes, .*: [\d,]+ lost\n {6}process \d+/)
  })
})

test('the parser of these tests is strict', () => {
  expect(() => parseKtap('KTAP version 1\n1..1\nok 1 - a#b\n')).toThrow('no result line')
  expect(() => parseKtap('KTAP version 1\n1..1\nok 2 - a\n')).toThrow('test 2 where 1 was due')
  expect(() => parseKtap('KTAP version 1\n1..2\nok 1 - a\n')).toThrow('depth 0 expected')
  expect(() => parseKtap('KTAP version 1\n1..1\nok 1 - a\nok 2 - b\n')).toThrow('lines after the end')
  expect(() => parseKtap('KTAP version 1\n1..1\nok 1 - a # NOPE\n')).toThrow('directive NOPE')
  expect(() => parseKtap('1..0\n')).toThrow('no version line')
})
