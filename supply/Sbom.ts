import { execFileSync } from "node:child_process"
import packageJson from "../package.json" with { type: "json" }
import { bundledPackages, idOf, loadedPackages, type Package } from "./Packages.ts"

/** What is used of a bill of materials in CycloneDX 1.5, as npm writes it. */
export interface Sbom {
  readonly metadata: { readonly component: { readonly name: string } }
  readonly components: ReadonlyArray<{ readonly "bom-ref": string }>
  readonly dependencies: ReadonlyArray<{ readonly ref: string; readonly dependsOn: ReadonlyArray<string> }>
}

/**
 * The bill of materials by npm, which knows what is installed, cut down to what is shipped: the packages in the bundles
 * and those beside them, the given ones too. Node and the system below it are not in it. (`--omit dev` would leave out whatever tests need
 * too, such as effect.)
 */
export const sbom = (added: ReadonlyArray<Package> = []): Sbom => {
  const args = ["sbom", "--sbom-format", "cyclonedx", "--sbom-type", "application"]
  const all: Sbom = JSON.parse(execFileSync("npm", args, { encoding: "utf8", maxBuffer: 2 ** 26 }))
  const shipped = [...bundledPackages(), ...loadedPackages(), ...added].map(idOf)
  const missing = shipped.filter((id) => !all.components.some((component) => component["bom-ref"] === id))
  if (missing.length > 0) throw new Error(`npm sbom knows nothing of ${missing.join(", ")}`)
  const own = `${packageJson.name}@${packageJson.version}`
  return {
    ...all,
    // npm names it by its folder.
    metadata: { ...all.metadata, component: { ...all.metadata.component, name: packageJson.name } },
    components: all.components.filter((component) => shipped.includes(component["bom-ref"])),
    dependencies: all.dependencies
      .filter(({ ref }) => ref === own || shipped.includes(ref))
      .map((dependency) => ({ ...dependency, dependsOn: dependency.dependsOn.filter((ref) => shipped.includes(ref)) }))
  }
}
