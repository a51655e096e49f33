import * as Command from "@effect/cli/Command"
import { Effect } from "effect"

/** The built service beside the built command line, so that no other command has to load it. */
const program = () => import(new URL("main.js", import.meta.url).href)

/** The service's own program takes over: it sets up its signals, its log and its exit code. */
export const serve = Command.make("serve", {}, () => Effect.asVoid(Effect.promise(program))).pipe(
  Command.withDescription("Run the service, with settings from the environment")
)
