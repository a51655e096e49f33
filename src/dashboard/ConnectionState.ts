export type ConnectionState =
  | { readonly kind: "live" }
  /**
   * The service answers, but no events come: no stream is open, it is silent, or the key is not good for it. Lists are
   * read again and again.
   */
  | { readonly kind: "polling"; readonly why: "closed" | "silent" | "scope" }
  /** The service does not answer, or takes no more requests for a while. */
  | { readonly kind: "lost"; readonly since: number; readonly why: string; readonly isLimit?: boolean }
  /** The service asks for a key. */
  | { readonly kind: "asking"; readonly since: number; readonly why: string }
