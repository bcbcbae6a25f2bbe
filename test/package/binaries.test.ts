import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { probePath } from '../../lib/native.ts'
import { needsLoader, readElf } from './elf.ts'

const supported = process.platform === 'linux' && process.arch === 'x64'

describe.skipIf(!supported)('what the compiler made', () => {
  test('the addon has no executable stack and shows only what Node looks up', () => {
    const addon = join(probePath(), '..', 'sigframe.node')
    expect(readElf(addon)).toEqual({
      executableStack: false,
      exports: ['napi_register_module_v1', 'node_api_module_get_api_version_v1'],
    })
  })

  test('the probe has no executable stack and shows nothing', () => {
    expect(readElf(probePath())).toEqual({ executableStack: false, exports: [] })
  })

  test('the init has no executable stack, shows nothing, and needs no library: there may be none', () => {
    const init = join(probePath(), '..', 'sigframe-init')
    expect(readElf(init)).toEqual({ executableStack: false, exports: [] })
    expect(needsLoader(init)).toBe(false)
    expect(needsLoader(probePath())).toBe(true)
  })
})
