/** What is started in the place of the probe process, and is none. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadNative, probePath } from '../../lib/native.ts'
import { children, descriptors, needsAddon, shape } from './support.ts'

let folder: string

beforeEach(ctx => {
  needsAddon(ctx)
  folder = mkdtempSync(join(tmpdir(), 'sigframe-start-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const start = (path: string): void => {
  ;new (loadNative().Session)(path, shape).close()
}

const file = (name: string, text: string, mode: number): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const ended = /^the probe process .* failed at its start: it ended before it was ready$/
const notStarted = (why: string) => new RegExp(`^the probe process .* could not be started: ${why}$`)

describe('a probe path', () => {
  it.each<[string, () => string, RegExp]>([
    ['that is not there', () => join(folder, 'nowhere'), notStarted('No such file or directory')],
    ['that is empty', () => '', notStarted('No such file or directory')],
    ['through a file', () => join(file('file', '', 0o644), 'probe'), notStarted('Not a directory')],
    ['that may not be executed', () => file('probe', '#!/bin/sh\n', 0o644), notStarted('Permission denied')],
    ['of a directory', () => folder, notStarted('Permission denied')],
    ['of no program', () => file('probe', 'nonsense', 0o755), notStarted('Exec format error')],
    [
      'of a script whose interpreter is missing',
      () => file('probe', '#!/nowhere\n', 0o755),
      notStarted('No such file or directory'),
    ],
    ['of a program that ends well', () => '/bin/true', ended],
    ['of one that reads its input', () => '/bin/cat', ended],
    ['of one that fails', () => '/bin/false', ended],
    ['of a script', () => file('probe', '#!/bin/sh\nexit 3\n', 0o755), ended],
    ['of one that dies', () => file('probe', '#!/bin/sh\nkill -9 $$\n', 0o755), ended],
    ['that is much too long', () => `/${'x'.repeat(5000)}`, notStarted('File name too long')],
    ['of more than any path has', () => 'x'.repeat(1e6), notStarted('File name too long')],
  ])('%s: one clear line, and nothing is left', (_, path, message) => {
    const given = path()
    const before = descriptors()
    for (let i = 0; i < 5; i++) expect(() => start(given)).toThrow(message)
    expect(descriptors()).toEqual(before)
    expect(children()).toEqual([])
    // And the right one still works.
    start(probePath())
  })

  it('is run with no argument, nothing of our environment, and no descriptor but the arena', () => {
    const script = [
      '#!/bin/sh',
      'arguments=$#',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's
      'for fd in /proc/$$/fd/*; do [ -e "$fd" ] && fds="$fds ${fd##*/}"; done',
      'env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^GLIBC_TUNABLES= >"$(dirname "$0")/seen"',
      'echo "$arguments,$fds" >>"$(dirname "$0")/seen"',
    ]
    expect(() => start(file('probe', script.join('\n'), 0o755))).toThrow(ended)
    // Shells keep their script at 10 or 255.
    expect(readFileSync(join(folder, 'seen'), 'utf8').replace(/ (10|255)/, '')).toBe('0, 0 1 2 3\n')
  })
})
