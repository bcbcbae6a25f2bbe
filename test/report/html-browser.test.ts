/** The page in a real browser: light and dark, on a phone, by keyboard, without JavaScript, with hostile texts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Collection } from '../../lib/merge/collection.ts'
import { digestOf, programKey } from '../../lib/report/digest/digest.ts'
import { htmlReport } from '../../lib/report/html/page.ts'
import { findChromium, startChromium } from './browser.ts'
import {
  contrasts,
  countUsable,
  focused,
  focusOutlines,
  horizontal,
  openDetails,
  partsOfPage,
  showEvidence,
} from './browser-checks.mjs'
import {
  collection,
  hostileCollection,
  sampleCollection,
  sampleHost,
  samplePairs,
} from './collection-samples.ts'

const executable = findChromium()
/** Where pictures of the page go; nowhere if it is not set. */
const shots = process.env.SIGFRAME_REPORT_SHOTS

const wide = { width: 1280, height: 900 }
const phone = { width: 360, height: 740 }
const schemes = ['light', 'dark'] as const

let browser: Browser
let folder: string
const files = new Map<string, string>()

const pages: Readonly<Record<string, () => Collection>> = {
  sample: sampleCollection,
  hostile: hostileCollection,
  empty: () => collection(),
  hosts: () => collection({ hosts: [sampleHost('a', 'zen4'), sampleHost('b', 'sapphire-rapids-tiles')] }),
  pairs: () =>
    collection({ matrices: [{ name: 'm', matrix: samplePairs(['zen4', 'haswell', 'skylake-sp']) }] }),
}

/** Where something went wrong, or out. */
interface Watched {
  readonly page: Page
  readonly complaints: string[]
  readonly requests: string[]
}

beforeAll(async () => {
  if (executable === null) return
  folder = mkdtempSync(join(tmpdir(), 'sigframe-page-'))
  for (const [name, make] of Object.entries(pages)) {
    const digest = digestOf(make())
    const failed = digest.failures.flatMap(({ examples }) => examples)
    const programs = new Map(
      failed.map(({ place, one }) => [programKey(place, one.id), 'int main(void) { return 0; }\n']),
    )
    const file = join(folder, `${name}.html`)
    writeFileSync(
      file,
      htmlReport(digest, {
        programs,
        command: 'sigframe report all.json -o report.html',
        generatedAt: '2026-11-21T20:00:00.000Z',
      }),
    )
    files.set(name, file)
  }
  browser = await startChromium(executable)
})

afterAll(async () => {
  if (executable === null) return
  await browser.close()
  rmSync(folder, { recursive: true })
})

/** Opens a page, and closes it when the work is done. */
const withPage = async <T>(
  name: string,
  options: BrowserContextOptions,
  work: (watched: Watched) => Promise<T>,
  hash = '',
): Promise<T> => {
  const context = await browser.newContext({ viewport: wide, ...options })
  try {
    const page = await context.newPage()
    const complaints: string[] = []
    const requests: string[] = []
    page.on('console', message => complaints.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', error => complaints.push(`error: ${error.message}`))
    page.on('dialog', async dialog => {
      complaints.push(`dialog: ${dialog.message()}`)
      await dialog.dismiss()
    })
    page.on('request', request => requests.push(request.url()))
    await page.goto(`file://${files.get(name)}${hash}`)
    return await work({ page, complaints, requests })
  } finally {
    await context.close()
  }
}

/** All that there is to be seen, seen at once. */
const unfold = async (page: Page): Promise<void> => {
  await page.evaluate(openDetails)
  await page.evaluate(showEvidence)
}

const picture = async (page: Page, name: string): Promise<void> => {
  if (shots === undefined) return
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true })
}

const opens = executable === null ? test.skip : test

describe(executable === null ? 'skipped: there is no Chromium in PATH' : 'in Chromium', () => {
  describe.each(Object.keys(pages))('%s', name => {
    opens.each(schemes)('%s: no complaint, no request but the file', async colorScheme => {
      await withPage(name, { colorScheme }, async ({ page, complaints, requests }) => {
        await picture(page, `${name}-${colorScheme}`)
        expect(complaints).toEqual([])
        expect(requests).toEqual([`file://${files.get(name)}`])
      })
    })

    opens.each(schemes)('%s: contrast of 4.5 and more', async colorScheme => {
      await withPage(name, { colorScheme }, async ({ page }) => {
        await unfold(page)
        const { checked, low } = await page.evaluate(contrasts)
        expect(low).toEqual([])
        expect(checked).toBeGreaterThan(20)
      })
    })

    opens.each([
      ['a phone', phone],
      ['a desk', wide],
    ])('on %s: boxes scroll, the page does not', async (where, viewport) => {
      await withPage(name, { viewport }, async ({ page }) => {
        if (where === 'a phone') await picture(page, `${name}-phone`)
        expect(await page.evaluate(horizontal)).toEqual([])
        await unfold(page)
        expect(await page.evaluate(horizontal)).toEqual([])
      })
    })
  })

  describe('by keyboard', () => {
    opens(
      'everything that can be used is reached by Tab, in order, and shows that it is',
      async () => {
        await withPage('sample', {}, async ({ page }) => {
          await page.evaluate(openDetails)
          const wanted = await page.evaluate(countUsable)
          expect(wanted).toBeGreaterThan(100)
          const seen: number[] = []
          const faint: string[] = []
          for (let i = 0; i < wanted; i++) {
            await page.keyboard.press('Tab')
            const { at, outline } = await page.evaluate(focusOutlines)
            seen.push(at)
            if (outline !== '') faint.push(outline)
          }
          expect(faint).toEqual([])
          expect(seen).toEqual(Array.from({ length: wanted }, (_, i) => i))
        })
      },
      60_000,
    )

    opens('arrows move within a matrix, Enter brings the evidence, Escape takes it away', async () => {
      await withPage('sample', {}, async ({ page, complaints }) => {
        await page.locator('#matrix-0-grid-0 tbody a').first().focus()
        expect((await page.evaluate(focused)).label).toMatch(/^skylake-sp to skylake-sp: works/)
        await page.keyboard.press('ArrowRight')
        expect((await page.evaluate(focused)).label).toMatch(/^skylake-sp to sapphire-rapids: /)
        await page.keyboard.press('ArrowDown')
        expect((await page.evaluate(focused)).label).toMatch(/^sapphire-rapids to sapphire-rapids: works/)
        await page.keyboard.press('ArrowLeft')
        const from = await page.evaluate(focused)
        expect(from.label).toMatch(/^sapphire-rapids to skylake-sp: /)
        await page.keyboard.press('Enter')
        await expect.poll(async () => (await page.evaluate(focused)).inEvidence).toBe(true)
        const shown = page.locator('.evidence:target')
        expect(await shown.isVisible()).toBe(true)
        expect(await shown.locator('h4').textContent()).toMatch(/^sapphire-rapids → skylake-sp/)
        const box = await shown.boundingBox()
        expect(box?.y).toBeGreaterThanOrEqual(0)
        expect(box?.y).toBeLessThan(wide.height)
        // The next thing is in it.
        await page.keyboard.press('Tab')
        expect((await page.evaluate(focused)).inEvidence).toBe(true)
        await page.keyboard.press('Escape')
        expect(await page.locator('.evidence:visible').count()).toBe(0)
        expect(await page.evaluate(focused)).toEqual(from)
        expect(complaints).toEqual([])
      })
    })

    opens('at the edge of a matrix arrows stay where they are', async () => {
      await withPage('sample', {}, async ({ page, complaints }) => {
        await page.locator('#matrix-0-grid-0 tbody a').first().focus()
        const before = await page.evaluate(focused)
        await page.keyboard.press('ArrowLeft')
        await page.keyboard.press('ArrowUp')
        expect(await page.evaluate(focused)).toEqual(before)
        expect(complaints).toEqual([])
      })
    })
  })

  describe('links', () => {
    opens.each([true, false])(
      'a click on a cell brings what is known of it into view (script: %s)',
      async javaScriptEnabled => {
        await withPage('sample', { javaScriptEnabled }, async ({ page }) => {
          for (const cell of [
            '#matrix-0-grid-0 tbody a',
            '#vm-0 table.grid tbody a.bad',
            '#hosts table.grid tbody a.error',
          ]) {
            const link = page.locator(cell).first()
            const id = (await link.getAttribute('href'))?.slice(1)
            await link.click()
            const target = page.locator(`[id="${id}"]`)
            expect(await target.isVisible()).toBe(true)
            const box = await target.boundingBox()
            expect(box?.y).toBeGreaterThanOrEqual(0)
            expect(box?.y).toBeLessThan(wide.height)
          }
        })
      },
    )

    opens.each([true, false])(
      'what is folded away opens for a link into it (script: %s)',
      async javaScriptEnabled => {
        await withPage('sample', { javaScriptEnabled }, async ({ page }) => {
          await page.locator('#matrix-0-grid-0 tbody a').nth(1).click()
          const drawn = page.locator('.evidence:target a', { hasText: 'drawn to scale' })
          const id = (await drawn.getAttribute('href'))?.slice(1)
          await drawn.click()
          await expect.poll(() => page.locator(`[id="${id}"] svg`).isVisible()).toBe(true)
        })
      },
    )

    opens('a link to evidence works from outside', async () => {
      await withPage(
        'sample',
        {},
        async ({ page }) => {
          expect(await page.locator('.evidence:visible').getAttribute('id')).toBe('host-3')
        },
        '#host-3',
      )
    })
  })

  describe('without JavaScript', () => {
    opens('all is there, and nothing that would not work', async () => {
      await withPage('sample', { javaScriptEnabled: false }, async ({ page, complaints }) => {
        expect(await page.locator('button:visible').count()).toBe(0)
        await page.locator('.failure > details > summary').first().click()
        expect(await page.locator('.failure .example').first().isVisible()).toBe(true)
        expect(complaints).toEqual([])
      })
    })
  })

  describe('hostile texts', () => {
    opens('are text: no element, no handler, no dialog', async () => {
      await withPage('hostile', {}, async ({ page, complaints, requests }) => {
        await unfold(page)
        await page.mouse.move(200, 200)
        const found = await page.evaluate(partsOfPage)
        expect({ ...found, text: '' }).toEqual({ scripts: 1, styles: 1, foreign: 0, handlers: 0, text: '' })
        for (const text of [
          '</script><script>alert(1)</script>',
          '<svg onload=alert(1)>',
          'left\\u202eright',
        ])
          expect(found.text).toContain(text)
        expect(complaints).toEqual([])
        expect(requests).toHaveLength(1)
      })
    })
  })

  opens('on paper: what is only for screens is gone', async () => {
    await withPage('sample', {}, async ({ page }) => {
      await page.emulateMedia({ media: 'print' })
      expect(await page.locator('nav').isVisible()).toBe(false)
      expect(await page.locator('#summary table').first().isVisible()).toBe(true)
    })
  })
})
