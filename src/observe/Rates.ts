/** Events per second over the last minute, or since `startedAt` where that is less, by the clock that is never set. */
export const rateOfLastMinute = (startedAt: number) => {
  const slots = new Float64Array(60)
  let newest = Math.floor(startedAt / 1000)
  const advance = (now: number) => {
    const second = Math.floor(now / 1000)
    for (let step = Math.max(newest, second - 60); step < second; step++) slots[(step + 1) % 60] = 0
    newest = Math.max(newest, second)
  }
  const total = (now: number) => {
    advance(now)
    return slots.reduce((sum, count) => sum + count, 0)
  }
  return {
    total,
    add: (now: number, count: number) => {
      advance(now)
      slots[newest % 60] = (slots[newest % 60] ?? 0) + count
    },
    perSecond: (now: number) => {
      const seconds = Math.min(60, Math.max(1, (now - startedAt) / 1000))
      return total(now) / seconds
    }
  }
}

const [lastFinished, lastFinishedMillis] = [100, 3_600_000]

/** How the last orders ended. It shows at any pace whether orders fail now; a share of a period would not. */
export const recentEnds = (now: () => number) => {
  const ends: Array<{ readonly at: number; readonly failed: boolean }> = []
  return {
    add: (failed: boolean) => {
      if (ends.push({ at: now(), failed }) > lastFinished) ends.shift()
    },
    count: () => {
      const since = now() - lastFinishedMillis
      const recent = ends.filter(({ at }) => at >= since)
      return { finished: recent.length, failed: recent.filter(({ failed }) => failed).length }
    }
  }
}
