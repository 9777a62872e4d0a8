// @ts-check
// The page's side of the worker. To cancel, the worker is ended and a new one begun: at once, and
// whatever it was doing.

/** @typedef {import('./types').Calls} Calls */
/** @typedef {import('./types').Listener} Listener */

/** Work that the visitor stopped. */
export class Cancelled extends Error {
  constructor() {
    super('stopped');
  }
}

/** A worker that will never answer again: it panicked, or its graphics device is gone. */
export class Broken extends Error {
  /** @param {'panic' | 'lost' | 'crash'} kind @param {string} message */
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

export class Studio {
  /** @type {Worker | undefined} */
  #worker;
  /** @type {Map<number, { resolve: (gives: any) => void, reject: (error: Error) => void, listener?: Listener }>} */
  #waiting = new Map();
  #next = 0;
  /** Hears of a worker that broke while nothing was asked of it. @type {(error: Broken) => void} */
  onBroken = () => {};

  /**
   * @template {keyof Calls} Name
   * @param {Name} call
   * @param {Calls[Name]['takes']} takes
   * @param {Listener} [listener]
   * @returns {Promise<Calls[Name]['gives']>}
   */
  call(call, takes, listener) {
    const worker = (this.#worker ??= this.#open());
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, listener });
      worker.postMessage({ id, call, takes });
    });
  }

  /** Ends the worker and everything it was asked for. @param {Error} [reason] */
  close(reason = new Cancelled()) {
    this.#worker?.terminate();
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(reason);
    if (reason instanceof Broken && waiting.length === 0) this.onBroken(reason);
  }

  #open() {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.close(new Broken('crash', event.message || 'the worker did not start'));
    };
    return worker;
  }

  /** @param {any} data */
  #hear(data) {
    if (data.failure) {
      this.close(new Broken(data.failure, data.message));
      return;
    }
    const call = this.#waiting.get(data.id);
    if (!call) return;
    if ('progress' in data) {
      call.listener?.(data.progress, data.pixels);
      return;
    }
    this.#waiting.delete(data.id);
    if ('error' in data) call.reject(new Error(data.error));
    else call.resolve(data.gives);
  }
}
