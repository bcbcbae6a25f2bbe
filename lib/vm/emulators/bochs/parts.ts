/** What a machine under Bochs is made of, where it is, and which package brings what is missing. */

export interface Part {
  readonly what: string
  /** Of Debian and its like. */
  readonly package: string
  /** Where it may be: Debian's path first, others' after it. */
  readonly paths: readonly string[]
}

/** Files that must be there, whatever else is. */
export const parts = {
  bios: {
    what: 'the BIOS',
    package: 'bochsbios',
    paths: ['/usr/share/bochs/BIOS-bochs-latest', '/usr/local/share/bochs/BIOS-bochs-latest'],
  },
  vgaBios: {
    what: 'the VGA BIOS',
    package: 'vgabios',
    paths: [
      '/usr/share/bochs/VGABIOS-lgpl-latest',
      '/usr/share/vgabios/vgabios.bin',
      '/usr/local/share/bochs/VGABIOS-lgpl-latest',
      // As it is called from 2.8 on.
      '/usr/local/share/bochs/VGABIOS-lgpl-latest.bin',
      '/usr/share/bochs/VGABIOS-lgpl-latest.bin',
    ],
  },
  isolinux: {
    what: 'isolinux.bin',
    package: 'isolinux',
    paths: [
      '/usr/lib/ISOLINUX/isolinux.bin',
      '/usr/share/syslinux/isolinux.bin',
      '/usr/lib/syslinux/bios/isolinux.bin',
    ],
  },
  ldlinux: {
    what: 'ldlinux.c32',
    package: 'syslinux-common',
    paths: [
      '/usr/lib/syslinux/modules/bios/ldlinux.c32',
      '/usr/share/syslinux/ldlinux.c32',
      '/usr/lib/syslinux/bios/ldlinux.c32',
    ],
  },
} as const satisfies Readonly<Record<string, Part>>

export type PartName = keyof typeof parts

/** What Bochs says of itself. */
export interface BochsHelp {
  readonly version: string
  readonly models: readonly string[]
  /** Whether it is built with the debugger, which waits for a command before it starts. */
  readonly debugs: boolean
  /** Where its displays are; null where they are not separate files. */
  readonly plugins: string | null
}

/**
 * @param usage what `bochs --help` prints
 * @param cpus what `bochs --help cpu` prints
 */
export const helpOf = (usage: string, cpus: string): BochsHelp => ({
  version: /Bochs x86 Emulator (\S+)/.exec(cpus + usage)?.[1] ?? 'of unknown version',
  models: (cpus.split('Supported CPU models:')[1] ?? '').split('\n').filter(line => /^\w+$/.test(line)),
  debugs: /^\s*-rc\s/m.test(usage),
  plugins: /compile time default '([^']+)'/.exec(usage)?.[1] ?? null,
})

/** The display that needs neither a screen nor a port: its name up to 2.6, and after. */
export const displayFiles = ['libbx_term_gui.so', 'libbx_term.so']

/** What was found. */
export interface Inventory {
  readonly help: BochsHelp | null
  readonly display: boolean
  readonly xorriso: boolean
  readonly setpriv: boolean
  readonly files: Readonly<Record<PartName, string | null>>
}

/** What is missing and how it is had, in one line; null where nothing is. */
export const missingText = ({ help, display, xorriso, setpriv, files }: Inventory): string | null => {
  const missing = [
    ...(help === null ? [{ what: 'bochs', package: 'bochs' }] : []),
    // Without Bochs there is no saying where its displays would be.
    ...(display ? [] : [{ what: "Bochs' display term", package: 'bochs-term' }]),
    ...(Object.keys(parts) as PartName[]).filter(name => files[name] === null).map(name => parts[name]),
    ...(xorriso ? [] : [{ what: 'xorriso', package: 'xorriso' }]),
    ...(setpriv ? [] : [{ what: 'setpriv', package: 'util-linux' }]),
  ]
  if (missing.length === 0) return null
  const whats = missing.map(({ what }) => what)
  const last = whats.pop() as string
  const list = whats.length === 0 ? `${last} is` : `${whats.join(', ')} and ${last} are`
  return `${list} missing: on Debian apt-get install --no-install-recommends ${missing.map(one => one.package).join(' ')} brings what it takes`
}
