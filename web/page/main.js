// @ts-check
// The page: wires the form, the worker and the stage.
import { Form } from './form.js';
import { Models } from './models.js';
import { accept, photograph, read } from './picture.js';
import { all, forget, keep } from './results.js';
import { Stage, element } from './stage.js';
import { Broken, Cancelled, Studio } from './studio.js';

/** @typedef {import('./results.js').Result} Result */
/** @typedef {import('./stage.js').Choice} Choice */
/** @typedef {import('./types').PictureData} PictureData */

const EXAMPLES = [
  { file: 'sticker.png', words: 'a grinning face, nodding', says: 'a drawn, grinning face' },
  { file: 'cat.jpg', words: 'a cat, looking around', says: 'a cat' },
  { file: 'astronaut.jpg', words: 'an astronaut, smiling', says: 'an astronaut' },
  { file: 'coffee.jpg', words: 'a cup of coffee, steaming', says: 'a cup of coffee' },
];

const studio = new Studio();
const form = new Form(/** @type {HTMLFormElement} */ (element('form')));
const stage = new Stage();
const models = new Models(studio, () => form.wish());
/** @type {PictureData | null} */
let picture = null;
/** The start that is under way or done. @type {Promise<void> | undefined} */
let prepared;

/** What computes: the graphics card where there is one, unless the visitor says otherwise. */
async function chooseDevice() {
  const asked = form.value('device');
  const adapter = asked === 'cpu' ? null : await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (adapter) {
    const { vendor, architecture, description } = adapter.info;
    const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'graphics card';
    models.limits = adapter.limits;
    return { backend: /** @type {const} */ ('wgpu'), says: `Computes on the graphics card (${name}).` };
  }
  models.limits = undefined;
  const why = asked === 'cpu' ? 'as you asked' : 'this browser gives no graphics card (WebGPU) to this page, so it will be slow';
  return { backend: /** @type {const} */ ('cpu'), says: `Computes on the processor: ${why}.` };
}

/** Starts the worker, its device and the model. Whether that went well. @returns {Promise<boolean>} */
async function prepare() {
  prepared ??= start();
  try {
    await prepared;
    return true;
  } catch (error) {
    prepared = undefined;
    fail(error, [['Try again', restart], ...otherModel()]);
    return false;
  }
}

async function start() {
  const told = element('device');
  const { backend, says } = await chooseDevice();
  let opened;
  try {
    opened = await studio.call('start', { backend, precision: 'auto' });
  } catch (error) {
    if (backend === 'cpu' || error instanceof Broken || error instanceof Cancelled) throw error;
    // An adapter that was shown but not given.
    form.set('device', 'cpu');
    return start();
  }
  models.numberBytes = opened.precision === 'f16' ? 2 : 4;
  element('version').textContent = `musev ${opened.version}`;
  const settings = await models.load((progress) => {
    const isDownload = 'event' in progress && progress.event === 'download';
    told.textContent = isDownload
      ? `Fetching the model: ${megabytes(progress.bytes)} of ${megabytes(progress.of)}…`
      : 'Loading the model…';
  });
  form.suit(settings);
  told.textContent = says;
  document.documentElement.dataset.ready = backend;
  button('go').disabled = false;
}

/** Begins anew with another worker. */
function restart() {
  delete document.documentElement.dataset.ready;
  studio.close();
  prepared = undefined;
  button('go').disabled = true;
  return prepare();
}

/** What is left where the chosen model does not work. @returns {Choice[]} */
function otherModel() {
  if (models.isDefault) return [];
  return [['Use the default model', () => { models.reset(); return restart(); }]];
}

/** What is left where the graphics card does not work. @returns {Choice[]} */
function otherDevice() {
  if (!models.limits) return [];
  return [['Start again on the processor', () => { form.set('device', 'cpu'); return restart(); }]];
}

/** @param {unknown} error @param {Choice[]} [choices] */
function fail(error, choices) {
  if (error instanceof Cancelled) return;
  const message = error instanceof Error ? error.message : String(error);
  stage.stop();
  if (!(error instanceof Broken)) {
    stage.say(message, choices);
    return;
  }
  console.error(message);
  const memory = /out of memory|allocat|^(Uncaught RuntimeError: )?unreachable/i.test(message);
  const reason = error.kind === 'lost' ? 'The graphics device was lost: the driver stopped it, or the computer slept.'
    : memory ? 'There is not enough memory for this. Take a smaller size, a shorter video or another model.'
    : 'musev stopped working.';
  delete document.documentElement.dataset.ready;
  prepared = undefined;
  button('go').disabled = true;
  stage.say(reason, [['Start again', restart], ...otherDevice(), ...otherModel()], message);
}

async function make() {
  stage.say('');
  form.newSeed();
  const wish = form.wish();
  const link = form.link();
  button('go').disabled = true;
  element('cancel').hidden = false;
  stage.start(wish.steps ?? 1);
  try {
    if (!(await prepare())) return;
    const made = await studio.call('generate', { wish, picture }, (progress, pixels) => stage.progress(progress, pixels));
    /** @type {Result} */
    const result = {
      time: Date.now(),
      link,
      settings: made.settings,
      webp: new Blob([made.webp], { type: 'image/webp' }),
      width: made.width,
      height: made.height,
      frames: made.frames,
    };
    stage.show(result);
    if (!(await keep(result))) stage.say('The browser does not keep this video; download it.');
    await listResults();
  } catch (error) {
    fail(error);
  } finally {
    element('cancel').hidden = true;
    button('go').disabled = prepared === undefined;
  }
}

async function cancel() {
  stage.stop();
  stage.say('');
  element('cancel').hidden = true;
  await restart();
}

async function listResults() {
  const results = await all();
  stage.list(results, (result) => {
    form.restore(result.link);
    stage.show(result);
  }, async (result) => {
    await forget(result);
    await listResults();
  });
}

/** @param {File} file */
async function take(file) {
  stage.say('');
  try {
    picture = await read(file);
  } catch (error) {
    fail(error);
    return;
  }
  const shown = /** @type {HTMLImageElement} */ (element('shown'));
  URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(file);
  shown.hidden = false;
  element('hint').hidden = true;
  element('no-picture').hidden = false;
}

function noPicture() {
  picture = null;
  element('shown').hidden = true;
  element('hint').hidden = false;
  element('no-picture').hidden = true;
}

/** @param {string} format */
async function download(format) {
  const result = stage.result;
  if (!result) return;
  try {
    let blob = result.webp;
    if (format !== 'webp') {
      const takes = {
        webp: new Uint8Array(await result.webp.arrayBuffer()),
        settings: result.settings,
        format: /** @type {'mp4' | 'gif'} */ (format),
      };
      const bytes = await studio.call('convert', takes);
      blob = new Blob([bytes], { type: format === 'mp4' ? 'video/mp4' : 'image/gif' });
    }
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = `musev-${JSON.parse(result.settings).seed}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    fail(error);
  }
}

async function selfTest() {
  const dialog = /** @type {HTMLDialogElement} */ (element('test-dialog'));
  const lines = element('test-lines');
  const summary = element('test-summary');
  lines.replaceChildren();
  summary.textContent = 'Testing… Closing this ends the test.';
  dialog.showModal();
  let [checks, failed, isDone] = [0, 0, false];
  dialog.addEventListener('close', () => { if (!isDone) restart(); }, { once: true });
  try {
    await studio.call('selfTest', {}, (report) => {
      if (!('case' in report)) return;
      checks += 1;
      if (report.status === 'fail') failed += 1;
      const row = document.createElement('tr');
      for (const text of [report.case, report.detail ? `${report.status}: ${report.detail}` : report.status]) {
        row.append(Object.assign(document.createElement('td'), { textContent: text }));
      }
      lines.append(row);
    });
    summary.textContent = failed ? `${failed} of ${checks} checks failed: do not trust this device.` : `All ${checks} checks passed.`;
  } catch (error) {
    dialog.close();
    fail(error);
  }
  isDone = true;
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {string} id */
function button(id) {
  return /** @type {HTMLButtonElement} */ (element(id));
}

function showExamples() {
  for (const { file, words, says } of EXAMPLES) {
    const image = Object.assign(new Image(), { src: `examples/${file}`, alt: `Take the example: ${says}` });
    const choose = Object.assign(document.createElement('button'), { type: 'button' });
    choose.append(image);
    choose.addEventListener('click', async () => {
      const blob = await (await fetch(`examples/${file}`)).blob();
      form.set('prompt', words);
      await take(new File([blob], file, { type: blob.type }));
    });
    element('examples').append(choose);
  }
}

form.element.addEventListener('submit', (event) => {
  event.preventDefault();
  make();
});
form.field('device').addEventListener('change', restart);
element('cancel').addEventListener('click', cancel);
element('camera').addEventListener('click', async () => {
  try {
    const photo = await photograph(/** @type {HTMLDialogElement} */ (element('camera-dialog')));
    if (photo) await take(photo);
  } catch (error) {
    fail(error);
  }
});
element('no-picture').addEventListener('click', noPicture);
element('self-test').addEventListener('click', selfTest);
element('copy-link').addEventListener('click', async () => {
  location.hash = form.link();
  await navigator.clipboard?.writeText(location.href).catch(() => undefined);
  stage.say('The link is in the address bar, and copied where the browser allows it.');
});
element('downloads').addEventListener('click', ({ target }) => {
  const format = target instanceof HTMLElement ? target.dataset.format : undefined;
  if (format) download(format);
});
window.addEventListener('hashchange', () => form.restore(location.hash));
models.onChoice = restart;
studio.onBroken = (error) => fail(error);
accept(element('drop'), /** @type {HTMLInputElement} */ (element('file')), take);
showExamples();
form.restore(location.hash);
listResults();
prepare();
