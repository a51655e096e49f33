/** For how long a server may take to connect, in milliseconds. */
export const connectMillis = 5000

/**
 * For how long a statement waits for its answer, in milliseconds. A server that vanished never gives one, nor closes the
 * connection.
 */
export const answerMillis = 30_000
/** The same for the statements of a move, each of which may be about all that there is: its COMMIT above all. */
export const moveAnswerMillis = 3_600_000

/** For how long a connection may take to end in order, in milliseconds. */
export const endMillis = 2000
