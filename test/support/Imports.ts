import * as Path from "node:path"

/** The files of ours that a source imports, in whatever way, by their paths. */
export const importsOf = (file: string, source: string) =>
  Array.from(source.matchAll(/(?:\bfrom |^import |\bimport\()"(\.[^"]+)"/gm), ([, specifier = ""]) =>
    Path.posix.join(Path.posix.dirname(file), specifier)
  ).filter((imported) => imported.endsWith(".ts"))
