import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Effect } from "effect"
import { temporaryFolder } from "./TestLayers.ts"

/** A key and a certificate for 127.0.0.1 that nobody vouches for, and the file the certificate is in. */
export const selfSigned = Effect.map(temporaryFolder, (folder) => {
  const [key, file] = [Path.join(folder, "key.pem"), Path.join(folder, "cert.pem")]
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
  execFileSync("openssl", ["req", "-x509", ...curve, ...subject, "-keyout", key, "-out", file], { stdio: "ignore" })
  return { key: Fs.readFileSync(key, "utf8"), cert: Fs.readFileSync(file, "utf8"), file }
})
