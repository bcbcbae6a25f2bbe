/** What of the C program a file needs: what it does not need is left out, so that what is there can be read. */
export interface Uses {
  /** 32-bit frames, or a raise from 32-bit code. */
  readonly ia32: boolean
  readonly x32: boolean
  readonly fake: boolean
  readonly timer: boolean
  /** Another process that sends the signal. */
  readonly sibling: boolean
  /** The thread spins until the signal comes. */
  readonly spin: boolean
  /** An alternate signal stack for the frame. */
  readonly stack: boolean
  readonly closedKey: boolean
  /** The second buffer. */
  readonly spare: boolean
  readonly pages: boolean
  /** Components that the kernel has to be asked for. */
  readonly permission: boolean
  /** KTAP instead of plain text. */
  readonly ktap: boolean
}

export const when = (condition: boolean, text: string): string => (condition ? text : '')
