/** Patch series that are proposed and make no generation: what they bring is no treatment of a frame. */

export interface Proposal<Id extends string = string> {
  readonly id: Id
  /** One sentence for people. */
  readonly summary: string
}

const all = [
  {
    id: 'hwcap-inheritance',
    summary: 'what is executed inherits the HWCAPs that a process has set for itself',
  },
] as const satisfies readonly Proposal[]

export type ProposalId = (typeof all)[number]['id']

export const proposals: readonly Proposal<ProposalId>[] = Object.freeze(all)
