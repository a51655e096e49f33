import type { Advice } from "../server/StartRefusal.ts"

export const startAdvice: Advice = [
  [/^UNSUPPORTED_VERSION/, "MariaDB 10.6 is the oldest that is supported"],
  [/^ER_DBACCESS_DENIED|^ER_BAD_DB/, "create it with CREATE DATABASE, correct its name, or let the user use it"],
  [
    /^ER_ACCESS_DENIED|^ER_HOST_NOT_PRIVILEGED|^AUTH_/,
    "correct the user or the password, or from where that user may connect"
  ],
  [
    /^ER_(TABLEACCESS|SPECIFIC_ACCESS)_DENIED|^ER_TABLE.*DENIED/,
    "let the user create tables and triggers, as by GRANT ALL ON the database"
  ],
  [/^ER_BINLOG_CREATE_ROUTINE/, "set log_bin_trust_function_creators, so that the user may create triggers"],
  [/^ER_BINLOG/, "set binlog_format to MIXED or ROW"],
  [/^ER_(CON_COUNT|TOO_MANY_USER|USER_LIMIT)/, "let the server take more connections (max_connections), or end others"],
  [/^ER_(OPTION_PREVENTS|CANT_EXECUTE_IN_READ_ONLY|READ_ONLY_MODE)/, "name the server that takes writes"],
  [
    /^ER_(DISK_FULL|OUT_?OF|RECORD_FILE_FULL|ERROR_ON_|CANT_CREATE)|^EE_/,
    "see to the server's disk and memory, then start again"
  ],
  [/^ER_SERVER_SHUTDOWN/, "the server starts or ends: wait for it"],
  [/^HANDSHAKE_NO_SSL/, "let the server use TLS, or give ssl-mode=DISABLED"],
  [/^HANDSHAKE_SSL|CERT|^ERR_TLS/, "give the certificate of the server's authority in ssl-ca, or correct the host"]
]
