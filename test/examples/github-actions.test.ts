import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { bundleJson } from '../../lib/report/json.ts'
import { ended } from '../cli/sigframe.ts'
import { bundleOf } from '../merge/samples.ts'
import { bundle, result } from '../report/stub.ts'
import { callsIn, unknownIn } from './program.ts'

const root = join(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'examples/github-actions.yml'), 'utf8')

interface Step {
  readonly name?: string
  readonly run?: string
  readonly if?: string
  readonly uses?: string
  readonly with?: Readonly<Record<string, unknown>>
}

interface Workflow {
  readonly env: { readonly HOSTS: string }
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[]; readonly if?: string }>>
}

const workflow: Workflow = parse(text)
const steps = Object.values(workflow.jobs).flatMap(job => job.steps)

/** What GitHub's own parser finds wrong with each. */
const problemsIn = async (texts: readonly string[]): Promise<readonly (readonly string[])[]> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'check-workflow.mjs')])
  child.stdin.end(JSON.stringify(texts))
  const { code, stdout, stderr } = await ended(child)
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

const breaks: readonly (readonly [string, string, RegExp])[] = [
  ['  workflow_dispatch:', '  workflow_dispatched:', /workflow_dispatched/],
  ['    runs-on: ubuntu-latest', '', /runs-on/],
  ['needs: [hosts, run]', 'needs: [hosts, runs]', /unknown job 'runs'/],
  ['needs.hosts.outputs.hosts', 'needs.hosts.outputs.host', /might be invalid: host$/],
  ['matrix.host.labels', 'matrx.host.labels', /matrx/],
  ['      - run: npm ci', '      - runs: npm ci', /runs/],
  ['if: always()', 'if: allways()', /allways/],
  ['permissions:\n  contents: read', 'permissions:\n  contents: reed', /reed/],
  ['timeout-minutes: 20', 'timeout-minutes: soon', /soon|number/],
  ['jobs:', 'jobs: [', /./],
]

test('the workflow is one, and would not be if any of this was in it', async () => {
  const [own, ...broken] = await problemsIn([text, ...breaks.map(([from, to]) => text.replace(from, to))])
  expect(own).toEqual([])
  breaks.forEach(([from, to, problem], i) => {
    expect(text).toContain(from)
    expect(broken[i]?.join('\n'), to).toMatch(problem)
  })
})

describe('its steps', () => {
  test('call the program with what it has', () => {
    const calls = steps.flatMap(({ run }) => callsIn(run ?? '', /node dist\/lib\/cli\/main\.js/))
    expect(calls.map(([name]) => name)).toEqual(['run', 'merge', 'report', 'report'])
    expect(calls.flatMap(unknownIn)).toEqual([])
  })

  test('bring results up and together also where a host failed', () => {
    const uploads = steps.filter(({ uses }) => uses?.startsWith('actions/upload-artifact@'))
    expect(uploads.map(step => step.if)).toEqual(['always()', 'always()'])
    expect(workflow.jobs.report?.if).toMatch(/^\$\{\{ !cancelled\(\) \}\}$/)
  })
})

const hasJq = spawnSync('jq', ['--version']).status === 0
const defaultHosts = /'(\[[\s\S]*\])'/.exec(workflow.env.HOSTS)?.[1] ?? ''

test('the list of hosts that stands in it is a list of names and labels', () => {
  const hosts: { name: string; labels: string[] }[] = JSON.parse(defaultHosts)
  expect(hosts.length).toBeGreaterThan(1)
  expect(new Set(hosts.map(({ name }) => name)).size).toBe(hosts.length)
  for (const { name, labels } of hosts) {
    expect(name).toMatch(/^[\w.-]+$/)
    expect(labels.every(label => typeof label === 'string')).toBe(true)
  }
})

describe.skipIf(!hasJq)('what it does, where jq is', () => {
  let folder: string
  const at = (name: string): string => join(folder, name)

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-actions-'))
    symlinkSync(join(root, 'dist'), at('dist'))
    symlinkSync(join(root, 'node_modules'), at('node_modules'))
    mkdirSync(at('results'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  /** As the runner starts a step. */
  const runStep = (script: string) =>
    ended(
      spawn('bash', ['-e', '-c', script], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          HOSTS: defaultHosts,
          GITHUB_OUTPUT: at('output'),
          GITHUB_STEP_SUMMARY: at('summary'),
        },
      }),
    )

  const scriptOf = (of: string): string => steps.find(({ name }) => name === of)?.run ?? 'exit 99'

  test('the list goes on in one line', async () => {
    const script = workflow.jobs.hosts?.steps[0]?.run ?? 'exit 99'
    expect((await runStep(script)).code).toBe(0)
    const output = readFileSync(at('output'), 'utf8')
    expect(output).toMatch(/^hosts=\[.*\]\n$/)
    expect(JSON.parse(output.slice('hosts='.length))).toEqual(JSON.parse(defaultHosts))
  })

  test('a host without results fails the merge, and is reported; so does one that failed; else all is well', async () => {
    writeFileSync(at('results/ubuntu-24.04.json'), bundleJson(bundleOf(1)))
    const missing = await runStep(scriptOf('Merge'))
    expect(missing.stdout).toMatch(/\nERROR {2}ubuntu-22\.04: it was expected, and nothing of it is here\n/)
    expect(missing.code).toBe(70)
    expect((await runStep(scriptOf('Report'))).code).toBe(0)
    expect(readFileSync(at('report.html'), 'utf8')).toContain('ubuntu-22.04')
    expect(readFileSync(at('summary'), 'utf8')).toContain('ubuntu-22.04')

    writeFileSync(at('results/ubuntu-22.04.json'), bundleJson(bundle([result('fail')])))
    expect((await runStep(scriptOf('Merge'))).code).toBe(1)
    writeFileSync(at('results/ubuntu-22.04.json'), bundleJson(bundleOf(2)))
    expect((await runStep(scriptOf('Merge'))).code).toBe(0)
  })
})
