/**
 * The ids of cases: `<selftest>/<case>/<abi>/<components>`, the last with `@<permission>` where the session has
 * one. Components are joined by `+`; `all` are all that the task has, `legacy` none but x87 and SSE. Stable: bundles are compared by them.
 */
import type { ComponentName } from '../xstate/components.ts'

export interface CaseId {
  readonly selftest: string
  readonly case: string
  readonly abi: string
  readonly components: readonly ComponentName[] | 'all'
  readonly permissions: readonly ComponentName[]
}

export const formatId = ({ selftest, case: name, abi, components, permissions }: CaseId): string => {
  const set = components === 'all' ? 'all' : components.join('+') || 'legacy'
  const permitted = permissions.length > 0 ? `@${permissions.join('+')}` : ''
  return `${selftest}/${name}/${abi}/${set}${permitted}`
}

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/**
 * Whether an id is selected by a pattern: a selftest's name, an id, or the beginning of an id up to a slash; `*`
 * stands for anything.
 */
export const matcher = (pattern: string): ((id: string) => boolean) => {
  const regex = new RegExp(`^${pattern.split('*').map(literal).join('.*')}(/.*)?$`)
  return id => regex.test(id)
}
