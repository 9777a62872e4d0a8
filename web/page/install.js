// @ts-check
// Bringing a model into the browser's private file system, piece by piece, checked by hash.
import { Sha256 } from './musev.js';
import { WHOLE, fileIn, folder, kept, remove, unkept } from './storage.js';

/** @typedef {import('./types').Manifest} Manifest */
/** @typedef {import('./types').ModelFile} ModelFile */
/** @typedef {Manifest['files'][number]} Promised a file as the list of a model promises it */
/** @typedef {{ event: 'download', path: string, bytes: number, of: number }} Download */

/** Read back so many bytes at a time. */
const PIECE = 1 << 22;

/**
 * Brings the files of `manifest` from the folder `base`, unless they are there already. What was
 * cut off goes on where it stopped.
 * @param {string} base
 * @param {Manifest} manifest
 * @param {(download: Download) => void} tell
 */
export async function install(base, manifest, tell) {
  if (unkept.has(manifest.name)) return;
  const before = await kept(manifest.name);
  if (JSON.stringify(before) === JSON.stringify(manifest)) return;
  // Another version of the model: none of its files may stay among the new ones.
  if (before) await remove(manifest.name);
  const top = await folder(manifest.name, true).catch(() => undefined);
  const of = manifest.files.reduce((sum, file) => sum + file.size, 0);
  let done = 0;
  /** @type {ModelFile[]} */
  const held = [];
  for (const file of manifest.files) {
    const url = new URL(file.path, new URL(base, location.href)).href;
    const report = (/** @type {number} */ at) =>
      tell({ event: 'download', path: file.path, bytes: done + at, of });
    if (top) await keep(top, url, file, report);
    else held.push({ path: file.path, blob: await hold(url, file, report) });
    done += file.size;
  }
  if (top) await keepText(top, WHOLE, JSON.stringify(manifest));
  else unkept.set(manifest.name, held);
}

/**
 * Brings a file into the folder `top`. One that was there in part and turns out to be of another
 * version begins anew.
 * @param {FileSystemDirectoryHandle} top
 * @param {string} url
 * @param {Promised} file
 * @param {(bytes: number) => void} tell
 */
async function keep(top, url, file, tell) {
  const access = await (await fileIn(top, file.path, true)).createSyncAccessHandle();
  try {
    if (access.getSize() > 0 && (await goOn(access, url, file, tell))) return;
    access.truncate(0);
    if (await goOn(access, url, file, tell)) return;
    access.truncate(0);
    throw damaged(file);
  } catch (error) {
    throw outOfRoom(error);
  } finally {
    access.close();
  }
}

/**
 * Brings what is missing of a file; whether it is then what was promised.
 * @param {FileSystemSyncAccessHandle} access
 * @param {string} url
 * @param {Promised} file
 * @param {(bytes: number) => void} tell
 */
async function goOn(access, url, file, tell) {
  const check = new Check(file);
  let at = access.getSize();
  for (let read = 0; read < at; ) {
    const piece = new Uint8Array(Math.min(PIECE, at - read));
    read += access.read(piece, { at: read });
    check.add(piece);
  }
  tell(at);
  if (at < file.size) {
    const response = await get(url, at);
    // A server that cannot go on in the middle sends the file from its beginning.
    if (at > 0 && response.status !== 206) return false;
    for await (const piece of response.body ?? []) {
      access.write(piece, { at });
      check.add(piece);
      at += piece.byteLength;
      tell(at);
    }
    access.flush();
  }
  return check.passes();
}

/**
 * A file in memory, for browsers that keep none.
 * @param {string} url
 * @param {Promised} file
 * @param {(bytes: number) => void} tell
 */
async function hold(url, file, tell) {
  const check = new Check(file);
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const pieces = [];
  let at = 0;
  for await (const piece of (await get(url, 0)).body ?? []) {
    pieces.push(piece);
    check.add(piece);
    at += piece.byteLength;
    tell(at);
  }
  if (!check.passes()) throw damaged(file);
  return new Blob(pieces);
}

/** Size and hash of a file, told piece by piece. */
class Check {
  #size = 0;
  #hash = new Sha256();

  /** @param {Promised} file */
  constructor(file) {
    this.file = file;
  }

  /** @param {Uint8Array} piece */
  add(piece) {
    this.#size += piece.byteLength;
    this.#hash.update(piece);
  }

  /** Whether it is what was promised. */
  passes() {
    const hash = this.#hash.hex();
    this.#hash.free();
    return this.#size === this.file.size && (!this.file.sha256 || this.file.sha256 === hash);
  }
}

/** @param {Promised} file */
function damaged(file) {
  return new Error(`${file.path} came damaged: it is not of the promised size or hash; try again`);
}

/** @param {FileSystemDirectoryHandle} top @param {string} path @param {string} text */
async function keepText(top, path, text) {
  const access = await (await fileIn(top, path, true)).createSyncAccessHandle();
  access.truncate(0);
  access.write(new TextEncoder().encode(text), { at: 0 });
  access.close();
}

/** @param {unknown} error */
function outOfRoom(error) {
  if (error instanceof DOMException && error.name === 'QuotaExceededError') {
    return new Error('there is no room left for this model in the browser; delete others first');
  }
  return error;
}

/** @param {string} url @param {number} from */
async function get(url, from) {
  /** @type {HeadersInit} */
  const headers = from > 0 ? { Range: `bytes=${from}-` } : {};
  const response = await fetch(url, { headers }).catch(() => {
    throw new Error(`${url} cannot be reached`);
  });
  if (!response.ok) throw new Error(`${url}: the server answers ${response.status}`);
  return response;
}
