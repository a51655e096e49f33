/** How many event streams the service has open at a time. */
export const maxStreams = 100

/** How many of them a key may have, or an address without one. */
export const maxOwnStreams = 10
