// Random requests of the kind that a kernel should refuse, or take without harm: for scripts/hostile.mjs. The same seed
// draws the same ones on the same host.
import { frameShape, randomComponent, randomImage } from 'sigframe'

/** Numbers that are the same for the same seed: xorshift32. */
export class Random {
  #state

  constructor(seed) {
    this.#state = Math.imul(seed, 0x9e37_79b1) | 0 || 1
  }

  next() {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x
  }

  below(n) {
    return (this.next() >>> 0) % n
  }

  oneIn(n) {
    return this.below(n) === 0
  }

  pick(values) {
    return values[this.below(values.length)]
  }

  wide() {
    return (BigInt(this.next() >>> 0) << 32n) | BigInt(this.next() >>> 0)
  }

  bytes(length) {
    return Uint8Array.from({ length }, () => this.next() >>> 11)
  }
}

const areaFields = [
  ['sw.magic1', 4],
  ['sw.extendedSize', 4],
  ['sw.xfeatures', 8],
  ['sw.xstateSize', 4],
  ['xstateBv', 8],
  ['xcompBv', 8],
  ['mxcsr', 4],
  ['fcw', 2],
  ['fsw', 2],
]
const page = 4096
const MAGICs = [0x4650_5853, 0x4650_5845]

/** What is drawn from, for a session. */
export function createDraw(probe) {
  const { layout, limits } = probe
  const abis = ['x86_64', 'ia32-rt', 'ia32', 'x32'].filter(abi => has(probe, abi))
  const raises = [
    'tgkill',
    ...(probe.lack('ia32') === null ? ['tgkill32'] : []),
    ...(layout.xsave ? ['fake'] : []),
  ]
  const images = Array.from({ length: 48 }, (_, seed) => randomImage(layout, { seed }))
  // Sizes that mean something, and their neighbours.
  const ends = [0, 4, 464, 512, 576, layout.size, ...layout.components.map(({ end }) => end)]
  const sizes = [...new Set(ends.flatMap(end => [end - 1, end, end + 1, end + 4, end + 64]))].filter(
    n => n >= 0,
  )
  const pkru = layout.has('pkru') ? layout.component('pkru').offset : undefined
  const { stackBytes } = { stackBytes: 8 * page }

  /** A request, and whether it may end the process that it runs in by locking that out of its own memory. */
  return function draw(random) {
    const abi = random.pick(abis)
    const isolated = random.oneIn(128)
    const shape = frameShape(abi)
    const edit = new Edit(random, { layout, limits, shape, sizes, pkru })
    const moved = random.below(3)
    const count = 1 + random.below(5)
    const moveAfter = random.below(count)
    for (let i = 0; i < count; i++) {
      edit.one()
      if (moved > 0 && i === moveAfter) edit.move()
    }
    if (isolated) edit.beyond()
    const mayLockOut = edit.finish()
    const request = {
      abi,
      raise: random.oneIn(4) ? random.pick(raises) : 'tgkill',
      load: random.pick(images),
      edit: edit.ops,
    }
    if (isolated && random.oneIn(4)) request.raise = random.pick(['blocked', 'timer', 'ipi'])
    if (isolated && request.raise !== 'fake' && random.oneIn(4))
      request.stack = {
        bytes: random.pick([1, 2048, 4096, stackBytes]),
        state: random.pick(['plain', 'fresh', 'readonly', 'unreadable', 'late', 'closed-key']),
      }
    return { request, mayLockOut }
  }
}

function has(probe, abi) {
  return probe.lack(abi) === null
}

/** One edit as it is drawn: all of it within the limits, so that it is the kernel that refuses. */
class Edit {
  ops = []
  #random
  #host
  #room
  #reach
  #moved = false
  #mayLockOut = false

  constructor(random, host) {
    this.#random = random
    this.#host = host
    const { frameBytes, inPlaceBytes, spareBytes } = host.limits
    // What is edited in place has to fit the second buffer too.
    this.#room = Math.min(inPlaceBytes, spareBytes - page, frameBytes + 512)
    this.#reach = frameBytes
  }

  #place(length) {
    const random = this.#random
    const { limits, layout } = this.#host
    const last = Math.max(0, Math.min(this.#room, limits.frameBytes + 64) - length)
    const near = [0, 24, 28, 464, 512, 520, 528, layout.size - 4, layout.size, layout.size + 4]
    const at = random.oneIn(2) ? random.below(last + 1) : random.pick(near) + random.below(8) - 4
    return Math.max(0, Math.min(at, last))
  }

  #value(width) {
    const random = this.#random
    const bits = 8n * BigInt(width)
    const { layout } = this.#host
    const drawn = random.pick([
      () => random.wide(),
      () => 1n << BigInt(random.below(64)),
      () => (1n << BigInt(random.below(64))) - 1n,
      () => BigInt(random.pick(this.#host.sizes)),
      () => BigInt(random.pick(MAGICs)),
      () => layout.features ^ (1n << BigInt(random.below(20))),
      () => layout.features & random.wide(),
      () => 0n,
    ])()
    return BigInt.asUintN(Number(bits), drawn)
  }

  /** Remembers how far the edit reaches, and what it may have closed. */
  #touched(at, length) {
    this.#reach = Math.max(this.#reach, at + length)
    const { pkru } = this.#host
    if (pkru !== undefined && at <= pkru && at + length > pkru) this.#mayLockOut = true
  }

  one() {
    const random = this.#random
    const { layout, sizes, shape } = this.#host
    switch (random.below(shape.fsave ? 12 : 10)) {
      case 0:
      case 1: {
        const bytes = random.bytes(1 + random.below(random.pick([1, 4, 64])))
        const at = this.#place(bytes.length)
        if (at + bytes.length > this.#room) return
        this.ops.push({ op: 'write', at, bytes })
        this.#touched(at, bytes.length)
        return
      }
      case 2:
      case 3: {
        const [field, width] = random.pick(areaFields)
        this.#field(field, width, random.pick(width > 2 ? ['set', 'and', 'or', 'xor'] : ['set']))
        return
      }
      case 4: {
        const length = 1 + random.below(96)
        const at = this.#place(length)
        if (at + length > this.#room) return
        this.ops.push({ op: 'fill', at, length, value: random.pick([0, 0xff, random.below(256)]) })
        this.#touched(at, length)
        return
      }
      case 5: {
        const placed = random.pick(layout.components)
        // Its bit is in the header.
        if (Math.max(placed.end, 528) > this.#room) return
        const bytes = new Uint8Array(Math.max(placed.end, 576))
        randomComponent(bytes, layout, placed.name, random)
        this.ops.push({ op: 'component', name: placed.name, bytes: bytes.slice(placed.offset, placed.end) })
        return
      }
      case 6:
        // The fields of the sw bytes end at 484.
        if (this.#room < 484) return
        this.ops.push({
          op: 'resize',
          xstateSize: random.oneIn(8) ? random.next() >>> 4 : random.pick(sizes),
        })
        return
      case 7: {
        const at = Math.min(random.pick(sizes), this.#room - 4)
        if (at < 0) return
        this.ops.push({ op: 'magic2', at, clearTail: random.oneIn(2) })
        this.#touched(at, 4)
        return
      }
      case 8:
        if (layout.xsave) this.#field('sw.xfeatures', 8, 'set')
        return
      case 9:
        if (random.oneIn(3)) this.#pointer()
        return
      default:
        this.#fsave()
    }
  }

  #field(field, width, op) {
    // The fields of the header end at 528.
    if (this.#room < 528) return
    this.ops.push({ op, field, value: this.#value(width) })
  }

  #fsave() {
    const random = this.#random
    const at = random.below(112)
    this.ops.push({ op: 'write', region: 'fsave', at, bytes: random.bytes(1 + random.below(112 - at)) })
  }

  #pointer() {
    const random = this.#random
    const { width } = this.#host.shape.fields.fpstate
    const far = [
      0n,
      1n,
      8n,
      64n,
      4096n,
      1n << 31n,
      (1n << 32n) - 64n,
      1n << 47n,
      1n << 63n,
      (1n << 64n) - 4096n,
    ]
    this.ops.push(
      random.oneIn(2)
        ? {
            op: 'pointer',
            by: random.pick([1, -1, 8, 64, -64, 112, -112, 4096, -4096, random.below(65_536) - 32_768]),
          }
        : {
            op: 'pointer',
            address: BigInt.asUintN(8 * width, random.oneIn(3) ? random.wide() : random.pick(far)),
          },
    )
  }

  move() {
    const random = this.#random
    const { limits } = this.#host
    const most = limits.spareBytes - this.#reach
    if (this.#moved || most < 0) return
    this.#moved = true
    if (random.oneIn(2)) {
      const at = random.oneIn(2) ? random.below(most + 1) & ~63 : random.below(most + 1)
      this.ops.push({ op: 'move', at })
      this.#room = Math.min(this.#room, limits.spareBytes - at)
    } else {
      const guardAt = Math.max(
        1,
        Math.min(limits.spareBytes, random.pick(this.#host.sizes) + random.below(3) * 64),
      )
      this.ops.push({ op: 'move', guardAt })
      this.#room = Math.min(this.#room, guardAt)
    }
  }

  /** What a process cannot survive. */
  beyond() {
    const random = this.#random
    const { abi, fields, headBytes } = this.#host.shape
    const set = (field, value) => {
      const place = fields[field]
      if (place === undefined) return
      this.ops.push({
        op: 'set',
        field: `head.${field}`,
        value: BigInt.asUintN(8 * place.width, BigInt(value)),
      })
    }
    const mask = abi === 'ia32' ? 'oldmask' : 'sigmask'
    // Not into the probe's own code, which would go on from there; and what it needs of the stack is its own.
    const kinds = [
      () => set('rip', random.pick([0, 1, page, 1n << 62n, 1n << 63n, 0xffff_f000, 0xffff_ffff_8000_0000n])),
      () => set('rsp', random.wide()),
      () => set('rbx', random.pick([0, 8, 1n << 63n])),
      () => set('eflags', random.oneIn(2) ? random.wide() : 1n << BigInt(random.below(22))),
      () => set(random.pick(['cs', 'ss']), random.pick([0, 0x10, 0x18, 0xfff8, 0x7b])),
      () => set(random.pick(['fs', 'gs', 'ds', 'es']), random.wide()),
      () => set(mask, random.oneIn(2) ? (1n << 64n) - 1n : random.wide()),
      () =>
        set(random.pick(['ucStackSp', 'ucStackFlags', 'ucStackSize', 'ucFlags', 'ucLink']), random.wide()),
      () =>
        set(random.pick(['rax', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'cr2', 'err', 'trapno']), random.wide()),
      () => {
        const at = headBytes - 8
        this.ops.push({ op: 'write', region: 'head', at, bytes: random.bytes(8) })
      },
    ]
    if (random.oneIn(3)) this.#pages()
    for (let i = random.below(4); i >= 0; i--) random.pick(kinds)()
  }

  #pages() {
    const random = this.#random
    if (!this.#moved) this.move()
    if (!this.#moved) return
    // What was taken away first cannot be served: so serving comes first.
    const states = ['late', 'evicted', 'readonly', 'unreadable', 'hole', 'contended']
    let from = 0
    for (let i = random.below(2); i >= 0; i--) {
      const at = random.below(this.#room)
      const length = 1 + random.below(this.#room - at)
      const index = from + random.below(states.length - from)
      this.ops.push({ op: 'pages', at, length, state: states[index] })
      from = Math.max(from, Math.min(index, 1))
    }
  }

  /** Opens what was closed, mostly: a process that is replaced takes the time of thousands that are not. */
  finish() {
    const { pkru } = this.#host
    if (pkru === undefined) return false
    if (this.#mayLockOut && !this.#random.oneIn(100) && pkru + 1 <= this.#room) {
      this.ops.push({ op: 'write', at: pkru, bytes: Uint8Array.of(this.#random.below(64) << 2) })
      return false
    }
    return this.#mayLockOut
  }
}

const calls = {
  write: (frame, { at, bytes, region }) =>
    region === 'fsave' ? frame.writeFsave(at, bytes) : frame.write(at, bytes),
  set: (frame, { field, value }) => frame.set(field, value),
  and: (frame, { field, value }) => frame.set(field, frame.get(field) & value),
  or: (frame, { field, value }) => frame.set(field, frame.get(field) | value),
  xor: (frame, { field, value }) => frame.set(field, frame.get(field) ^ value),
  fill: (frame, { at, length, value }) => frame.fill(at, length, value),
  component: (frame, { name, bytes }) => frame.setComponent(name, bytes),
  resize: (frame, { xstateSize }) => frame.resize(xstateSize),
  magic2: (frame, op) => frame.placeMagic2(op),
  move: (frame, { at }) => frame.move({ at }),
  pointer: (frame, { address }) => {
    frame.fpstatePointer = address
  },
}

/** The same edit as a callback makes it; undefined where no callback can. */
export function asCallback(ops) {
  const cannot = op =>
    calls[op.op] === undefined ||
    op.region === 'head' ||
    String(op.field).startsWith('head.') ||
    op.guardAt !== undefined ||
    op.by !== undefined
  if (ops.some(cannot)) return undefined
  return frame => {
    for (const op of ops) calls[op.op](frame, op)
  }
}
