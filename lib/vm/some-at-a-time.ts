/** Work for many, of which only some may go on at a time. */

/** Does work for each, some at a time, each with a place of its own among them. */
export const someAtATime = async <T, P, R>(
  all: readonly T[],
  places: readonly P[],
  work: (one: T, place: P, index: number) => Promise<R>,
): Promise<R[]> => {
  const results = new Array<R>(all.length)
  let next = 0
  const worker = async (place: P): Promise<void> => {
    for (let i = next++; i < all.length; i = next++) results[i] = await work(all[i] as T, place, i)
  }
  // All are waited for, also where one fails: no machine may outlive this.
  const ended = await Promise.allSettled(places.map(worker))
  for (const one of ended) if (one.status === 'rejected') throw one.reason
  return results
}
