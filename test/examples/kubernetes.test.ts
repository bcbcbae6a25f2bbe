import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type IJob, Job } from 'kubernetes-models/batch/v1/Job'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readCollection } from '../../lib/report/collection.ts'
import { bundleJson } from '../../lib/report/json.ts'
import { ended } from '../cli/sigframe.ts'
import { absent, bundleOf, hostOf } from '../merge/samples.ts'
import { callsIn, unknownIn } from './program.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const text = read('examples/kubernetes.yml')
const script = join(root, 'examples/kubernetes.sh')

let folder: string
const at = (name: string): string => join(folder, name)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-kubernetes-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const validate = (of: string): void => new Job(parse(of)).validate()

describe('the Job', () => {
  test('is one, by the schema of its API', () => {
    expect(() => validate(text)).not.toThrow()
  })

  test.each([
    ['kind: Job', 'kind: Jobs'],
    ['apiVersion: batch/v1', 'apiVersion: batch/v2'],
    ['backoffLimit: 0', 'backoffLimit: none'],
    ['restartPolicy: Never', 'restartPolicy: Nevermore'],
    ['image: IMAGE', 'image: 7'],
    ['operator: In', ''],
    ["args: ['run', '--json']", 'args: run'],
    ['runAsNonRoot: true', 'runAsNonRoot: yes please'],
    ['  template:', '  templates:'],
  ])('%s is not %s', (from, to) => {
    const broken = text.replace(from, to)
    expect(broken).not.toBe(text)
    expect(() => validate(broken)).toThrow()
  })

  // kubectl refuses a field that the API does not have; a schema of OpenAPI passes it over, the types do not.
  test('has no field that the API does not have', () => {
    const config = {
      compilerOptions: {
        noEmit: true,
        strict: true,
        skipLibCheck: true,
        module: 'nodenext',
        types: [],
        paths: { 'kubernetes-models/*': [join(root, 'node_modules/kubernetes-models/*')] },
      },
      files: ['right.ts', 'wrong.ts'],
    }
    const write = (name: string, of: string): void =>
      writeFileSync(
        at(name),
        `import type { IJob } from 'kubernetes-models/batch/v1/Job'\nexport const job: IJob = ${JSON.stringify(parse(of))}\n`,
      )
    writeFileSync(at('tsconfig.json'), JSON.stringify(config))
    write('right.ts', text)
    write('wrong.ts', text.replace('enableServiceLinks', 'enableServiceLink'))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = spawnSync(process.execPath, [tsc, '--project', '.'], {
      cwd: folder,
      encoding: 'utf8',
    })
    expect(stdout.match(/^\w+\.ts(?=\()/gm)).toEqual(['wrong.ts'])
    expect(stdout).toMatch(/'"?enableServiceLink"?' does not exist/)
  })

  test('runs once on the node that it is for, whatever else is kept off it, and asks for nothing', () => {
    const { spec }: IJob = parse(text)
    const pod = spec?.template.spec
    expect([spec?.completions, spec?.parallelism, spec?.backoffLimit, pod?.restartPolicy]).toEqual([
      1,
      1,
      0,
      'Never',
    ])
    expect(pod?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution).toEqual({
      nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['NODE'] }] }],
    })
    expect(pod?.nodeSelector).toEqual({ 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64' })
    expect(pod?.tolerations).toEqual([{ operator: 'Exists' }])
    expect(pod?.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(pod?.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  })

  test('calls the program with what it has', () => {
    const { spec }: IJob = parse(text)
    expect(unknownIn(spec?.template.spec?.containers[0]?.args ?? [])).toEqual([])
  })
})

/** A cluster of a few lines: nodes in `nodes`, what their pods print in `logs/NODE`; what is asked of it goes to `asked`. */
const kubectl = `#!/bin/sh
set -eu
echo "$*" >> "$CLUSTER/asked"
[ "$1 $2" = '--context test' ] || exit 9
shift 2
case "$1" in
get)
  case "$2" in
  nodes) [ -e "$CLUSTER/nodes" ] || exit 1; cat "$CLUSTER/nodes" ;;
  *)
    # Done when it is looked at for the second time.
    if [ -e "$CLUSTER/seen-\${2##*/}" ]; then echo SuccessCriteriaMet Complete; else : > "$CLUSTER/seen-\${2##*/}"; fi
    ;;
  esac ;;
create)
  job=$(cat)
  node=$(echo "$job" | sed -n 's|.*sigframe.example.org/node: ||p')
  [ "$node" != full ] || { echo 'exceeded quota' >&2; exit 1; }
  echo "$job" > "$CLUSTER/job-$node.yml"
  echo "job.batch/sigframe-$node" ;;
logs) cat "$CLUSTER/logs/\${2##*/sigframe-}" ;;
delete) ;;
*) exit 9 ;;
esac
`

describe('the script', () => {
  beforeEach(() => {
    mkdirSync(at('bin'))
    mkdirSync(at('logs'))
    writeFileSync(at('bin/kubectl'), kubectl, { mode: 0o755 })
  })

  const nodes = (...names: readonly string[]): void =>
    writeFileSync(at('nodes'), names.map(name => `${name}\n`).join(''))
  const log = (name: string, number: number): void =>
    writeFileSync(at(`logs/${name}`), bundleJson(bundleOf(number)))
  const run = (
    words: readonly string[] = ['registry.example.org/sigframe:1', at('out'), '--context', 'test'],
  ) =>
    ended(
      spawn('sh', [script, ...words], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          PATH: `${at('bin')}${delimiter}${process.env.PATH}`,
          CLUSTER: folder,
          SIGFRAME_PAUSE: '0',
        },
      }),
    )

  test('calls the program with what it has', () => {
    const calls = callsIn(read('examples/kubernetes.sh'), /^\$sigframe/)
    expect(calls.map(([name]) => name)).toEqual(['merge', 'report'])
    expect(calls.flatMap(unknownIn)).toEqual([])
  })

  test('makes a Job for each node, and merges what they print', async () => {
    nodes('node-1.example.org', 'node-2.example.org')
    log('node-1.example.org', 1)
    log('node-2.example.org', 2)
    const { code, stderr } = await run()
    expect([code, stderr]).toEqual([0, ''])
    expect((await readCollection(at('out/all.json'))).hosts).toEqual([
      hostOf('node-1.example.org', 1),
      hostOf('node-2.example.org', 2),
    ])
    expect(readFileSync(at('out/report.html'), 'utf8')).toContain('node-2.example.org')
    const jobs = readdirSync(folder).filter(name => name.startsWith('job-'))
    expect(jobs).toEqual(['job-node-1.example.org.yml', 'job-node-2.example.org.yml'])
    for (const job of jobs) {
      const made = readFileSync(at(job), 'utf8')
      expect(() => validate(made)).not.toThrow()
      const pod = (parse(made) as IJob).spec?.template.spec
      expect(pod?.containers[0]?.image).toBe('registry.example.org/sigframe:1')
      expect(JSON.stringify(pod?.affinity)).toContain(`"values":["${job.slice(4, -4)}"]`)
    }
    expect(readFileSync(at('asked'), 'utf8')).toMatch(
      /--context test delete --ignore-not-found --wait=false job\.batch\/sigframe-node-1\.example\.org job\.batch\/sigframe-node-2\.example\.org\n$/,
    )
  })

  test('a node without a Job, without a log, or with half of one is an error', async () => {
    nodes('good', 'full', 'silent', 'cut')
    log('good', 1)
    writeFileSync(at('logs/cut'), '{"bundleVersion": 1,')
    const { code, stdout } = await run()
    expect(code).toBe(70)
    expect(stdout).toMatch(/\nERROR {2}cut: \S+cut\.json is\s+not\s+JSON:\s+it\s+ends\s+too\s+early/)
    const { hosts } = await readCollection(at('out/all.json'))
    expect(hosts.filter(({ name }) => name !== 'cut')).toEqual([
      hostOf('good', 1),
      absent('full'),
      absent('silent'),
    ])
  })

  test('a cluster that does not answer is no success, and no failure of a kernel', async () => {
    expect((await run()).code).toBe(70)
  })

  test('without an image it says how it is used', async () => {
    const { code, stderr } = await run([])
    expect([code, stderr]).toEqual([64, 'usage: kubernetes.sh IMAGE FOLDER [options of kubectl]\n'])
  })
})

describe('the image', () => {
  const dockerfile = read('examples/Dockerfile')
  const manifest = JSON.parse(read('package.json'))

  test('starts what the package calls its program, on a Node that the package is for', () => {
    const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? '[]')
    expect(entry).toEqual(['node', `/sigframe/${manifest.bin.sigframe}`])
    const versions = [...dockerfile.matchAll(/^FROM node:(\d+)-/gm)].map(([, major]) => major)
    expect(new Set(versions)).toEqual(new Set(['24']))
    expect(manifest.engines.node).toContain('>=24')
  })

  test('is built of sources: what was compiled here stays here', () => {
    const left = read('examples/Dockerfile.dockerignore').split('\n')
    const ignored = read('.gitignore').matchAll(/^\/([\w*-]+)\/$/gm)
    for (const [, name] of ignored) if (name !== 'coverage') expect(left).toContain(name)
    expect(left).toContain('.git')
  })
})

test('what the README shows, the program has', () => {
  const blocks = [...read('examples/README.md').matchAll(/```sh\n([\s\S]*?)```/g)].map(
    ([, block]) => block ?? '',
  )
  const calls = blocks.flatMap(block => callsIn(block, /(^|\s)sigframe(?=\s(run|merge|report))/))
  expect(calls.map(([name]) => name)).toEqual(['run', 'merge', 'report', 'run', 'merge'])
  expect(calls.flatMap(unknownIn)).toEqual([])
})
