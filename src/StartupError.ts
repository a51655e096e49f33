import { Data } from "effect"

/** A start that cannot succeed until the operator changes something: one line per mistake, no stack trace. */
export class StartupError extends Data.TaggedError("StartupError")<{ readonly lines: ReadonlyArray<string> }> {
  override get message() {
    return this.lines.join("\n")
  }
}
