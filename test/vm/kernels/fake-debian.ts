/** A Debian that exists in a folder only: its apt and dpkg, and what the mirror has. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bzImage } from './bz-image.ts'

const uri = 'http://example.org/debian/'

/**
 * All four programs. What they do is in the folder $FAKE: releases/<suite> are the suites, packages the kernels,
 * modes what goes wrong; log says what was called.
 */
const program = `#!/bin/sh
PATH=/usr/bin:/bin
name=\${0##*/} config= file= uris= call= rest=
while [ $# -gt 0 ]; do
  case $1 in
    -c) config=$2; shift ;;
    -o) file=\${2#*=}; shift ;;
    --print-uris) uris=1 ;;
    -*) ;;
    *) if [ -z "$call" ]; then call=$1; else rest="$rest $1"; fi ;;
  esac
  shift
done
mode() { [ -e "$FAKE/modes/$1" ]; }
log() { printf '%s\\n' "$*" >>"$FAKE/log"; }
fail() { printf '%s\\n' "$1" >&2; exit "\${2:-100}"; }
# In a process of its own, as apt's methods are.
hang() { sleep 120 & echo $! >"$FAKE/pid"; wait; }
update() {
  suites=$(sed -n 's/^Suites: //p' "$file" | tr '\\n' ' ')
  lists=$(sed -n 's/^Dir::State::lists "\\(.*\\)";/\\1/p' "$config")
  if [ -n "$uris" ]; then
    for suite in $suites; do echo "'${uri}dists/$suite/InRelease' \${suite}_InRelease 0 "; done
    return
  fi
  kind=ask
  if grep -q 'DefaultEnabled "true"' "$config"; then kind=update; fi
  log $kind $suites
  if mode busy && [ "$(cat "$FAKE/modes/busy")" -gt 0 ]; then
    echo $(($(cat "$FAKE/modes/busy") - 1)) >"$FAKE/modes/busy"
    fail "E: Could not get lock $lists/lock. It is held by process 1 (apt-get)"
  fi
  if mode hang-update && [ $kind = update ]; then hang; fi
  if mode no-network; then
    echo "W: Failed to fetch ${uri}dists/x/InRelease  Temporary failure resolving 'example.org'" >&2
    echo "W: Some index files failed to download. They have been ignored, or old ones used instead." >&2
    return
  fi
  if mode partial && [ $kind = update ]; then
    echo "W: Failed to fetch ${uri}dists/y/Packages  Connection timed out" >&2
  fi
  missing=0
  for suite in $suites; do
    cp "$FAKE/releases/$suite" "$lists/\${suite}_InRelease" 2>/dev/null || missing=1
  done
  if [ $missing = 1 ]; then fail "E: The repository '${uri}' does not have a Release file."; fi
}
download() {
  log download $rest
  if mode download-fails; then
    echo "E: Failed to fetch ${uri}x.deb  404  Not Found" >&2
    fail "E: Unable to fetch some archives, try again with --fix-missing."
  fi
  for spec in $rest; do echo "$spec" >"\${spec%%=*}_amd64.deb"; done
  if mode hang-download; then hang; fi
}
unpack() {
  log unpack "\${1##*/}"
  if mode unpack-fails; then fail "dpkg-deb: error: archive has premature member" 2; fi
  release=$(basename "$1" _amd64.deb | sed 's/^[a-z-]*-//')
  mkdir -p "$2/boot" "$2/usr/lib/modules/$release"
  if mode no-vmlinuz; then return; fi
  case $1 in
    */linux-base-*) echo CONFIG_X86=y >"$2/usr/lib/modules/$release/config" ;;
    *) cp "$FAKE/vmlinuz" "$2/boot/vmlinuz-$release" ;;
  esac
}
kernels() {
  while read -r package version; do
    case " $rest " in
      *" $package "*)
        if [ $call = madison ]; then echo " $package | $version | ${uri} trixie/main amd64 Packages"
        else printf 'Package: %s\\nVersion: %s\\nSize: 20000000\\n\\n' "$package" "$version"; fi ;;
    esac
  done <"$FAKE/packages"
}
case "$name $call" in
  apt-config*) printf "list='%s'\\nparts='%s'\\n" "$FAKE/sources.list" "$FAKE/parts" ;;
  'apt-get update') update ;;
  'apt-get download') download ;;
  'apt-cache pkgnames') sed 's/ .*//' "$FAKE/packages" ;;
  'apt-cache '*) kernels ;;
  dpkg-deb*) unpack "$call" "\${rest# }" ;;
  *) fail "E: Invalid operation $call" ;;
esac
`

export type Mode =
  | 'busy'
  | 'hang-update'
  | 'hang-download'
  | 'no-network'
  | 'partial'
  | 'download-fails'
  | 'unpack-fails'
  | 'no-vmlinuz'

export interface FakePackage {
  readonly name: string
  readonly version: string
}

export interface FakeDebian {
  readonly folder: string
  /** Of cacheFolder(). */
  readonly cache: string
  /** What makes a process meet this Debian and no other. */
  readonly env: Readonly<Record<'PATH' | 'FAKE' | 'SIGFRAME_CACHE', string>>
  readonly offer: (packages: readonly FakePackage[]) => void
  readonly set: (mode: Mode, text?: string) => void
  readonly clear: (mode: Mode) => void
  /** What was called, in order; the log starts anew. */
  readonly calls: () => readonly string[]
  readonly configure: (sourcesList: string) => void
  readonly release: (suite: string, text: string) => void
  /** Of the program that hangs, once it does. */
  readonly pid: () => number | undefined
  readonly remove: () => void
}

const releaseText = (suite: string, codename: string): string =>
  `Origin: Debian\nLabel: Debian\nSuite: ${suite}\nCodename: ${codename}\nDate: Fri, 30 Oct 2026 08:08:01 UTC\n`

export const kernel72: FakePackage = { name: 'linux-binary-7.2.12+deb13-cloud-amd64', version: '7.2.12-1' }
export const kernel61: FakePackage = { name: 'linux-image-6.1.0-56-cloud-amd64', version: '6.1.192-2' }
export const config72: FakePackage = { name: 'linux-base-7.2.12+deb13-cloud-amd64', version: '7.2.12-1' }

export const fakeDebian = (): FakeDebian => {
  const folder = mkdtempSync(join(tmpdir(), 'sigframe-debian-'))
  const at = (...parts: readonly string[]): string => join(folder, ...parts)
  for (const part of ['bin', 'releases', 'modes', 'parts']) mkdirSync(at(part))
  for (const name of ['apt-config', 'apt-get', 'apt-cache', 'dpkg-deb']) {
    writeFileSync(at('bin', name), program)
    chmodSync(at('bin', name), 0o755)
  }
  writeFileSync(at('vmlinuz'), bzImage())
  writeFileSync(at('log'), '')
  const configure = (text: string): void => writeFileSync(at('sources.list'), text)
  const release = (suite: string, text: string): void => writeFileSync(at('releases', suite), text)
  const offer = (packages: readonly FakePackage[]): void =>
    writeFileSync(at('packages'), packages.map(({ name, version }) => `${name} ${version}\n`).join(''))
  configure(`deb ${uri} trixie main\n`)
  release('trixie', releaseText('stable', 'trixie'))
  release('trixie-backports', releaseText('stable-backports', 'trixie-backports'))
  offer([kernel61, kernel72, config72])
  return {
    folder,
    cache: at('cache'),
    env: { PATH: at('bin'), FAKE: folder, SIGFRAME_CACHE: at('cache') },
    offer,
    configure,
    release,
    set: (mode, text = '') => writeFileSync(at('modes', mode), text),
    clear: mode => rmSync(at('modes', mode)),
    calls() {
      const text = readFileSync(at('log'), 'utf8')
      writeFileSync(at('log'), '')
      return text.split('\n').filter(Boolean)
    },
    pid() {
      const text = existsSync(at('pid')) ? readFileSync(at('pid'), 'utf8') : ''
      return text === '' ? undefined : Number(text)
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
