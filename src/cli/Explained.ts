import type { Schema } from "effect"

/** What an option takes, with one text for whatever else is given. */
export const explained = <A, I>(schema: Schema.Schema<A, I>, message: string) =>
  schema.annotations({ message: () => ({ message, override: true }) })
