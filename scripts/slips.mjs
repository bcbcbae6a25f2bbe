// Which mistakes of a kernel are noticed, and by whom: prints the table of the simulated kernels' slips (test/contract/),
// or `npm run slips -- 'NULL is rejected'` some of it. It is TypeScript, which not every supported Node runs: the server
// that comes with vitest loads it.
import { fileURLToPath } from 'node:url'
import { createViteServer } from 'vitest/node'

const root = fileURLToPath(new URL('..', import.meta.url))

const server = await createViteServer({
  root,
  configFile: false,
  appType: 'custom',
  logLevel: 'error',
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, watch: null, ws: false, hmr: false },
})
try {
  const { printTable } = await server.ssrLoadModule('/test/contract/slip-table.ts')
  process.exitCode = printTable(process.argv.slice(2), line => console.log(line)) ? 0 : 1
} catch (error) {
  if (!(error instanceof RangeError)) throw error
  console.error(error.message)
  process.exitCode = 64
} finally {
  await server.close()
}
