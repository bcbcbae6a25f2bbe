/** What runs in the page has no types of Node's: here is what comes back. */
export declare const contrasts: () => { checked: number; low: string[] }
export declare const horizontal: () => string[]
export declare const focusOutlines: () => { at: number; outline: string }
export declare const openDetails: () => void
export declare const showEvidence: () => void
export declare const countUsable: () => number
export declare const focused: () => { label: string; inEvidence: boolean }
export declare const partsOfPage: () => {
  scripts: number
  styles: number
  foreign: number
  handlers: number
  text: string
}
