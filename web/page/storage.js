// @ts-check
// Models in the browser's private file system: found, listed, deleted.

/** @typedef {import('./types').Manifest} Manifest */
/** @typedef {import('./types').ModelFile} ModelFile */

/** Written last: a model without it is not whole. */
export const WHOLE = 'manifest.json';

/** Models of this visit that could not be kept, where the browser gives no file system. */
/** @type {Map<string, ModelFile[]>} */
export const unkept = new Map();

/** @param {string} name @param {boolean} create */
export async function folder(name, create) {
  const root = await navigator.storage.getDirectory();
  const models = await root.getDirectoryHandle('models', { create });
  return models.getDirectoryHandle(name, { create });
}

/** @param {FileSystemDirectoryHandle} top @param {string} path @param {boolean} create */
export async function fileIn(top, path, create) {
  const names = path.split('/');
  const name = /** @type {string} */ (names.pop());
  let directory = top;
  for (const part of names) directory = await directory.getDirectoryHandle(part, { create });
  return directory.getFileHandle(name, { create });
}

/** @param {string} name @returns {Promise<Manifest | undefined>} */
export async function kept(name) {
  try {
    const handle = await fileIn(await folder(name, false), WHOLE, false);
    return JSON.parse(await (await handle.getFile()).text());
  } catch {
    return undefined;
  }
}

/**
 * The files of a model that was installed.
 * @param {string} name
 * @returns {Promise<ModelFile[]>}
 */
export async function filesOf(name) {
  const held = unkept.get(name);
  if (held) return held;
  const manifest = await kept(name);
  if (!manifest) throw new Error(`the model ${name} is not in this browser; fetch it again`);
  const top = await folder(name, false);
  const open = async (/** @type {{ path: string }} */ { path }) =>
    ({ path, blob: await (await fileIn(top, path, false)).getFile() });
  return Promise.all(manifest.files.map(open));
}

/** The models that are whole in this browser. @returns {Promise<Manifest[]>} */
export async function list() {
  /** @type {Manifest[]} */
  const found = [];
  try {
    const root = await navigator.storage.getDirectory();
    const models = await root.getDirectoryHandle('models');
    for await (const name of models.keys()) {
      const manifest = await kept(name);
      if (manifest) found.push(manifest);
    }
  } catch {
    // No file system, or nothing in it yet.
  }
  return found;
}

/** @param {string} name */
export async function remove(name) {
  const root = await navigator.storage.getDirectory();
  const models = await root.getDirectoryHandle('models');
  await models.removeEntry(name, { recursive: true });
}
