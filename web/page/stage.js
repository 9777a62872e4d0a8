// @ts-check
// The stage: progress, preview, the finished video, and those made before.

/** @typedef {import('./results.js').Result} Result */
/** @typedef {import('./types').Progress} Progress */
/** @typedef {[label: string, act: () => unknown]} Choice a button that goes on from a message */

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

export class Stage {
  /** The result that is shown. @type {Result | undefined} */
  result;
  #began = 0;
  #steps = 1;
  #done = 0;

  constructor() {
    element('pause').addEventListener('click', () => this.#pause());
  }

  /**
   * Tells the visitor something, with buttons to go on.
   * @param {string} message
   * @param {Choice[]} [choices]
   * @param {string} [details] for those who want to know
   */
  say(message, choices = [], details = '') {
    const told = element('message');
    told.replaceChildren();
    if (!message) return;
    told.append(Object.assign(document.createElement('p'), { textContent: message }));
    if (details) {
      const more = document.createElement('details');
      more.append(Object.assign(document.createElement('summary'), { textContent: 'Details' }), details);
      told.append(more);
    }
    const row = Object.assign(document.createElement('p'), { className: 'row' });
    for (const [label, act] of choices) {
      const choice = Object.assign(document.createElement('button'), { type: 'button', textContent: label });
      choice.addEventListener('click', () => {
        this.say('');
        act();
      });
      row.append(choice);
    }
    if (choices.length) told.append(row);
  }

  /** @param {number} steps */
  start(steps) {
    this.#began = performance.now();
    [this.#steps, this.#done] = [steps, 0];
    element('working').hidden = false;
    element('downloads').hidden = true;
    element('made').textContent = '';
    this.#tell(0, 'Preparing…');
  }

  stop() {
    element('working').hidden = true;
    if (!this.result) element('screen').replaceChildren();
    else this.show(this.result);
  }

  /** @param {Progress} progress @param {Uint8ClampedArray<ArrayBuffer> | null} pixels */
  progress(progress, pixels) {
    if (!('event' in progress)) return;
    if (progress.event === 'window') {
      const share = (this.#done + (progress.index + 1) / progress.of) / this.#steps;
      const window = progress.of > 1 ? `, window ${progress.index + 1} of ${progress.of}` : '';
      this.#tell(share, `Step ${Math.min(this.#done + 1, this.#steps)} of ${this.#steps}${window}`);
    } else if (progress.event === 'step') {
      this.#done = progress.index + 1;
      this.#steps = progress.of;
      this.#tell(this.#done / this.#steps, `Step ${this.#done} of ${this.#steps}`);
    } else if (progress.event === 'decoded') {
      this.#tell(1, `Picture ${progress.frames} of ${progress.of}`);
    } else if (progress.event === 'preview' && pixels) {
      this.#preview(progress.width, progress.height, pixels);
    }
  }

  /** @param {Result} result */
  show(result) {
    this.result = result;
    element('working').hidden = true;
    element('downloads').hidden = false;
    const image = new Image(result.width, result.height);
    image.alt = `A video of ${result.frames} pictures`;
    image.src = address(result.webp);
    element('screen').replaceChildren(image);
    element('pause').setAttribute('aria-pressed', 'false');
    const { prompt, seed, steps } = JSON.parse(result.settings);
    const words = prompt ? `“${prompt}”, ` : '';
    element('made').textContent = `${words}${result.frames} pictures of ${result.width} × ${result.height}, ${steps} steps, seed ${seed}`;
  }

  /**
   * @param {Result[]} results
   * @param {(result: Result) => void} open
   * @param {(result: Result) => void} forget
   */
  list(results, open, forget) {
    element('no-results').hidden = results.length > 0;
    element('results').replaceChildren(...results.map((result) => {
      const { prompt, seed } = JSON.parse(result.settings);
      const says = `${prompt || 'no words'}, seed ${seed}`;
      const image = Object.assign(new Image(), { src: address(result.webp), alt: says });
      const show = Object.assign(document.createElement('button'), { type: 'button', className: 'open', title: says });
      show.append(image);
      show.addEventListener('click', () => open(result));
      const remove = Object.assign(document.createElement('button'), {
        type: 'button', className: 'delete', textContent: 'delete',
      });
      remove.setAttribute('aria-label', `Delete: ${says}`);
      remove.addEventListener('click', () => forget(result));
      const item = document.createElement('li');
      item.append(show, remove);
      return item;
    }));
  }

  /** @param {number} share @param {string} doing */
  #tell(share, doing) {
    const progress = /** @type {HTMLProgressElement} */ (element('progress'));
    progress.value = share;
    const passed = (performance.now() - this.#began) / 1000;
    const left = share > 0 && share < 1 ? `, about ${duration((passed / share) * (1 - share))} left` : '';
    element('status').textContent = doing + left;
  }

  /** @param {number} width @param {number} height @param {Uint8ClampedArray<ArrayBuffer>} pixels */
  #preview(width, height, pixels) {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', 'Preview of the middle picture');
    canvas.getContext('2d')?.putImageData(new ImageData(pixels, width, height), 0, 0);
    element('screen').replaceChildren(canvas);
  }

  /** Stands still on the first picture, or plays on. */
  #pause() {
    if (!this.result) return;
    const isPaused = element('pause').getAttribute('aria-pressed') === 'true';
    if (isPaused) {
      this.show(this.result);
      return;
    }
    const { width, height } = this.result;
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', 'A picture of the video, standing still');
    const playing = element('screen').querySelector('img');
    if (playing) canvas.getContext('2d')?.drawImage(playing, 0, 0);
    element('screen').replaceChildren(canvas);
    element('pause').setAttribute('aria-pressed', 'true');
  }
}

/** One address for each video, as long as it lives. @type {WeakMap<Blob, string>} */
const addresses = new WeakMap();

/** @param {Blob} blob */
function address(blob) {
  const known = addresses.get(blob);
  if (known) return known;
  const made = URL.createObjectURL(blob);
  addresses.set(blob, made);
  return made;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
