// @ts-check
// The last videos, kept in the browser until the visitor deletes them.
import { createStore, del, entries, set } from 'idb-keyval';

/**
 * @typedef {object} Result
 * @property {number} time when it was made, in milliseconds
 * @property {string} link the address that restores its settings
 * @property {string} settings what musev made it with, as JSON
 * @property {Blob} webp
 * @property {number} width
 * @property {number} height
 * @property {number} frames
 */

/** So many are kept; older ones make room. */
const MOST = 24;

const store = createStore('musev', 'results');

/** The results, newest first. @returns {Promise<Result[]>} */
export async function all() {
  const found = await entries(store).catch(() => []);
  return found.map(([, result]) => /** @type {Result} */ (result)).sort((a, b) => b.time - a.time);
}

/** Whether it could be kept. @param {Result} result */
export async function keep(result) {
  try {
    await set(result.time, result, store);
    for (const old of (await all()).slice(MOST)) await del(old.time, store);
    return true;
  } catch {
    return false;
  }
}

/** @param {Result} result */
export async function forget(result) {
  await del(result.time, store).catch(() => undefined);
}
