// Batches in which every probe has all images of its own that a request can have.
import { open, randomImage } from '../../../dist/lib/index.js'

const probe = await open()
const drawn = seed => randomImage(probe.layout, { seed })
const raise = probe.layout.xsave ? 'fake' : 'tgkill'
const requests = Array.from({ length: 400 }, (_, i) => ({
  raise,
  load: drawn(i),
  poison: drawn(1000 + i),
  sibling: drawn(2000 + i),
}))
const restored = probe
  .runMany(requests)
  .filter(
    (seen, i) => seen.kind === 'returned' && Buffer.compare(seen.before.bytes, requests[i].load.bytes) === 0,
  )
  .filter(seen => seen.layout.components.every(({ name }) => seen.state(name).restored))
console.log(`${restored.length} of ${requests.length} restored`)
await probe.close()
