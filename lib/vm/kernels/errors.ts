/** What can go wrong with a kernel before it boots. */

/**
 * - `file`: what was given is no kernel.
 * - `name`: a version, or a name of a kernel, that cannot be read.
 * - `unknown`: no such version is to be had.
 * - `not-cached`: it was not fetched yet.
 * - `no-debian`: no kernels can be fetched on this machine: it has no apt, or no Debian archive.
 * - `mirror`: what is to be had could not be asked: no network, or a mirror that does not answer.
 * - `apt`: apt or dpkg failed.
 */
export type KernelProblem = 'file' | 'name' | 'unknown' | 'not-cached' | 'no-debian' | 'mirror' | 'apt'

/** The message is one line that says what was wrong, with what, and what to do. */
export class KernelError extends Error {
  override name = 'KernelError'
  readonly problem: KernelProblem

  constructor(problem: KernelProblem, message: string) {
    super(message)
    this.problem = problem
  }
}

export const isKernelError = (error: unknown, problem: KernelProblem): error is KernelError =>
  error instanceof KernelError && error.problem === problem
