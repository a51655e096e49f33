/** So many in a window of time: full at first, and filled again evenly as time goes by a clock that is never set. */
export class TokenBucket {
  readonly quota: number
  readonly windowSeconds: number
  readonly #millisEach: number
  readonly #now: () => number
  #tokens: number
  #filledAt: number

  constructor(quota: number, windowSeconds: number, now: () => number) {
    this.quota = quota
    this.windowSeconds = windowSeconds
    this.#millisEach = (windowSeconds * 1000) / quota
    this.#now = now
    this.#tokens = quota
    this.#filledAt = now()
  }

  #fill() {
    const now = this.#now()
    this.#tokens = Math.min(this.quota, this.#tokens + (now - this.#filledAt) / this.#millisEach)
    this.#filledAt = now
  }

  /** Takes as many as there are, up to that many: how many were taken. */
  take(count: number) {
    this.#fill()
    const taken = Math.min(count, this.left)
    this.#tokens -= taken
    return taken
  }

  /** As of the last look. */
  get left() {
    return Math.floor(this.#tokens)
  }

  /** Seconds until as many more have come, of which the first may be there at once; at least 1. */
  secondsUntil(count: number) {
    return Math.max(1, Math.ceil(((count - this.#tokens) * this.#millisEach) / 1000))
  }

  /** Seconds until all are there again. */
  get secondsUntilFull() {
    return Math.ceil(((this.quota - this.#tokens) * this.#millisEach) / 1000)
  }
}
