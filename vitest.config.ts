import { defineConfig } from 'vitest/config'

const minute = 60_000
const long = Boolean(process.env.SIGFRAME_LONG)
const resultsFile = process.env.SIGFRAME_TEST_JSON

export default defineConfig({
  test: {
    globalSetup: './scripts/fresh-dist.mjs',
    // Tests start processes, kill them, and watch what is left. Those follow the thread that started them (PDEATHSIG),
    // and signals and exits are the whole process's: a test file gets a process of its own, not a thread.
    pool: 'forks',
    testTimeout: long ? 30 * minute : minute / 2,
    hookTimeout: long ? 30 * minute : minute,
    reporters: resultsFile ? ['default', ['json', { outputFile: resultsFile }]] : ['default'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/selftests/**'] },
      },
      {
        extends: true,
        test: {
          name: 'selftests',
          include: ['test/selftests/*.test.ts'],
          // After the others and one at a time: budgets of time are for a machine that does nothing else.
          sequence: { groupOrder: 1 },
          fileParallelism: false,
        },
      },
    ],
  },
})
