import { firstGeneration } from '../generation.ts'

export const classic = firstGeneration(
  {
    id: 'classic',
    kernels: 'up to 6.14; 6.18.35+, 7.0.12+, 7.1 to 7.3',
    summary: 'believes the frame’s xstate_size, does not ask whether it is large enough',
  },
  {
    magic2At: 'xstate_size',
    aboveUserSize: 'fx-only',
    magic2Room: 'not asked',
    tooSmall: 'read beyond',
    faultsIn: 'user_size',
  },
)
