// Times and memory of the built page, on an imitated graphics card and on the processor:
//
//   npm run measure                what a visitor waits for
//   npm run measure -- FOLDER      putting the model in FOLDER on the device
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { image, fill, make, open, ready } from './browser.mjs';

const FIRST = '#prompt=a%20grinning%20face%2C%20nodding&seconds=1&steps=2&seed=11&locked=1';

/** Seconds since `begin`. */
const since = (begin) => ((performance.now() - begin) / 1000).toFixed(1);

/** Most memory that the wasm module took; it never gives any back. */
async function wasmMemory(page) {
  const worker = page.workers()[0];
  if (!worker) return 'the worker ended';
  const taken = await worker.evaluate(() => globalThis.wasmMemory.buffer.byteLength);
  return `${(taken / 1e6).toFixed(0)} MB of wasm memory`;
}

/** Most memory that the browser's processes held, by their kind, where the system tells it. */
function browserMemory() {
  if (!existsSync('/proc')) return 'what this system does not tell';
  const peaks = {};
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  for (const id of processes) {
    try {
      const command = readFileSync(`/proc/${id}/cmdline`, 'utf8');
      if (!/chrom/.test(command.split(/[ \0]/)[0])) continue;
      const kind = command.match(/--type=([a-z-]+)/)?.[1] ?? 'browser';
      const peak = Number(readFileSync(`/proc/${id}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0);
      peaks[kind] = Math.max(peaks[kind] ?? 0, Math.round(peak / 1e3));
    } catch {
      // It has ended.
    }
  }
  const told = ['gpu-process', 'renderer'].map((kind) => `${peaks[kind]} MB in the ${kind}`);
  return told.join(', ');
}

async function visit(webgpu) {
  const begin = performance.now();
  const { page, close } = await open({ webgpu, hash: FIRST });
  try {
    const device = await ready(page);
    console.log(`${device}: ready after ${since(begin)} s, ${await wasmMemory(page)}`);
    await page.setInputFiles('#file', image('sticker.png'));
    for (const which of ['first', 'next']) {
      const start = performance.now();
      await make(page);
      console.log(`${device}: the ${which} 12 frames, 2 steps, after ${since(start)} s, ${await wasmMemory(page)}, at most ${browserMemory()}`);
    }
  } finally {
    await close();
  }
}

async function load(folder, webgpu) {
  const { page, close } = await open({ webgpu });
  try {
    await ready(page);
    await fill(page, {});
    await page.click('#models-open');
    await page.setInputFiles('#model-folder', folder);
    const plan = page.locator('#model-plan');
    await plan.locator('button').or(plan.filter({ hasText: /\.$/ })).first().waitFor();
    console.log(await plan.innerText());
    const begin = performance.now();
    await plan.getByRole('button').click();
    await page.locator('html:not([data-ready])').waitFor({ state: 'attached' });
    const device = await Promise.race([ready(page), page.locator('#message p').first().innerText()]);
    console.log(`${device}: loaded after ${since(begin)} s, ${await wasmMemory(page)}, at most ${browserMemory()}`);
  } finally {
    await close();
  }
}

const [folder] = process.argv.slice(2);
for (const webgpu of [true, false]) {
  if (folder) await load(folder, webgpu);
  else await visit(webgpu);
}
