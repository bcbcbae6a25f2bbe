import { laterGeneration } from '../generation.ts'
import { classic } from './classic.ts'

export const portable = laterGeneration(
  classic,
  {
    id: 'portable',
    kernels: 'x86/fpu since 3d69596c684b..391cac638edd, expected in 7.4',
    summary: 'believes the frame’s xstate_size and rejects one that is too small',
  },
  { magic2Room: 'asked', tooSmall: 'rejected', faultsIn: 'required size' },
)
