// Runs after `npm ci` and `npm install` here, and before `npm pack`: the addon, the probe and the init by node-gyp, copies of
// them into prebuilds/ (an install of the tarball compiles nothing), then TypeScript into dist/. Nothing is downloaded.
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const products = ['sigframe.node', 'sigframe-probe', 'sigframe-init']
const prebuilds = join(root, 'prebuilds', 'linux-x64')

if (process.platform === 'linux' && process.arch === 'x64') {
  buildNative()
} else {
  rmSync(prebuilds, { recursive: true, force: true })
  if (process.env.npm_command === 'publish') {
    fail('a package without the addon is not to be published: publish from x86-64 Linux')
  }
  say(`no addon on ${process.platform} ${process.arch}: probes need x86-64 Linux; the rest works`)
}
compileTypeScript()

function buildNative() {
  const nodeGyp = resolveTool('node-gyp', 'bin/node-gyp.js')
  const missing = missingTools()
  if (missing.length > 0) {
    fail(`cannot compile the addon: ${missing.join(', ')} not found; install what is missing and try again`)
  }
  const { nodedir, from } = findHeaders()
  // configure each time and never clean: only what changed is compiled again.
  run(
    process.execPath,
    [nodeGyp, 'configure', 'build', '--jobs=max', '--loglevel=warn', `--nodedir=${nodedir}`],
    {
      env: gypEnvironment(),
      onFailure: 'the addon does not compile; the output above says why',
    },
  )
  // Removed first: a copy onto a probe that runs, or an addon that is mapped, fails or breaks its process.
  rmSync(prebuilds, { recursive: true, force: true })
  mkdirSync(prebuilds, { recursive: true })
  for (const product of products) cpSync(join(root, 'build', 'Release', product), join(prebuilds, product))
  say(`addon, probe and init compiled (headers: ${from})`)
}

function compileTypeScript() {
  const tsc = resolveTool('typescript', 'bin/tsc')
  // What was compiled from a file that is gone would still be found, and packed.
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  run(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { onFailure: 'TypeScript does not compile' })
}

/** Node-API is the same in every Node, so any of these does; those of the running Node come first. */
function findHeaders() {
  if (process.env.SIGFRAME_HEADERS !== 'npm') {
    const candidates = [
      dirname(dirname(process.execPath)),
      process.config.variables.node_prefix,
      process.env.npm_config_nodedir,
    ]
    for (const nodedir of candidates) {
      if (nodedir && isNodedir(nodedir)) return { nodedir: resolve(nodedir), from: resolve(nodedir) }
    }
  }
  return { nodedir: synthesizeNodedir(), from: 'node-api-headers' }
}

/** Does this folder hold the headers of the running Node? Another one's config.gypi may ask for another compiler. */
function isNodedir(folder) {
  const include = join(folder, 'include', 'node')
  if (!['node_api.h', 'common.gypi', 'config.gypi'].every(name => existsSync(join(include, name))))
    return false
  try {
    const version = readFileSync(join(include, 'node_version.h'), 'utf8')
    const major = /#define NODE_MAJOR_VERSION (\d+)/.exec(version)?.[1]
    return major === process.versions.node.split('.')[0]
  } catch {
    return false
  }
}

/** As little of a nodedir as node-gyp and binding.gyp want, with the headers of the npm package node-api-headers. */
function synthesizeNodedir() {
  const nodedir = join(root, 'build', 'nodedir')
  const include = join(nodedir, 'include', 'node')
  rmSync(nodedir, { recursive: true, force: true })
  cpSync(dirname(resolveTool('node-api-headers', 'include/node_api.h')), include, { recursive: true })
  const commonGypi = {
    target_defaults: {
      default_configuration: 'Release',
      configurations: { Release: {} },
      target_conditions: [["_type=='loadable_module'", { cflags: ['-fPIC'] }]],
    },
  }
  writeFileSync(join(include, 'common.gypi'), `${JSON.stringify(commonGypi, null, 2)}\n`)
  writeFileSync(join(include, 'config.gypi'), '{}\n')
  return nodedir
}

function missingTools() {
  const {
    CXX = 'g++',
    CC = 'cc',
    MAKE = 'make',
    NODE_GYP_FORCE_PYTHON,
    npm_config_python,
    PYTHON,
  } = process.env
  const python = NODE_GYP_FORCE_PYTHON ?? npm_config_python ?? PYTHON ?? 'python3'
  const needed = [
    [`a C++ compiler (${CXX})`, CXX],
    [`a C compiler (${CC})`, CC],
    [`make (${MAKE})`, MAKE],
    [`Python 3 (${python})`, python, 'python'],
  ]
  const missing = needed.filter(([, ...commands]) => !commands.some(onPath)).map(([name]) => name)
  if (onPath(CXX) && !findsStaticLibrary(CXX)) missing.push('a static C library (libc.a)')
  return missing
}

/** Some distributions have it in a package of its own. The compiler answers with a path, or with the name alone. */
function findsStaticLibrary(compiler) {
  const [program, ...words] = compiler.trim().split(/\s+/)
  const asked = spawnSync(program, [...words, '-print-file-name=libc.a'], { cwd: root, encoding: 'utf8' })
  return asked.status !== 0 || asked.stdout.includes('/')
}

/** `command` may have words after the first, as CXX="ccache g++" has. */
function onPath(command) {
  const program = command.trim().split(/\s+/)[0]
  const folders = program.includes('/') ? [root] : (process.env.PATH ?? '').split(delimiter)
  return folders.some(folder => {
    try {
      accessSync(resolve(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** node-gyp lets npm's settings override its arguments and makes build variables of all others: keep them out. */
function gypEnvironment() {
  const env = { ...process.env }
  for (const key of Object.keys(env)) {
    if (/^npm_(config|package_config_node_gyp)_/i.test(key) && key !== 'npm_config_python') delete env[key]
  }
  // binding.gyp asks `node`: let it be this one.
  env.PATH = `${dirname(process.execPath)}${delimiter}${env.PATH ?? ''}`
  return env
}

/** Quiet when it goes well; all of its output when it does not. */
function run(command, args, { env = process.env, onFailure }) {
  const done = spawnSync(command, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (done.error) fail(`${onFailure}: ${done.error.message}`)
  if (done.status === 0) return
  process.stderr.write(done.stdout + done.stderr)
  fail(onFailure)
}

function resolveTool(name, path) {
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), path)
  } catch {
    fail(`building needs ${name}, a development dependency: install without --omit=dev`)
  }
}

function say(line) {
  process.stdout.write(`sigframe: ${line}\n`)
}

function fail(message) {
  process.stderr.write(`sigframe: ${message}\n`)
  process.exit(1)
}
