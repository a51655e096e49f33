/** What a node says of itself to the others. */
export interface NodeReport {
  readonly name: string
  readonly role: string
  readonly version: string
  /** For how many milliseconds it has been up. */
  readonly up: number
  /** A text that nodes understand, and the database does not. */
  readonly figures: string
}

/** What is known of a node, by the database's clock in milliseconds since 1970. */
export interface NodeRow extends Omit<NodeReport, "up"> {
  readonly since: number
  readonly heard_at: number
  /** For how many milliseconds it had not been heard of when this was read. */
  readonly silent: number
}
