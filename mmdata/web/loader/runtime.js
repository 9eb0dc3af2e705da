/** Where this code runs. */

export const isNode = typeof process !== "undefined" && Boolean(process.versions?.node);
