/** Explains a probe file: its frame on the machine that it was made for. */
import { type Generation, type GenerationId, generationOf, generations } from '../contract/generations.ts'
import type { Task } from '../contract/predict/task.ts'
import { taskElsewhere } from '../foreign/predict.ts'
import type { Explained, Oracle } from '../harness/explain.ts'
import type { Probe } from '../probe/session.ts'
import type { SavedProbe } from '../report/probe-file.ts'
import { ExplainedError, UsageError } from './errors.ts'
import { checkTarget, type Target, writeWhole } from './output-file.ts'
import { styleOf } from './terminal.ts'

export interface ExplainProbeFlags {
  readonly kernel?: GenerationId
  readonly c?: string
  readonly json?: true
}

/** That which was asked for, or that which the file names. */
const chosen = (
  { finding, kernel }: SavedProbe,
  wanted: GenerationId | undefined,
  file: string,
): Generation => {
  const id = wanted ?? finding?.generation ?? kernel?.generation ?? 'classic'
  if (!generations.some(one => one.id === id))
    throw new UsageError(
      `${file} names the generation ${JSON.stringify(id)}, of which nothing is known here: --kernel one of ${generations.map(one => one.id).join(' ')}`,
    )
  return generationOf(id)
}

const sameLayout = (one: SavedProbe['layout'], other: SavedProbe['layout']): boolean =>
  JSON.stringify(one) === JSON.stringify(other)

/** A session whose tasks have the frame's layout, or null. */
const sessionLike = async ({ layout, permissions }: SavedProbe): Promise<Probe | null> => {
  try {
    const { open } = await import('../probe/session.ts')
    const probe = await open({ permissions })
    if (sameLayout(probe.layout, layout)) return probe
    await probe.close()
  } catch {
    // Another kind of machine, or without the permission: then nobody is asked.
  }
  return null
}

/** What is assumed of a machine that is not here: what all CPUs with AVX-512, and most with AVX, are like. */
const elsewhere = ({ layout }: SavedProbe): Task => taskElsewhere({ layout, compacts: true, emulated: false })

const writeC = async (saved: SavedProbe, explained: Explained, target: Target): Promise<void> => {
  const [{ reproducibleProbe }, { cReproducer }, { beyondC }, { limitsOfLayout }] = await Promise.all([
    import('../reproducer/saved.ts'),
    import('../reproducer/reproducer.ts'),
    import('../reproducer/tables.ts'),
    import('../probe/geometry.ts'),
  ])
  const problem = explained.caveat ?? beyondC(saved)
  if (problem !== null) throw new ExplainedError(`${target.name} was not written: ${problem}`)
  await writeWhole(
    target,
    cReproducer(
      reproducibleProbe(saved, limitsOfLayout(saved.layout), explained.predicted, explained.generation.id),
    ),
  )
}

/** @param file how messages call it */
export const explainProbe = async (
  saved: SavedProbe,
  file: string,
  flags: ExplainProbeFlags,
): Promise<void> => {
  const target = flags.c === undefined ? null : checkTarget(flags.c, '--c')
  const [{ explain }, report, { askHardware, taskOf }] = await Promise.all([
    import('../harness/explain.ts'),
    import('../report/explain.ts'),
    import('../harness/task.ts'),
  ])
  const generation = chosen(saved, flags.kernel, file)
  const probe = await sessionLike(saved)
  try {
    const oracle: Oracle =
      probe === null ? null : (ask, before) => askHardware(probe, [{ ask, before }])[0] ?? null
    const explained = explain(saved, generation, probe === null ? elsewhere(saved) : taskOf(probe), oracle)
    if (typeof explained === 'string') throw new ExplainedError(`${file}: ${explained}`)
    process.stdout.write(
      flags.json
        ? report.explainJson(saved, explained)
        : report.explainText(saved, explained, styleOf(process.stdout)),
    )
    if (target === null) return
    await writeC(saved, explained, target)
    if (!flags.json) process.stdout.write(`As C: ${target.name}\n`)
  } finally {
    await probe?.close()
  }
}
