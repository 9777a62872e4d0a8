// What goes wrong ends in a clear message and a page that can start again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fill, image, make, open, ready, root } from './browser.mjs';

const QUICK = '#prompt=a%20face&seconds=0.5&steps=2&seed=1&locked=1';

test('stopping works at once, and the next video is made', async () => {
  const { page, close } = await open({ webgpu: false, hash: '#prompt=a%20face&seconds=4&steps=200&seed=1&locked=1' });
  try {
    await ready(page);
    await page.setInputFiles('#file', image('sticker.png'));
    await page.click('#go');
    await page.locator('#status', { hasText: 'Step 2 of 200' }).waitFor();
    const begin = Date.now();
    await page.click('#cancel');
    await page.locator('#working').waitFor({ state: 'hidden' });
    assert.ok(Date.now() - begin < 5000, 'stopped late');
    await ready(page);
    await fill(page, { seconds: 0.5, steps: 2 });
    await make(page);
  } finally {
    await close();
  }
});

test('a lost graphics device is told, and a new one taken', async () => {
  const { page, close } = await open({ hash: QUICK });
  try {
    assert.equal(await ready(page), 'wgpu');
    await page.setInputFiles('#file', image('sticker.png'));
    await page.workers()[0].evaluate(() => globalThis.graphicsDevice.destroy());
    await page.locator('#message', { hasText: 'graphics device was lost' }).waitFor();
    assert.ok(await page.locator('#go').isDisabled());
    await page.getByRole('button', { name: 'Start again', exact: true }).click();
    assert.equal(await ready(page), 'wgpu');
    await make(page);
  } finally {
    await close();
  }
});

test('too little memory is told, and the page starts again', async () => {
  const { page, close } = await open({ webgpu: false, hash: QUICK });
  try {
    await ready(page);
    // Takes all that a tab can address, but a little.
    await page.workers()[0].evaluate(() => {
      const pages = 65536;
      const { wasmMemory } = globalThis;
      wasmMemory.grow(pages - wasmMemory.buffer.byteLength / pages - 16);
    });
    await page.click('#go');
    await page.locator('#message', { hasText: 'not enough memory' }).waitFor();
    await page.getByRole('button', { name: 'Start again', exact: true }).click();
    await ready(page);
    await make(page);
  } finally {
    await close();
  }
});

test('broken pictures are told', async () => {
  const { page, close } = await open({ webgpu: false, hash: QUICK });
  const folder = mkdtempSync(join(tmpdir(), 'musev-web-'));
  try {
    await ready(page);
    const whole = readFileSync(image('sticker.png'));
    const broken = { 'empty.png': Buffer.alloc(0), 'text.png': Buffer.from('no picture'), 'cut.png': whole.subarray(0, 200) };
    for (const [name, bytes] of Object.entries(broken)) {
      writeFileSync(join(folder, name), bytes);
      await page.setInputFiles('#file', join(folder, name));
      await page.locator('#message', { hasText: name }).waitFor();
      assert.ok(await page.locator('#shown').isHidden());
    }
    await page.setInputFiles('#file', image('sticker.png'));
    await make(page);
  } finally {
    await close();
    rmSync(folder, { recursive: true });
  }
});

test('a model folder with a missing tensor is told by its name', async () => {
  const { page, close } = await open({ webgpu: false, hash: QUICK });
  const folder = mkdtempSync(join(tmpdir(), 'musev-web-'));
  try {
    await ready(page);
    const model = join(folder, 'broken');
    cpSync(join(root, 'configs', 'models', 'mini'), model, { recursive: true });
    const file = join(model, 'unet', 'model.safetensors');
    const bytes = readFileSync(file);
    const at = bytes.indexOf('"conv_in.bias"');
    bytes.write('"conv_in.bios"', at);
    writeFileSync(file, bytes);
    await page.locator('details').first().evaluate((details) => { details.open = true; });
    await page.click('#models-open');
    await page.setInputFiles('#model-folder', model);
    await page.locator('#model-plan', { hasText: 'settings of this page needs about' }).waitFor();
    await page.getByRole('button', { name: 'Use this model' }).click();
    await page.locator('#message', { hasText: 'conv_in.bias' }).waitFor();
    await page.getByRole('button', { name: 'Use the default model' }).click();
    await ready(page);
    await make(page);
  } finally {
    await close();
    rmSync(folder, { recursive: true });
  }
});

test('damaged and cut downloads are told, and go on', async () => {
  let trouble = 'cut';
  const alter = (request, response) => {
    if (!request.url.endsWith('unet/model.safetensors') || !trouble) return false;
    const bytes = readFileSync(join(root, 'configs', 'models', 'mini', 'unet', 'model.safetensors'));
    response.writeHead(200, { 'content-length': bytes.length });
    if (trouble === 'cut') {
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
    } else {
      bytes[bytes.length - 1] ^= 1;
      response.end(bytes);
    }
    return true;
  };
  const { page, close } = await open({ webgpu: false, hash: QUICK, alter });
  try {
    await page.locator('#message p').first().waitFor();
    trouble = 'damaged';
    await page.reload();
    await page.locator('#message', { hasText: 'came damaged' }).waitFor();
    trouble = '';
    await page.getByRole('button', { name: 'Try again' }).click();
    await ready(page);
  } finally {
    await close();
  }
});

test('a new version of the model takes the place of the one that was kept', async () => {
  let isNew = false;
  const dist = join(root, 'web', 'dist', 'model');
  const kept = readFileSync(join(dist, 'settings.yaml'), 'utf8');
  const steps = Number(kept.match(/^steps: (\d+)$/m)[1]);
  const settings = kept.replace(/^steps: .*$/m, `steps: ${steps + 2}`);
  const alter = (request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname;
    if (!isNew || !['/model/manifest.json', '/model/settings.yaml'].includes(path)) return false;
    const manifest = JSON.parse(readFileSync(join(dist, 'manifest.json'), 'utf8'));
    const file = manifest.files.find(({ path }) => path === 'settings.yaml');
    file.sha256 = createHash('sha256').update(settings).digest('hex');
    response.end(path.endsWith('.json') ? JSON.stringify(manifest) : settings);
    return true;
  };
  const { page, close } = await open({ webgpu: false, alter });
  try {
    for (const wanted of [steps, steps + 2]) {
      await ready(page);
      assert.equal(await page.locator('[name=steps]').getAttribute('placeholder'), `${wanted}`);
      isNew = true;
      await page.reload();
    }
  } finally {
    await close();
  }
});
