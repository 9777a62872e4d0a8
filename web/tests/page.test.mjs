// What stays, what links carry, what everybody can use, and what it looks like.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { fill, image, make, open, ready, root } from './browser.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Where screenshots go, to be looked at. */
const shots = process.env.MUSEV_SCREENSHOTS ?? join(root, 'web', 'node_modules', '.screenshots');
mkdirSync(shots, { recursive: true });

async function violations(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
}

test('results stay over a reload until they are deleted, and links restore settings', async () => {
  const { page, address, close } = await open({ webgpu: false, hash: '#seconds=0.5&steps=2&seed=5&locked=1' });
  try {
    await ready(page);
    await page.setInputFiles('#file', image('sticker.png'));
    await fill(page, { prompt: 'a (grinning:1.2) face', negative: 'dark, dull', speed: 'slowly' });
    await make(page);
    await page.click('#copy-link');
    const link = page.url();
    await page.goto('about:blank');
    await page.goto(link);
    assert.equal(await page.inputValue('[name=prompt]'), 'a (grinning:1.2) face');
    assert.equal(await page.inputValue('[name=negative]'), 'dark, dull');
    assert.equal(await page.inputValue('[name=speed]'), 'slowly');
    assert.equal(await page.inputValue('[name=seed]'), '5');
    const results = page.locator('#results li');
    await results.first().waitFor();
    await page.goto(address);
    await results.first().locator('.open').click();
    assert.equal(await page.inputValue('[name=prompt]'), 'a (grinning:1.2) face');
    assert.ok(await page.locator('#screen img').evaluate((shown) => shown.decode().then(() => shown.naturalWidth === 128)));
    await results.first().locator('.delete').click();
    await page.locator('#no-results').waitFor();
    await page.reload();
    await page.locator('#no-results').waitFor();
  } finally {
    await close();
  }
});

for (const colorScheme of ['light', 'dark']) {
  for (const [name, viewport] of [['desktop', { width: 1280, height: 900 }], ['phone', { width: 390, height: 844 }]]) {
    test(`no barrier for anyone: ${name}, ${colorScheme}`, async () => {
      const { page, close } = await open({ webgpu: false, colorScheme, viewport, hash: '#seconds=0.5&steps=2&prompt=a%20face' });
      try {
        await ready(page);
        await page.locator('#examples button').first().click();
        await page.locator('#shown').waitFor();
        await make(page);
        await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        assert.equal(wide, false, 'nothing hangs over the edge');
        assert.deepEqual(await violations(page), []);
        await page.locator('details').first().evaluate((details) => { details.open = true; });
        assert.deepEqual(await violations(page), []);
        await page.click('#models-open');
        assert.deepEqual(await violations(page), []);
        await page.screenshot({ path: join(shots, `${name}-${colorScheme}-models.png`) });
      } finally {
        await close();
      }
    });
  }
}
