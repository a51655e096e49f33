import type { ServerErrors } from "../server/ServerErrors.ts"

/**
 * https://mariadb.com/kb/en/mariadb-error-codes/: connections, their number and their ends (1927 is a KILL); refused users
 * and databases that are gone; read-only; locks and deadlocks; time (1969); files, disks and memory; a node of a cluster
 * that is not ready.
 */
const unavailable = new RegExp(
  `^ER_(${[
    "CON_COUNT|TOO_MANY_USER|USER_LIMIT|HOST_|SERVER_SHUTDOWN|NORMAL_SHUTDOWN|.*ABORTING_CONNECTION|NET_(?!PACKET_TOO)",
    "CONNECTION_KILLED|1927|QUERY_INTERRUPTED|QUERY_TIMEOUT|STATEMENT_TIMEOUT|1969|UNKNOWN_COM_ERROR",
    "ACCESS_DENIED|DBACCESS_DENIED|TABLEACCESS_DENIED|BAD_DB",
    "OPTION_PREVENTS|CANT_EXECUTE_IN_READ_ONLY|READ_ONLY_MODE",
    "LOCK_WAIT_TIMEOUT|LOCK_DEADLOCK|LOCK_TABLE_FULL|CHECKREAD",
    "DISK_FULL|OUT_?OF|RECORD_FILE_FULL|ERROR_ON_|GET_ERRNO|CRASHED|NOT_KEYFILE|OLD_KEYFILE|CANT_(CREATE|OPEN|LOCK)|TEMP_FILE"
  ].join("|")})`
)

/** What the names of errors mean. One that is not the server's word on a statement (`ER_`) is of the connection or the system. */
export const mariaDbErrors: ServerErrors = {
  isUnavailable: (code) => !code.startsWith("ER_") || unavailable.test(code),
  isRepeatable: (code) => code === "ER_LOCK_DEADLOCK",
  isReadOnly: (code) => /^ER_(OPTION_PREVENTS|CANT_EXECUTE_IN_READ_ONLY|READ_ONLY_MODE)/.test(code)
}
