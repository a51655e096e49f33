export type ConnectionState =
  | { readonly kind: "live" }
  /** The service answers, but no events come: no stream is open, or it is silent. Lists are read again and again. */
  | { readonly kind: "polling"; readonly why: "closed" | "silent" }
  | { readonly kind: "lost"; readonly since: number; readonly why: string }
