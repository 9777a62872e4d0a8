// @ts-check
// The worker: everything that computes. The page stays free, and ends the worker to cancel.
import init, { Clip, Device, Model, Picture, Studio, on_panic, version } from './musev.js';
import { compress } from './mp4.js';
import { install } from './install.js';
import { filesOf } from './storage.js';

/** @typedef {import('./types').Calls} Calls */
/** @typedef {import('./types').ModelFile} ModelFile */

/** @type {Device | undefined} */
let device;
/** @type {Studio | undefined} */
let studio;

const ready = init().then(({ memory }) => {
  // Within reach of the browser's console, to see how much is taken; it never shrinks.
  Object.assign(globalThis, { wasmMemory: memory });
  on_panic((/** @type {string} */ message) => postMessage({ failure: 'panic', message }));
});

watchGraphicsDevices();

/**
 * Tells the page when a graphics device is lost, and asks adapters for subgroups where they have
 * them: musev's runtime uses them in shaders but does not ask.
 */
function watchGraphicsDevices() {
  if (typeof GPUAdapter === 'undefined') return;
  const requestDevice = GPUAdapter.prototype.requestDevice;
  /** @this {GPUAdapter} @param {GPUDeviceDescriptor} [descriptor] */
  GPUAdapter.prototype.requestDevice = async function (descriptor = {}) {
    const wanted = /** @type {const} */ (['subgroups', 'shader-f16']);
    const requiredFeatures = new Set(descriptor.requiredFeatures);
    for (const feature of wanted) if (this.features.has(feature)) requiredFeatures.add(feature);
    const opened = await requestDevice.call(this, { ...descriptor, requiredFeatures: [...requiredFeatures] });
    // Within reach of the browser's console, to try what happens when it is lost.
    Object.assign(globalThis, { graphicsDevice: opened });
    opened.lost.then(({ message }) => postMessage({ failure: 'lost', message }));
    return opened;
  };
}

/** @param {string} name @param {ModelFile[]} [files] */
async function open(name, files) {
  const found = files ?? (await filesOf(name));
  return Model.open(name, found.map((file) => file.path), found.map((file) => file.blob));
}

/** @param {import('./types').PictureData | null} data */
function picture(data) {
  if (!data) return undefined;
  if ('bytes' in data) return Picture.decode(data.name, data.bytes);
  return Picture.from_rgba(data.width, data.height, new Uint8Array(data.rgba.buffer));
}

/** @type {{ [Name in keyof Calls]: (takes: Calls[Name]['takes'], tell: (json: string, pixels: Uint8ClampedArray | null) => void) => Promise<Calls[Name]['gives']> }} */
const calls = {
  async start({ backend, precision }) {
    device = await Device.start(backend, precision);
    return { precision: device.precision, version: version() };
  },

  async install({ base, manifest }, tell) {
    await install(base, manifest, (progress) => tell(JSON.stringify(progress), null));
    return null;
  },

  async plan({ name, files, wish, numberBytes }) {
    const model = await open(name, files);
    return JSON.parse(model.memory_plan(JSON.stringify(wish), numberBytes));
  },

  async load({ name, files }, tell) {
    if (!device) throw new Error('no device was started');
    studio?.free();
    studio = undefined;
    const model = await open(name, files);
    studio = Studio.open(model, device, tell);
    return JSON.parse(model.settings());
  },

  async generate({ wish, picture: data }, tell) {
    if (!studio) throw new Error('no model was loaded');
    const clip = await studio.generate(JSON.stringify(wish), picture(data), tell);
    const { width, height, length: frames, fps, settings } = clip;
    const webp = /** @type {Uint8Array<ArrayBuffer>} */ (clip.encode('webp'));
    clip.free();
    return { webp, settings, width, height, frames, fps };
  },

  async convert({ webp, settings, format }) {
    const clip = Clip.decode(webp, settings);
    const bytes = format === 'mp4' ? await compress(clip) : clip.encode(format);
    clip.free();
    return /** @type {Uint8Array<ArrayBuffer>} */ (bytes);
  },

  async selfTest(_, tell) {
    if (!device) throw new Error('no device was started');
    await device.self_test(tell);
    return null;
  },
};

onmessage = async ({ data: { id, call, takes } }) => {
  const tell = (/** @type {string} */ json, /** @type {Uint8ClampedArray | null} */ pixels) =>
    postMessage({ id, progress: JSON.parse(json), pixels });
  try {
    await ready;
    const work = /** @type {(takes: any, tell: any) => Promise<any>} */ (calls[/** @type {keyof Calls} */ (call)]);
    postMessage({ id, gives: await work(takes, tell) });
  } catch (error) {
    // Memory that is not to be had ends in one of these, without a panic.
    if (error instanceof WebAssembly.RuntimeError) postMessage({ failure: 'panic', message: error.message });
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
};
