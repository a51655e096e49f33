import { it, makeMethods } from "@effect/vitest"

// `layer` replaces the methods of `it` and leaves them so, and the files of one worker share it.
makeMethods(it)
