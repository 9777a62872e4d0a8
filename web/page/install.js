// @ts-check
// Bringing a model into the browser's private file system, piece by piece, checked by hash.
import { Sha256 } from './musev.js';
import { WHOLE, fileIn, folder, kept, unkept } from './storage.js';

/** @typedef {import('./types').Manifest} Manifest */
/** @typedef {import('./types').ModelFile} ModelFile */
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
  const of = manifest.files.reduce((sum, file) => sum + file.size, 0);
  if (unkept.has(manifest.name) || JSON.stringify(await kept(manifest.name)) === JSON.stringify(manifest)) return;
  const top = await folder(manifest.name, true).catch(() => undefined);
  let before = 0;
  /** @type {ModelFile[]} */
  const held = [];
  for (const file of manifest.files) {
    const report = (/** @type {number} */ at) =>
      tell({ event: 'download', path: file.path, bytes: before + at, of });
    const url = new URL(file.path, new URL(base, location.href)).href;
    if (top) await keep(top, url, file, report);
    else held.push({ path: file.path, blob: await (await get(url, 0)).blob() });
    before += file.size;
  }
  if (!top) {
    unkept.set(manifest.name, held);
    return;
  }
  const marker = await (await fileIn(top, WHOLE, true)).createSyncAccessHandle();
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  marker.truncate(0);
  marker.write(bytes, { at: 0 });
  marker.close();
}

/**
 * @param {FileSystemDirectoryHandle} top
 * @param {string} url
 * @param {Manifest['files'][number]} file
 * @param {(bytes: number) => void} tell
 */
async function keep(top, url, file, tell) {
  const handle = await fileIn(top, file.path, true);
  const access = await handle.createSyncAccessHandle();
  const hash = new Sha256();
  try {
    let at = access.getSize();
    if (at > file.size) at = 0;
    access.truncate(at);
    for (let read = 0; read < at; ) {
      const piece = new Uint8Array(Math.min(PIECE, at - read));
      read += access.read(piece, { at: read });
      hash.update(piece);
    }
    tell(at);
    if (at < file.size) {
      const response = await get(url, at);
      if (!response.body) throw new Error(`${url}: nothing came`);
      if (at > 0 && response.status !== 206) throw new Restart();
      for await (const piece of response.body) {
        access.write(piece, { at });
        hash.update(piece);
        at += piece.byteLength;
        tell(at);
      }
    }
    access.flush();
    if (at !== file.size) throw new Error(`${file.path}: ${at} bytes came, ${file.size} were promised; try again`);
    if (file.sha256 && hash.hex() !== file.sha256) {
      access.truncate(0);
      throw new Error(`${file.path} is damaged: its hash is not the promised one; try again`);
    }
  } catch (error) {
    if (!(error instanceof Restart)) throw outOfRoom(error);
    access.truncate(0);
    access.close();
    return keep(top, url, file, tell);
  } finally {
    hash.free();
    access.close();
  }
}

/** A server that cannot go on in the middle: the file begins anew. */
class Restart extends Error {}

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
