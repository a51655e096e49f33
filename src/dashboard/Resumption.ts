import type { StreamBlock } from "./EventParser.ts"

/** Whoever was away for longer, or has missed more changes, is done sooner by reading again what is shown. */
const longestAwayMillis = 120_000
const mostMissed = 1000

/** From where a stream of events is to be read. `now` is in milliseconds, and goes on while the computer sleeps. */
export const resumption = (now: () => number) => {
  let place: number | undefined
  let signAt = 0
  let openedAt = Number.NaN
  let missed = 0
  return {
    /** The id of the last change that came; nothing if it is to begin from now on, with what is shown read again. */
    place: () => {
      if (now() - signAt > longestAwayMillis) place = undefined
      return place
    },
    /** The stream is opened, at that time by the service's clock. */
    opened: (serviceTime: number) => {
      openedAt = serviceTime
      missed = 0
    },
    sign: () => {
      signAt = now()
    },
    /** Takes what came. Returns whether it is of use: if not, the stream is to be opened from now on. */
    goesOnWith: (block: StreamBlock) => {
      if (block.event !== undefined && Date.parse(block.event.at) < openedAt) missed += 1
      const goesOn = !block.isReset && missed <= mostMissed
      place = goesOn ? (block.place ?? place) : undefined
      return goesOn
    }
  }
}
