// @ts-check
// Which model is used: the one that comes with the page, one that was fetched, or a folder on disk.
import { element } from './stage.js';
import { list, remove } from './storage.js';

/** @typedef {import('./types').Listener} Listener */
/** @typedef {import('./types').Manifest} Manifest */
/** @typedef {import('./types').MemoryPlan} MemoryPlan */
/** @typedef {import('./types').ModelFile} ModelFile */
/** @typedef {{ name: string, base?: string, manifest?: Manifest, files?: ModelFile[] }} Chosen */

/** Where the default model lies beside the page. */
const DEFAULT = 'model/';
/** What a page can address. */
const WASM_BYTES = 4 * 2 ** 30;

export class Models {
  /** What the graphics card allows; nothing on the processor. @type {GPUSupportedLimits | undefined} */
  limits;
  /** Bytes of a number on the device. */
  numberBytes = 4;
  /** Called when another model was chosen. @type {() => void} */
  onChoice = () => {};
  /** @type {Chosen | undefined} */
  #chosen;

  /**
   * @param {import('./studio.js').Studio} studio
   * @param {() => import('./types').Wish} wish the video that is asked for now
   */
  constructor(studio, wish) {
    this.studio = studio;
    this.wish = wish;
    const dialog = /** @type {HTMLDialogElement} */ (element('models'));
    element('models-open').addEventListener('click', async () => {
      element('model-plan').replaceChildren();
      await this.#list();
      dialog.showModal();
    });
    element('model-folder').addEventListener('change', ({ target }) => this.#folder(/** @type {HTMLInputElement} */ (target)));
    element('model-look').addEventListener('click', () => this.#look());
  }

  /** Whether it is the model that comes with the page. */
  get isDefault() {
    return this.#chosen === undefined || this.#chosen.base === DEFAULT;
  }

  /** Goes back to the model that comes with the page. */
  reset() {
    this.#chosen = undefined;
  }

  /** Puts the chosen model on the device. @param {Listener} listener */
  async load(listener) {
    this.#chosen ??= { name: '', base: DEFAULT };
    if (this.#chosen.base) {
      this.#chosen.manifest ??= await manifestOf(this.#chosen.base);
      this.#chosen.name = this.#chosen.manifest.name;
      await this.studio.call('install', { base: this.#chosen.base, manifest: this.#chosen.manifest }, listener);
    }
    const { name, files } = this.#chosen;
    return this.studio.call('load', { name, files }, listener);
  }

  /** @param {Chosen} chosen */
  #choose(chosen) {
    this.#chosen = chosen;
    /** @type {HTMLDialogElement} */ (element('models')).close();
    this.onChoice();
  }

  async #list() {
    const found = await list();
    const current = this.#chosen?.name;
    element('model-list').replaceChildren(...found.map((manifest) => {
      const { name, licence, files } = manifest;
      const item = Object.assign(document.createElement('li'), { className: 'row' });
      const size = files.reduce((sum, file) => sum + file.size, 0);
      const use = Object.assign(document.createElement('button'), {
        type: 'button', textContent: name === current ? 'in use' : 'use', disabled: name === current,
      });
      use.setAttribute('aria-label', `${use.textContent}: ${name}`);
      use.addEventListener('click', () => this.#choose({ name }));
      const drop = Object.assign(document.createElement('button'), {
        type: 'button', textContent: 'delete', disabled: name === current,
      });
      drop.setAttribute('aria-label', `delete: ${name}`);
      drop.addEventListener('click', async () => {
        await remove(name);
        await this.#list();
      });
      item.append(`${name}: ${bytes(size)}, licence ${licence} `, use, drop);
      return item;
    }));
  }

  /** @param {HTMLInputElement} input */
  async #folder(input) {
    const picked = [...(input.files ?? [])];
    input.value = '';
    const name = picked[0]?.webkitRelativePath.split('/')[0] ?? 'model';
    const files = picked.map((blob) => ({ path: blob.webkitRelativePath.split('/').slice(1).join('/'), blob }));
    await this.#tell(async () => {
      const { numberBytes } = this;
      const plan = await this.studio.call('plan', { name, files, wish: this.wish(), numberBytes });
      return { says: this.#plan(plan), use: () => this.#choose({ name, files }) };
    });
  }

  async #look() {
    const typed = /** @type {HTMLInputElement} */ (element('model-address')).value.trim();
    const base = typed.endsWith('/') ? typed : `${typed}/`;
    await this.#tell(async () => {
      const manifest = await manifestOf(base);
      const size = manifest.files.reduce((sum, file) => sum + file.size, 0);
      const quota = await navigator.storage?.estimate?.();
      const room = quota?.quota ? quota.quota - (quota.usage ?? 0) : Infinity;
      const tight = size > room ? ` The browser has room for ${bytes(room)} only.` : '';
      return {
        says: `${manifest.name}: ${bytes(size)} to fetch, licence ${manifest.licence}.${tight}`,
        use: () => this.#choose({ name: manifest.name, base, manifest }),
      };
    });
  }

  /** @param {() => Promise<{ says: string, use: () => void }>} look */
  async #tell(look) {
    const plan = element('model-plan');
    plan.textContent = 'Looking…';
    try {
      const { says, use } = await look();
      const take = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Use this model' });
      take.addEventListener('click', use);
      plan.replaceChildren(Object.assign(document.createElement('p'), { textContent: says }), take);
    } catch (error) {
      plan.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  /** Whether a model fits, before anything of it is read. @param {MemoryPlan} needs */
  #plan({ plan, device_peak, cpu_peak }) {
    const inTab = cpu_peak + (this.limits ? 0 : device_peak);
    const onCard = this.limits ? `${bytes(device_peak)} on the graphics card and ` : '';
    const told = [`A video with the settings of this page needs about ${onCard}${bytes(inTab)} in this tab.`];
    if (inTab > WASM_BYTES) told.push('That does not fit in a tab, which can hold 4 GB.');
    const largest = Math.max(...plan.networks.filter((network) => network.on_device).map((network) => network.largest));
    if (this.limits && largest > this.limits.maxStorageBufferBindingSize) {
      told.push(`Its largest tensor needs ${bytes(largest)} at once; this graphics card binds ${bytes(this.limits.maxStorageBufferBindingSize)}.`);
    }
    return told.join(' ');
  }
}

/** @param {string} base @returns {Promise<Manifest>} */
async function manifestOf(base) {
  const url = new URL('manifest.json', new URL(base, location.href)).href;
  const response = await fetch(url).catch(() => {
    throw new Error(`${url} cannot be reached; is the address right, and does its server allow other pages to read it?`);
  });
  if (!response.ok) throw new Error(`${url}: the server answers ${response.status}; a model needs this list of its files`);
  const manifest = await response.json().catch(() => undefined);
  const isList = typeof manifest?.name === 'string' && Array.isArray(manifest.files)
    && manifest.files.every((/** @type {any} */ file) => typeof file.path === 'string' && Number.isSafeInteger(file.size));
  if (!isList) throw new Error(`${url} is no list of a model's files`);
  return { licence: 'not stated', ...manifest };
}

/** @param {number} count */
function bytes(count) {
  return count >= 1e9 ? `${(count / 1e9).toFixed(1)} GB` : `${(count / 1e6).toFixed(1)} MB`;
}
