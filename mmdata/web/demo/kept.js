/** Keeps one value for each key in the browser (IndexedDB): typed arrays need no conversion. */

const DATABASE = "mmdata-demo";
const STORE = "models";

/**
 * @param {string} key
 * @returns {Promise<any>} undefined if there is no value.
 */
export function load(key) {
  return request("readonly", (store) => store.get(key));
}

/**
 * @param {string} key
 * @param {any} value
 */
export function keep(key, value) {
  return request("readwrite", (store) => store.put(value, key));
}

/** @param {string} key */
export function remove(key) {
  return request("readwrite", (store) => store.delete(key));
}

/**
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest} ask
 */
async function request(mode, ask) {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await settled(opening);
  try {
    return await settled(ask(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

/**
 * @param {IDBRequest} asked
 * @returns {Promise<any>}
 */
function settled(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
