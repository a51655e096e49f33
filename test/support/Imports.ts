import * as Path from "node:path"
import Typescript from "typescript"

const specifiers = new Map<string, ReadonlyArray<string>>()

/** What a source imports, in whatever way, as it is written there. */
export const specifiersOf = (source: string) => {
  const known = specifiers.get(source)
  if (known !== undefined) return known
  const found = Typescript.preProcessFile(source, true, true).importedFiles.map(({ fileName }) => fileName)
  specifiers.set(source, found)
  return found
}

/** The files of ours among that, by their paths. */
export const importsOf = (file: string, source: string) =>
  specifiersOf(source)
    .filter((specifier) => specifier.startsWith(".") && specifier.endsWith(".ts"))
    .map((specifier) => Path.posix.join(Path.posix.dirname(file), specifier))
