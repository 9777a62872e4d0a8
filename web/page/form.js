// @ts-check
// The form: what the visitor asks for, kept in the page's address so that a link restores it.

/** @typedef {import('./types').Wish} Wish */
/** @typedef {import('./types').ModelSettings} ModelSettings */

/** Steps of each preset, as a share of what suits the model. */
const PRESETS = { sketch: 0.5, good: 1, fine: 2 };
/** The original's largest random seed. */
const LARGEST_SEED = 100_000_000;
/** Fields that a link carries. */
const FIELDS = [
  'prompt', 'negative', 'seconds', 'quality', 'size', 'steps', 'scheduler', 'guidance', 'speed',
  'fps', 'loop', 'seed', 'locked', 'preview', 'device',
];

export class Form {
  /** @param {HTMLFormElement} element */
  constructor(element) {
    this.element = element;
    /** @type {ModelSettings | undefined} */
    this.model = undefined;
    element.addEventListener('input', () => this.#show());
    this.newSeed();
    this.#show();
  }

  /** @param {string} name @returns {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} */
  field(name) {
    const field = this.element.elements.namedItem(name);
    if (field instanceof RadioNodeList || !field) throw new Error(`the form has no field ${name}`);
    return /** @type {HTMLInputElement} */ (field);
  }

  /** @param {string} name */
  value(name) {
    const field = this.field(name);
    if (field instanceof HTMLInputElement && field.type === 'checkbox') return field.checked ? '1' : '';
    return field.value;
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    const field = this.field(name);
    if (field instanceof HTMLInputElement && field.type === 'checkbox') field.checked = value === '1';
    else field.value = value;
  }

  /** Takes what suits a model where the visitor has said nothing. @param {ModelSettings} settings */
  suit(settings) {
    this.model = settings;
    this.#show();
  }

  /** Draws a seed, unless the visitor holds on to the one there is. */
  newSeed() {
    if (this.value('locked')) return;
    const [drawn] = crypto.getRandomValues(new Uint32Array(1));
    this.set('seed', String((drawn ?? 0) % (LARGEST_SEED + 1)));
  }

  /** @returns {Wish} */
  wish() {
    const number = (/** @type {string} */ name) => {
      const text = this.value(name).trim();
      return text === '' ? undefined : Number(text);
    };
    const size = this.value('size').split('x').map(Number);
    const speed = this.value('speed');
    const prompt = this.value('prompt').trim();
    return {
      prompt: speed ? [prompt, speed].filter(Boolean).join(', ') : prompt,
      negativePrompt: this.value('negative').trim() || undefined,
      seconds: Number(this.value('seconds')),
      fps: number('fps'),
      width: size[0] || undefined,
      height: size[1] || size[0] || undefined,
      steps: number('steps') ?? this.#steps(),
      scheduler: this.value('scheduler') || undefined,
      guidance: number('guidance'),
      closedLoop: this.value('loop') === '1',
      seed: number('seed') ?? 0,
      preview: this.value('preview') === '1',
    };
  }

  /** The part of the page's address after `#` that restores the form. */
  link() {
    const fields = new URLSearchParams();
    for (const name of FIELDS) {
      const value = this.value(name);
      // Empty fields too, which are to be empty again. But who asked for no device keeps the one that
      // computes, which may be the only one that works.
      if (value !== '' || name !== 'device') fields.set(name, value);
    }
    return `#${fields}`;
  }

  /** @param {string} hash */
  restore(hash) {
    for (const [name, value] of new URLSearchParams(hash.slice(1))) {
      if (FIELDS.includes(name)) this.set(name, value);
    }
    this.#show();
  }

  #steps() {
    const share = PRESETS[/** @type {keyof typeof PRESETS} */ (this.value('quality'))] ?? 1;
    return this.model ? Math.max(2, Math.round(this.model.steps * share)) : undefined;
  }

  /** Writes beside sliders and into placeholders what they stand for. */
  #show() {
    const told = /** @type {HTMLOutputElement} */ (this.element.querySelector('output[for=seconds]'));
    told.value = `${Number(this.value('seconds'))} s`;
    const placeholder = (/** @type {string} */ name, /** @type {string | number | undefined} */ value) => {
      const field = this.field(name);
      if (field instanceof HTMLInputElement) field.placeholder = String(value ?? '');
    };
    placeholder('steps', this.#steps());
    placeholder('guidance', this.model?.video_guidance_scale);
    placeholder('fps', this.model?.fps);
  }
}
