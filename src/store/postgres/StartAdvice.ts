import type { Advice } from "../server/StartRefusal.ts"
import { sharedSession } from "./Pooler.ts"

export const startAdvice: Advice = [
  [/^28/, "correct the user or the password, or what pg_hba.conf says of them"],
  [/^3D000/, "create it with createdb, or correct its name"],
  [/^42501/, "let the user create tables in the schema, as by CREATE DATABASE .. OWNER"],
  [/^53300/, "let the server take more connections (max_connections), or end others"],
  [/^(53|58)/, "see to the server's disk and memory, then start again"],
  [/^57P03/, "the server starts or ends: wait for it"],
  [new RegExp(`^${sharedSession}$`), "name the server itself, or let the pooler keep a session for each client"],
  [/CERT|^ERR_TLS/, "give the certificate of the server's authority in sslrootcert, or correct the host"]
]
