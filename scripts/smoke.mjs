// One probe through the package as its users import it: for another Node, another build, an installed tarball.
import { open } from 'sigframe'

const probe = await open()
try {
  const seen = probe.runSync({})
  console.log(`node ${process.version}: ${seen.kind}`)
  if (seen.kind !== 'returned') process.exitCode = 1
} finally {
  await probe.close()
}
