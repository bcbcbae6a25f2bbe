import { laterGeneration } from '../generation.ts'
import { classic } from './classic.ts'

export const regressed = laterGeneration(
  classic,
  {
    id: 'regressed',
    kernels: '6.15 to 6.17, 6.18.0 to 6.18.34, 6.19, 7.0.0 to 7.0.11',
    summary: 'looks for MAGIC2 at the host’s size and ignores the frame’s xstate_size',
    harm:
      'A frame from a CPU with fewer components silently loses all state above SSE (the upper halves of YMM ' +
      'first): a migrated process goes on with wrong numbers. Since 6.15 (dc8aa31a7ac2); repaired by ' +
      '44eeff9bc467 in 7.1, 7.0.12 and 6.18.35.',
    commits: 'since dc8aa31a7ac2, repaired by 44eeff9bc467',
  },
  { magic2At: 'user_size' },
)
