/** Names the neighbour of a database that is locked for as long as the database is in use. */
export const lockSuffix = ".lock"
