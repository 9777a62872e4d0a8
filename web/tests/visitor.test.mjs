// The whole way of a visitor, on a graphics card (imitated) and without one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compare, fill, image, make, native, open, ready } from './browser.mjs';

const WORDS = 'a grinning face, nodding';
const FRAMES = 6;
const STEPS = 2;
const SEED = 11;

/** Drops a picture, types words, makes a video and downloads it as MP4. */
async function visit(webgpu) {
  const { page, errors, close } = await open({ webgpu });
  try {
    assert.equal(await ready(page), webgpu ? 'wgpu' : 'cpu');
    const told = await page.locator('#device').innerText();
    assert.match(told, webgpu ? /graphics card/ : /no graphics card .* processor|processor.*no graphics card/);
    const bytes = readFileSync(image('sticker.png')).toString('base64');
    await page.evaluate(async (base64) => {
      const blob = await (await fetch(`data:image/png;base64,${base64}`)).blob();
      const data = new DataTransfer();
      data.items.add(new File([blob], 'sticker.png', { type: 'image/png' }));
      document.querySelector('#drop').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }, bytes);
    await page.locator('#shown').waitFor();
    await fill(page, { prompt: WORDS, seconds: 0.5, steps: STEPS, seed: SEED, locked: true });
    await make(page);
    assert.match(await page.locator('#made').innerText(), new RegExp(`${FRAMES} pictures of 128 × 128, ${STEPS} steps, seed ${SEED}`));
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('[data-format=mp4]')]);
    assert.equal(download.suggestedFilename(), `musev-${SEED}.mp4`);
    const made = readFileSync(await download.path());
    assert.ok(made.includes(`"prompt":"${WORDS}"`), 'the settings are in the file');
    const wanted = readFileSync(native('--image', image('sticker.png'), '--prompt', WORDS, '--frames', `${FRAMES}`, '--steps', `${STEPS}`, '--seed', `${SEED}`));
    const { frames, decibels } = await compare(page, [made, wanted]);
    assert.deepEqual(frames, [FRAMES, FRAMES]);
    console.log(`${webgpu ? 'WebGPU' : 'wasm on the processor'} against native: ${decibels.toFixed(1)} dB`);
    assert.ok(decibels >= 40, `${decibels} dB`);
    assert.deepEqual(errors, []);
  } finally {
    await close();
  }
}

test('with WebGPU, a visitor gets the native result', () => visit(true));
test('without WebGPU, the processor makes the same video, and the page says so', () => visit(false));

/** The comment of a GIF, which is cut into blocks of up to 255 bytes. */
function comment(gif) {
  const blocks = [];
  let at = gif.indexOf(Buffer.from([0x21, 0xfe])) + 2;
  while (gif[at] > 0) {
    blocks.push(gif.subarray(at + 1, at + 1 + gif[at]));
    at += 1 + gif[at];
  }
  return Buffer.concat(blocks);
}

test('other formats hold the video too', async () => {
  const { page, close } = await open({ webgpu: false, hash: '#seconds=0.5&steps=2&seed=3&locked=1' });
  try {
    await ready(page);
    await page.setInputFiles('#file', image('cat.jpg'));
    await make(page);
    for (const [format, magic] of [['webp', 'RIFF'], ['gif', 'GIF89a']]) {
      const [download] = await Promise.all([page.waitForEvent('download'), page.click(`[data-format=${format}]`)]);
      const bytes = readFileSync(await download.path());
      assert.ok(bytes.subarray(0, 8).toString('latin1').startsWith(magic), format);
      const held = format === 'gif' ? comment(bytes) : bytes;
      assert.ok(held.includes('"seed":3'), `${format} has its settings`);
    }
  } finally {
    await close();
  }
});
