/** The milliseconds for a test that takes over a second by itself: even a machine ten times slower is in time. */
export const longTest = 120_000
