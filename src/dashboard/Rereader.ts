/** What is shown is read again this often at most. */
const rereadMillis = 1000
const waitMillis = 250

interface Reading<A> {
  readonly read: () => Promise<A>
  /** Returns whether the answer was shown; it is read again if not. */
  readonly show: (answer: A) => boolean
  /** Returns whether it is worth being read again. */
  readonly fail: (error: unknown) => boolean
  /** Whether what is shown must stay as it is for now. */
  readonly isHeld: () => boolean
}

/** Reads what may have changed again, once a second at most, and not while it is held. The last reading begun counts. */
export const rereader = <A>({ fail, isHeld, read, show }: Reading<A>) => {
  let isStale = false
  let current: symbol | undefined
  let readAt = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Ends what was begun, without its answer. */
  const stop = () => {
    clearTimeout(timer)
    timer = undefined
    current = undefined
    isStale = false
    readAt = performance.now()
  }

  const start = async () => {
    stop()
    const own = Symbol()
    current = own
    const answered = await read().then(
      (answer) => () => show(answer) && !isStale,
      (error) => () => !fail(error)
    )
    // Meanwhile another reading was begun, or none is wanted.
    if (current !== own) return
    current = undefined
    readAt = performance.now()
    isStale = !answered()
    if (isStale) later()
  }

  const later = () => {
    if (timer !== undefined || current !== undefined) return
    timer = setTimeout(
      () => {
        timer = undefined
        if (isHeld()) return later()
        if (isStale) start()
      },
      Math.max(waitMillis, readAt + rereadMillis - performance.now())
    )
  }

  return {
    /** Reads at once, instead of what is being read. */
    start,
    stop,
    /** Reads again, soon. */
    refresh: () => {
      isStale = true
      later()
    },
    isReading: () => current !== undefined
  }
}
