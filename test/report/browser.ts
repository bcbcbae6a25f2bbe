/** A browser that is there already; none is fetched. */
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const names = ['chromium', 'chromium-browser', 'google-chrome']

const isRunnable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The first of them in PATH, or null. */
export const findChromium = (): string | null => {
  const folders = (process.env.PATH ?? '').split(':').filter(folder => folder !== '')
  return names.flatMap(name => folders.map(folder => join(folder, name))).find(isRunnable) ?? null
}

export const startChromium = (executablePath: string): Promise<Browser> =>
  chromium.launch({
    executablePath,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
