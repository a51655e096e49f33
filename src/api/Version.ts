/** The package's version, which the contract tells too. It is not read from package.json, which a browser has not. */
export const version = "0.1.0"
