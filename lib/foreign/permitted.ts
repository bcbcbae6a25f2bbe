/** A task that has asked its kernel for all that it may: AMX's tiles. Pure. */
import { type ComponentName, componentAt, maskOf } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import type { SavedFrame } from './saved.ts'

/** What a task of a layout can still ask its kernel for: what IA32_XFD keeps from it. */
const permissibleOf = (layout: Layout): ComponentName[] => {
  const withheld = layout.hostFeatures & ~layout.features
  return layout
    .toJSON()
    .components.filter(({ index, xfd }) => xfd && (withheld & componentAt(index).mask) !== 0n)
    .map(({ index }) => componentAt(index).name)
}

/** Of a task that has asked for them, and for what; as it was where a file says of them what cannot be. */
export const permittedIn = (layout: Layout): Pick<SavedFrame, 'layout' | 'permissions'> => {
  const permissions = permissibleOf(layout)
  try {
    return { layout: layout.withFeatures(layout.features | maskOf(permissions)), permissions }
  } catch {
    return { layout, permissions: [] }
  }
}
