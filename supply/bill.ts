import { sbom } from "./Sbom.ts"

/** Prints the bill of materials of what is built: `npm run -s sbom`. */
process.stdout.write(`${JSON.stringify(sbom(), null, 2)}\n`)
