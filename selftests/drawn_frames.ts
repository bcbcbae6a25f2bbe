/** Frames that nobody thought of: drawn at random, each held to what the contract as a program says of it. */
import { selftest } from '../lib/harness/selftest.ts'
import { drawnFrames } from '../lib/harness/trials/drawn.ts'

const commit = 'sigframe fuzz draws the same, and shrinks what differs'

export default selftest('drawn_frames', {
  summary: 'Frames drawn at random are treated as the contract says, down to the bytes of the registers.',
  variants: 'once',
  cases: {
    as_predicted: {
      summary:
        'Two thousand frames, or as many as fit in a second, end and leave every register as predicted.',
      rule: 'any-frame-as-predicted',
      commit,
      trial: drawnFrames(2000, 300),
    },
    many_as_predicted: {
      summary: 'Two hundred thousand do, or as many as fit in a minute.',
      rule: 'any-frame-as-predicted',
      commit,
      long: true,
      trial: drawnFrames(200_000, 60_000),
    },
  },
})
