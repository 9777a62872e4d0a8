// musev's self-test, in the browser: every shader against its twin.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, ready } from './browser.mjs';

test('every check of the self-test passes on WebGPU', async () => {
  const { page, close } = await open();
  try {
    assert.equal(await ready(page), 'wgpu');
    await page.locator('details').first().evaluate((details) => { details.open = true; });
    await page.click('#self-test');
    await page.locator('#test-summary', { hasText: 'checks' }).waitFor({ timeout: 1_200_000 });
    const lines = await page.locator('#test-lines tr').allInnerTexts();
    assert.deepEqual(lines.filter((line) => !line.endsWith('pass')), []);
    assert.ok(lines.some((line) => line.startsWith('kernel_conv_3x3')), lines.join('\n'));
    assert.match(await page.locator('#test-summary').innerText(), /^All \d+ checks passed/);
  } finally {
    await close();
  }
});
