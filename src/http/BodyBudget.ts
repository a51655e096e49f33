import { bodyBytes, bulkBodyBytes, orderLimit } from "../api/BodyRules.ts"

/** The bytes of one request's body that are in memory. */
export interface Holding {
  /** Whether there is room for so many more bytes, which are counted if there is. */
  readonly add: (bytes: number) => boolean
  /** The request has ended, however it did. */
  readonly end: () => void
}

/**
 * Counts the bytes of all bodies in memory, as they arrive. Bulk bodies leave a part of the room to others, so that
 * clients that send large bodies slowly keep no single order out.
 */
export const makeBodyBudget = () => {
  let held = 0
  return (limit: number): Holding => {
    const room = limit > orderLimit ? bulkBodyBytes : bodyBytes
    let own = 0
    return {
      add: (bytes) => {
        if (held + bytes > room) return false
        held += bytes
        own += bytes
        return true
      },
      end: () => {
        held -= own
        own = 0
      }
    }
  }
}
