/** Orders are fetched ahead for as many milliseconds, at the pace at which runs end here: then a worker has each. */
const ahead = 500
/** After how many milliseconds in which no run ended here the orders in line are given back, as other nodes may be free. */
const stuck = 1000

/** How fast the workers of a node get through their orders, and so how many it may have in hand. */
export const makeJobPace = (workers: number, now: () => number) => {
  /** When runs ended of late. */
  const ends: Array<number> = []
  let lastEnd = now()
  return {
    ended: () => {
      lastEnd = now()
      ends.push(lastEnd)
    },
    /** How many orders there is a worker for, or will be soon: those that run, and those that wait to. */
    room: () => {
      const since = now() - ahead
      while ((ends[0] ?? since) < since) ends.shift()
      return workers + Math.min(workers, ends.length)
    },
    /** Whether all workers are busy and none has ended a run for a while. */
    isStuck: (running: number) => running >= workers && now() - lastEnd >= stuck
  }
}
