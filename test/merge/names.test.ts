import { describe, expect, test } from 'vitest'
import { createNaming, namesOf } from '../../lib/merge/names.ts'

describe('a host is called as its file', () => {
  test.each<[readonly string[], readonly string[], readonly string[]]>([
    [['host.json'], [], ['host']],
    [['/results/node-1.example.org.json', 'b.JSON'], [], ['node-1.example.org', 'b']],
    [['results/host', './x.txt'], [], ['host', 'x.txt']],
    [['.json'], [], ['.json']],
    [['a/bundle.json', 'b/bundle.json', 'other.json'], [], ['a', 'b', 'other']],
    [['r/a/out/bundle.json', 'r/b/out/bundle.json'], [], ['a', 'b']],
    [['a/x/bundle.json', 'a/y/bundle.json', 'b/x/bundle.json'], [], ['a/x', 'y', 'b/x']],
    [['bundle.json', 'b/bundle.json'], [], ['bundle', 'b']],
    [['a/bundle.json', './a//bundle.json'], [], ['bundle', 'bundle']],
    [['a/bundle.json', 'a/bundle.json', 'b/bundle.json'], [], ['a', 'a', 'b']],
    [['/a/bundle.json', 'a/bundle.json'], [], ['bundle', 'bundle']],
    // As it is expected, where it is.
    [['results/host-a/bundle.json'], ['host-a', 'host-b'], ['host-a']],
    [['host-a/host-b/run.json'], ['host-a', 'host-b'], ['host-b']],
    [['host-a/run.json', 'host-b/run.json', 'host-c/run.json'], ['host-a'], ['host-a', 'host-b', 'host-c']],
    [
      ['host-a/run.json', 'host-b/run.json'],
      ['host-a', 'run'],
      ['run', 'run'],
    ],
    [['line\nbreak.json'], [], ['line break']],
    [[`${'x'.repeat(300)}.json`], [], [`${'x'.repeat(200)}… (100 more characters)`]],
  ])('%j, expected %j: %j', (paths, expected, names) => {
    expect(namesOf(paths, expected)).toEqual(names)
  })
})

test('numbers go on where there are many', () => {
  const nameFor = createNaming()
  const names = Array.from({ length: 5000 }, () => nameFor('a'))
  expect(new Set(names).size).toBe(5000)
  expect(names.at(-1)).toBe('a (5000)')
})
