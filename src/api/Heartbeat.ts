/** A stream of events sends a comment after so many seconds without an event. */
export const heartbeatSeconds = 15

/** A stream that has sent nothing for so many seconds is dead: three heartbeats are missing. */
export const deadAfterSeconds = 3 * heartbeatSeconds
