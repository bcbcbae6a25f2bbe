import { laterGeneration } from '../generation.ts'
import { portable } from './portable.ts'

export const larger = laterGeneration(
  portable,
  {
    id: 'larger',
    kernels: 'none that is merged (proposed: v3 09/10 and 10/10 of 15 June 2026)',
    summary: 'as portable, and accepts frames larger than the task’s own',
  },
  { aboveUserSize: 'believed' },
)
