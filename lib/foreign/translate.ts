/** A kept frame for another host: as a kernel there would have written it. Pure. */
import { type Malformed, type TranslatedFrame, translateFrame } from '../frame/translate.ts'
import type { Host } from '../hosts/host.ts'
import { oneLine } from '../report/text.ts'
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { type Lacking, type TranslateOptions, translateImage } from '../xstate/translate.ts'
import { permittedIn } from './permitted.ts'
import type { SavedFrame } from './saved.ts'

/** A kept frame, and what became of the components on the way. */
export interface TranslatedSaved extends Pick<TranslatedFrame, 'kind' | 'carried' | 'dropped' | 'added'> {
  readonly saved: SavedFrame
}

export interface TranslateSavedOptions extends TranslateOptions {
  /** Whether the task on the host has asked its kernel for all that it may: AMX's tiles. */
  readonly permitted?: boolean
}

const longestText = 300

/** Of which machine, and for which: `from AMD EPYC 9654 (captured; 2440 bytes) for ice-lake-sp`. */
const originOf = ({ host, source, origin, layout }: SavedFrame, to: Host): string => {
  const cpu = host === null ? layout.vendor || 'an unknown CPU' : host.brand.trim() || host.vendor
  const how = origin === '' ? source : `${source}, ${origin}`
  const from = oneLine(`${cpu} (${how}; ${layout.size} bytes)`, longestText)
  return `from ${from} for ${oneLine(to.name, longestText)}`
}

/** What was in the registers, as the target has them; null where nobody knows, or it cannot have them. */
const imageFor = (image: XsaveImage | null, to: Layout, options: TranslateOptions): XsaveImage | null => {
  const translated = image === null ? null : translateImage(image, to, options)
  return translated?.kind === 'translated' ? translated.image : null
}

/**
 * The frame as a kernel of the host writes it for a task that has asked for nothing, with the registers' image. Machine
 * and kernel of the new frame are those of nobody; its head, pointers included, is the old one's, and so is its address.
 * @returns as `translateFrame`
 */
export const translateSaved = (
  frame: SavedFrame,
  to: Host,
  options: TranslateSavedOptions = {},
): TranslatedSaved | Lacking | Malformed => {
  const { layout, permissions } = options.permitted
    ? permittedIn(to.layout)
    : { layout: to.layout, permissions: [] }
  const translated = translateFrame(frame, layout, options)
  if (translated.kind !== 'translated') return translated
  const { kind, carried, dropped, added, head, fsave, fpstate, abi } = translated
  const saved: SavedFrame = {
    source: 'translated',
    origin: originOf(frame, to),
    host: null,
    kernel: null,
    layout,
    permissions,
    abi,
    address: frame.address,
    head,
    fsave,
    fpstate,
    image: imageFor(frame.image, layout, options),
    // Drawn for another layout: it would give another image.
    seed: null,
  }
  return { kind, carried, dropped, added, saved }
}
