import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { kernelPackages, kernelsIn } from '../../../lib/vm/kernels/packages.ts'

interface Entry {
  readonly name: string
  readonly version: string
  readonly suite: string
  readonly bytes?: number
}

const madison = (entries: readonly Entry[]): string =>
  entries
    .map(
      ({ name, version, suite }) =>
        ` ${name} |  ${version} | http://example.org/debian ${suite}/main amd64 Packages\n`,
    )
    .join('')

const show = (entries: readonly Entry[]): string =>
  entries
    .map(
      ({ name, version, bytes = 20e6 }) =>
        `Package: ${name}\nVersion: ${version}\nDescription: a\n b\nSize: ${bytes}\n\n`,
    )
    .join('')

const kernels = (entries: readonly Entry[]) => kernelsIn(madison(entries), show(entries))

describe('names of packages', () => {
  test.each([
    'linux-image-6.1.0-56-cloud-amd64',
    'linux-image-6.1.0-56-cloud-amd64-unsigned',
    'linux-image-6.12.117+deb12-amd64',
    'linux-binary-7.1.3+deb13-cloud-amd64',
    'linux-binary-unsigned-7.3.4+deb13-cloud-amd64',
    'linux-binary-7.3-cloud-amd64',
  ])('%s is of a kernel', name => {
    expect(kernelPackages(['vim', name])).toEqual([name])
  })

  test.each([
    'linux-image-cloud-amd64',
    'linux-image-6.1.0-56-rt-amd64',
    'linux-binary-7.1.3+deb13-rt-amd64',
    'linux-image-6.1.0-56-cloud-amd64-dbg',
    'linux-image-6.1.0-56-cloud-arm64',
    'linux-headers-6.1.0-56-cloud-amd64',
    'linux-base-7.2.12+deb13-cloud-amd64',
  ])('%s is not', name => {
    expect(kernelPackages([name])).toEqual([])
  })

  test('the configuration of a kernel comes with it', () => {
    const names = ['linux-base-7.2.12+deb13-cloud-amd64', 'linux-binary-7.2.12+deb13-cloud-amd64']
    expect([...kernelPackages(names)].sort()).toEqual(names)
  })
})

describe('kernels that are to be had', () => {
  test('oldest first, with all that is known of them', () => {
    const version = '7.2.12-1~bpo13+1'
    expect(
      kernels([
        { name: 'linux-binary-7.2.12+deb13-cloud-amd64', version, suite: 'trixie-backports', bytes: 13_4e5 },
        { name: 'linux-base-7.2.12+deb13-cloud-amd64', version, suite: 'trixie-backports', bytes: 1e6 },
        { name: 'linux-image-6.1.0-56-amd64', version: '6.1.192-2', suite: 'bookworm' },
      ]),
    ).toEqual([
      {
        version: '6.1.192',
        flavour: 'amd64',
        package: 'linux-image-6.1.0-56-amd64',
        packageVersion: '6.1.192-2',
        suite: 'bookworm',
        bytes: 20e6,
        config: null,
      },
      {
        version: '7.2.12',
        flavour: 'cloud',
        package: 'linux-binary-7.2.12+deb13-cloud-amd64',
        packageVersion: version,
        suite: 'trixie-backports',
        bytes: 13_4e5,
        config: 'linux-base-7.2.12+deb13-cloud-amd64',
      },
    ])
  })

  test('a configuration of another build of the package is not its own', () => {
    const [kernel] = kernels([
      { name: 'linux-binary-7.2.12+deb13-cloud-amd64', version: '7.2.12-2', suite: 's' },
      { name: 'linux-base-7.2.12+deb13-cloud-amd64', version: '7.2.12-1', suite: 's' },
    ])
    expect(kernel?.config).toBeNull()
  })

  test('from 6.19 on the package linux-image is empty', () => {
    const version = '7.0.4-1'
    const found = kernels([
      { name: 'linux-image-7.0.4+deb13-cloud-amd64', version, suite: 's', bytes: 1200 },
      { name: 'linux-binary-7.0.4+deb13-cloud-amd64', version, suite: 's' },
    ])
    expect(found.map(kernel => kernel.package)).toEqual(['linux-binary-7.0.4+deb13-cloud-amd64'])
    expect(
      kernels([{ name: 'linux-image-7.0.4+deb13-cloud-amd64', version, suite: 's', bytes: 1200 }]),
    ).toEqual([])
  })

  test('signed rather than not, then the newest build, whatever their order', () => {
    const entries: Entry[] = [
      { name: 'linux-image-6.12.90+deb13-cloud-amd64', version: '6.12.90-1', suite: 'a' },
      { name: 'linux-image-6.12.90+deb13.1-cloud-amd64', version: '6.12.90-2', suite: 'b' },
      { name: 'linux-image-6.12.90+deb12.1-cloud-amd64', version: '6.12.90-2~bpo12+1', suite: 'c' },
      { name: 'linux-image-6.12.90+deb14-cloud-amd64-unsigned', version: '6.12.90-3', suite: 'd' },
    ]
    fc.assert(
      fc.property(fc.shuffledSubarray(entries, { minLength: 4 }), shuffled => {
        expect(kernels(shuffled)).toMatchObject([{ packageVersion: '6.12.90-2', suite: 'b' }])
      }),
    )
    expect(kernels(entries.slice(3))).toMatchObject([{ package: entries[3]?.name }])
  })

  test('a flavour does not stand for the other', () => {
    const version = '6.1.192-2'
    const found = kernels([
      { name: 'linux-image-6.1.0-56-amd64', version, suite: 's' },
      { name: 'linux-image-6.1.0-56-cloud-amd64', version, suite: 's' },
    ])
    expect(found.map(({ flavour }) => flavour).sort()).toEqual(['amd64', 'cloud'])
  })

  test('any output is read', () => {
    const text = fc.string({
      unit: fc.constantFrom(...' |\n:/linux-image-6.1.0-cloud-amd64 Packages Size Version'),
      maxLength: 300,
    })
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(kernelsIn(a, b)).toEqual([])
      }),
    )
  })
})
